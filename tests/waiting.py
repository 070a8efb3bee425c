"""Waiting for what is to come, for every kind of test: until it is there, and bounded.

A wait in vain says so in one way, `not within`, with what was seen last: a busy machine may be
the cause, so `make ci` tries such a test once more. A wrong fact is final.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Found = TypeVar("Found")


class NotYetError(AssertionError):
    """Whoever was asked does not answer. In a wait it is asked again; else it is a failure."""


def wait_until(
    predicate: Callable[[], Found],
    timeout_s: float,
    what: str,
    *,
    evidence: Callable[[], str] = str,
    interval_s: float = 0.02,
) -> Found:
    """The first true answer of `predicate`; AssertionError with `evidence()` when there is none."""
    wait = _Wait(predicate, timeout_s, what, evidence)
    for _ in wait.tries():
        time.sleep(interval_s)
    return wait.found


async def until(
    predicate: Callable[[], Found],
    what: str,
    timeout_s: float = 30.0,
    *,
    evidence: Callable[[], str] = str,
    interval_s: float = 0.01,
) -> Found:
    """The same, of what tasks beside this one do."""
    wait = _Wait(predicate, timeout_s, what, evidence)
    for _ in wait.tries():
        await asyncio.sleep(interval_s)
    return wait.found


def in_vain(timeout_s: float, what: str, evidence: str = "") -> AssertionError:
    return AssertionError(f"not within {timeout_s:g} s: {what}\n{evidence}".rstrip())


class _Wait(Generic[Found]):
    found: Found

    def __init__(
        self,
        predicate: Callable[[], Found],
        timeout_s: float,
        what: str,
        evidence: Callable[[], str],
    ) -> None:
        self._predicate, self._evidence = predicate, evidence
        self._timeout_s, self._what = timeout_s, what

    def tries(self) -> Iterator[None]:
        """Once for each try in vain; at an end when it has come, or it is too late."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            last = ""
            try:
                self.found = self._predicate()
                if self.found:
                    return
            except NotYetError as error:
                last = str(error)
            if time.monotonic() >= deadline:
                raise in_vain(self._timeout_s, self._what, f"{last}\n{self._evidence()}".lstrip())
            yield
