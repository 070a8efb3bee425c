"""Families of series: a number, or a histogram, for each set of labels.

As lean as can be, since a cluster has nine hundred of them: nothing is locked, because the event
loop alone counts and tells.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

Labels = tuple[str, ...]


class Number:
    """What goes up, or up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1) -> None:
        self.value += by

    def set(self, value: float) -> None:
        self.value = float(value)


class Distribution:
    """How many observations were within each bound, and above those before it."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * len(bounds)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


S = TypeVar("S", Number, Distribution)


class _Family(Generic[S]):
    def __init__(self, name: str, meaning: str, labels: Labels) -> None:
        self.name = name
        """As it is served."""
        self.meaning = meaning
        self.label_names = labels
        self._series: dict[Labels, S] = {}
        if not labels:
            self.labels()

    def new(self) -> S:
        raise NotImplementedError

    def labels(self, *values: str) -> S:
        """The series of these values, which is there from now on."""
        found = self._series.get(values)
        if found is None:
            assert len(values) == len(self.label_names)
            # Of plain strings: members of enums would be looked through for garbage.
            found = self._series[tuple(map(str, values))] = self.new()
        return found

    def remove(self, *values: str) -> None:
        self._series.pop(values, None)

    def remove_by_labels(self, wanted: Mapping[str, str]) -> None:
        """All that have these labels, whatever their others."""
        at = {self.label_names.index(name): value for name, value in wanted.items()}
        for values in list(self._series):
            if all(values[index] == value for index, value in at.items()):
                del self._series[values]

    def items(self) -> Iterable[tuple[Labels, S]]:
        """Each with the values of its labels, as they are now.

        Two lists, and not one of pairs: those would be looked through for garbage, by the hundred
        thousand.
        """
        return zip(list(self._series), list(self._series.values()), strict=True)


class Gauge(_Family[Number]):
    kind = "gauge"

    def new(self) -> Number:
        return Number()


class Counter(_Family[Number]):
    kind = "counter"

    def new(self) -> Number:
        return Number()


class Histogram(_Family[Distribution]):
    kind = "histogram"

    def __init__(self, name: str, meaning: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.bounds = (*bounds, math.inf)
        super().__init__(name, meaning, labels)

    def new(self) -> Distribution:
        return Distribution(self.bounds)


Family = Gauge | Counter | Histogram
