"""All series in Prometheus' text format, as its own library writes them.

It comes in parts, each of a few milliseconds, since the loop that polls must not wait for a
thousand clusters at once; nor does a thread help, which holds the interpreter's lock for as long.
Source: prometheus.io/docs/instrumenting/exposition_formats; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.utils import floatToGoString

from failoverd.observability.families import Counter, Family, Gauge, Histogram, Labels

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
    ends = ("", "_bucket", "_count", "_sum") if isinstance(family, Histogram) else ("",)
    return {family.name + end for end in ends}


def _lines(family: Family) -> Iterator[str]:
    said = family.meaning.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {said}"
    yield f"# TYPE {family.name} {family.kind}"
    yield from _histogram(family) if isinstance(family, Histogram) else _numbers(family)


def _template(name: str, labels: Labels) -> str:
    inner = ",".join(f'{label}="%s"' for label in labels)
    return f"{name}{{{inner}}} " if inner else f"{name} "


def _numbers(family: Gauge | Counter) -> Iterator[str]:
    template = _template(family.name, family.label_names)
    for values, one in family.items():
        yield template % _escaped(values) + _text(one.value)


def _histogram(family: Histogram) -> Iterator[str]:
    name, labels = family.name, family.label_names
    bounds = [_text(bound) for bound in family.bounds]
    bucket = _template(f"{name}_bucket", (*labels, "le"))
    count, total = _template(f"{name}_count", labels), _template(f"{name}_sum", labels)
    for values, one in family.items():
        escaped, below = _escaped(values), 0
        for bound, within in zip(bounds, one.counts, strict=True):
            below += within
            yield bucket % (*escaped, bound) + _text(below)
        yield count % escaped + _text(below)
        yield total % escaped + _text(one.total)


def _text(value: float) -> str:
    return _FEW.get(value) or str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _escaped(values: tuple[str, ...]) -> tuple[str, ...]:
    together = "".join(values)
    if "\\" in together or "\n" in together or '"' in together:
        return tuple(
            one.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for one in values
        )
    return values
