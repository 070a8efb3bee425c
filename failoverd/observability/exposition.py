"""All series in Prometheus' text format, as `prometheus_client.generate_latest` writes them.

That one builds an object and a dictionary for each line: for a thousand clusters it takes eight
seconds a scrape. A test compares the two, line by line. It comes in parts, each of a few
milliseconds, since the loop that polls must not wait for a thousand clusters at once; nor does a
thread help, which holds the interpreter's lock for as long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.utils import floatToGoString

Family = Counter | Gauge | Histogram
LINES_A_PART = 1_000
"""About two milliseconds; more than one cluster has."""
_FEW = {0.0: "0.0", 1.0: "1.0"}


def exposition(
    families: Sequence[Family], others: CollectorRegistry, wanted: Collection[str] = ()
) -> Iterator[bytes]:
    """In parts. `others`: whatever is no family of ours, in a registry of its own.

    `wanted`: the names of those that are told, all where there are none.
    """
    told = [one for one in families if not wanted or not set(wanted).isdisjoint(_names(one))]
    lines = chain.from_iterable(map(_lines, told))
    while part := list(islice(lines, LINES_A_PART)):
        yield ("\n".join(part) + "\n").encode()
    yield generate_latest(others.restricted_registry(wanted) if wanted else others)


def _names(family: Family) -> set[str]:
    """By which it may be asked for: its own, and those of its series."""
    name = _name(family)
    ends = ("", "_bucket", "_count", "_sum") if isinstance(family, Histogram) else ("",)
    return {name + end for end in ends}


def _lines(family: Family) -> Iterator[str]:
    yield from _head(family)
    yield from _histogram(family) if isinstance(family, Histogram) else _values(family)


def _head(family: Family) -> tuple[str, str]:
    name = _name(family)
    said = family._documentation.replace("\\", r"\\").replace("\n", r"\n")  # noqa: SLF001
    return f"# HELP {name} {said}", f"# TYPE {name} {family._type}"  # noqa: SLF001


def _name(family: Family) -> str:
    name: str = family._name  # noqa: SLF001
    return f"{name}_total" if isinstance(family, Counter) else name


def _children(family: Family) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Each with the values of its labels, as they are now.

    Two lists, and not one of pairs: those would be looked through for garbage, by the hundred
    thousand.
    """
    if not family._labelnames:  # noqa: SLF001
        return [((), family)]
    with family._lock:  # noqa: SLF001
        known = family._metrics  # noqa: SLF001
        labels: list[Any] = list(known)
        return zip(labels, list(known.values()), strict=True)


def _template(name: str, labels: Sequence[str]) -> str:
    inner = ",".join(f'{label}="%s"' for label in labels)
    return f"{name}{{{inner}}} " if inner else f"{name} "


def _values(family: Family) -> Iterator[str]:
    template = _template(_name(family), family._labelnames)  # noqa: SLF001
    for values, child in _children(family):
        yield template % _escaped(values) + _text(child._value.get())  # noqa: SLF001


def _histogram(family: Histogram) -> Iterator[str]:
    name, labels = _name(family), tuple(family._labelnames)  # noqa: SLF001
    bounds = [_text(bound) for bound in family._upper_bounds]  # noqa: SLF001
    bucket = _template(f"{name}_bucket", (*labels, "le"))
    count, total = _template(f"{name}_count", labels), _template(f"{name}_sum", labels)
    for values, child in _children(family):
        escaped, below = _escaped(values), 0.0
        for bound, one in zip(bounds, child._buckets, strict=True):  # noqa: SLF001
            below += one.get()
            yield bucket % (*escaped, bound) + _text(below)
        yield count % escaped + _text(below)
        yield total % escaped + _text(child._sum.get())  # noqa: SLF001


def _text(value: float) -> str:
    return _FEW.get(value) or str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escaped(values: tuple[str, ...]) -> tuple[str, ...]:
    together = "".join(values)
    if "\\" in together or "\n" in together or '"' in together:
        return tuple(
            one.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for one in values
        )
    return values
