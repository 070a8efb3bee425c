"""Virtual time: a heap of instants, and processes that sleep in it. Same seed, same run."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

Steps = Generator["float | Join", Any, Any]
"""What a process does: it yields seconds to sleep, or another process to wait for."""


@dataclass(slots=True)
class Owner:
    """Whoever processes belong to: they stop for good when it dies, and stall while it stalls."""

    alive: bool = True
    stalled_until: float = 0.0


@dataclass(slots=True, eq=False)
class Process:
    steps: Steps
    owner: Owner
    done: bool = False
    value: Any = None
    waiters: list[tuple[Process, int]] = field(default_factory=list)
    turn: int = 0
    """Grows with each resumption: a wake-up for an earlier one is void."""


@dataclass(frozen=True, slots=True)
class Join:
    """Until that process is done, or `seconds` have passed."""

    process: Process
    seconds: float


NOBODY = Owner()


class Kernel:
    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, act: Callable[..., object], *about: object) -> None:
        self._count += 1
        now = self.now
        heapq.heappush(self._heap, (max(now, when), self._count, act, about))

    def after(self, seconds: float, act: Callable[..., object], *about: object) -> None:
        self._count += 1
        now = self.now
        when = now + seconds
        heapq.heappush(self._heap, (max(now, when), self._count, act, about))

    def spawn(self, steps: Steps, owner: Owner = NOBODY) -> Process:
        process = Process(steps, owner)
        self.after(0.0, self._resume, process, 0)
        return process

    def poke(self, process: Process) -> None:
        """It goes on now instead of when it wanted to."""
        self.after(0.0, self._resume, process, process.turn)

    def run_until(self, when: float, stop: Callable[[], bool] | None = None) -> None:
        heap = self._heap
        while heap and heap[0][0] <= when:
            self.now, _, act, about = heapq.heappop(heap)
            act(*about)
            if stop is not None and stop():
                return
        self.now = max(self.now, when)

    def _resume(self, process: Process, turn: int) -> None:
        owner = process.owner
        if process.done or process.turn != turn or not owner.alive:
            return
        if owner.stalled_until > self.now:
            self.at(owner.stalled_until, self._resume, process, turn)
            return
        process.turn = turn = turn + 1
        try:
            wanted = process.steps.send(None)
        except StopIteration as end:
            process.done, process.value = True, end.value
            for waiter, its_turn in process.waiters:
                self.after(0.0, self._resume, waiter, its_turn)
            return
        if isinstance(wanted, Join):
            if wanted.process.done:
                self.after(0.0, self._resume, process, turn)
                return
            wanted.process.waiters.append((process, turn))
            wanted = wanted.seconds
        self.after(wanted, self._resume, process, turn)
