"""The one order of things: decide, write it down, and only then ask the world for anything.

A turn is a generator, so that nobody who drives it can take its parts in another order: it
yields what must be on disk, is told whether it is, and yields what is to be asked for. The
supervisor drives it on its loop, the simulator (tests/sim) in virtual time.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass, replace

from failoverd.core.asked import asks
from failoverd.core.effects import (
    ArmDeadMan,
    CloseTarget,
    DisarmDeadMan,
    Effect,
    Freeze,
    ReadSettings,
    Redirect,
    Repoint,
    SetSynchronous,
    Thaw,
)
from failoverd.core.events import Event, Now, Observed, Replied, Woke
from failoverd.core.incident import Entry, describe
from failoverd.core.model import Epoch, Instant
from failoverd.core.numbering import number_of
from failoverd.core.operator import in_procedure, settles
from failoverd.core.policy import Policy
from failoverd.core.situation import Machine
from failoverd.core.states import Blocked
from failoverd.core.step import step
from failoverd.record.record import Basis, Record

JOURNAL_RETRY_S = 1.0


def line_of(effect: Effect) -> str | None:
    """What is done one after the other; None: at once.

    A thaw never overtakes the freeze that it undoes, nor is a target opened before it is closed,
    and of two settings the one that was decided last is the one that stays.
    """
    match effect:
        case ReadSettings(node=node) | Freeze(node=node) | Thaw(node=node) | Repoint(node=node):
            return f"settings of {node}"
        case ArmDeadMan(node=node) | DisarmDeadMan(node=node):
            return f"dead-man of {node}"
        case SetSynchronous(node=node):
            return f"synchronous standbys of {node}"
        case Redirect(target=target) | CloseTarget(target=target):
            return f"target {target}"
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Write:
    """To be durable before the turn goes on."""

    record: Record


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a `Write`: an empty error means that it is on disk."""

    error: str
    at: Instant
    held_back: bool = False
    """Another daemon may act: it is on disk for nobody."""


@dataclass(frozen=True, slots=True)
class Saw:
    """What the step came to, for metrics, log and reports."""

    before: Machine
    event: Event
    after: Machine
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Ask:
    """To be started now; nothing of it is under way."""

    visit: int
    effects: tuple[Effect, ...]


Turn = Generator[Write | Saw | Ask, Written | None, bool]
"""Returns False where the journal failed, so that nothing was done."""


class Course:
    """The machine of one cluster, what of it is journaled, and what was asked for."""

    def __init__(self, cluster: str, machine: Machine) -> None:
        self.cluster = cluster
        self.machine = machine
        self.wake_at: Instant | None = None
        self.journal_failing = ""
        """Why the journal cannot be written; empty: it can."""
        self.leads = True
        """Else another daemon may act, or none: nothing is decided, and what is seen is shown."""
        self._journal_again_at = Instant(0.0)
        self._asked: set[tuple[int, Effect]] = set()
        self._unanswered: set[tuple[int, Effect]] = set()
        self._in_line: set[Effect] = set()

    @property
    def in_procedure(self) -> bool:
        return self.leads and in_procedure(self.machine)

    @property
    def may_stop(self) -> bool:
        return not self.in_procedure or isinstance(self.machine.state, Blocked)

    @property
    def may_reload(self) -> bool:
        """Applications that are being sent to the new primary get there first."""
        return self.may_stop and not (self.leads and settles(self.machine))

    def resume(self, policy: Policy) -> Ask:
        """What the machine as it stands asks for."""
        return self._ask(asks(self.machine, policy) if self.leads else ())

    def lead(self, machine: Machine) -> None:
        """Go on from there; what was asked for before was asked for by whoever led before."""
        self.leads, self.machine, self.journal_failing = True, machine, ""
        self._asked.clear()
        self._unanswered.clear()
        self._in_line.clear()

    def follow(self, machine: Machine) -> None:
        """Decide nothing from now on; `machine` is shown."""
        self.leads, self.machine, self.journal_failing = False, machine, ""

    def turn(self, event: Event, now: Now, policy: Policy) -> Turn:
        """One step: decide, journal, then act."""
        before = self.machine
        if not self.leads:
            yield from self._only_see(event, now.monotonic, policy)
            return False
        if isinstance(event, Replied):
            self._unanswered.discard((event.visit, event.effect))
        decided = step(before, event, now, policy)
        owed = bool(self.journal_failing)
        entry = describe(before, event, decided.machine, policy, owed=owed)
        if entry is not None:
            error, at = self.journal_failing, now.monotonic
            if self._may_write(event, now):
                number = number_of(before, event, decided.machine) or Epoch(0)
                basis = Basis(before, event, now, policy)
                record = Record(self.cluster, now.wall, number, entry, decided.machine, basis)
                written = yield Write(record)
                assert written is not None
                error, at = written.error, written.at
                if written.held_back:
                    self.follow(before)
                    yield from self._only_see(event, at, policy)
                    return False
                self._journal_again_at = Instant(at + JOURNAL_RETRY_S)
            self.journal_failing = error
            if error:
                yield from self._only_see(event, at, policy)
                return False
        self.machine = decided.machine
        self.wake_at = decided.wake_at
        yield Saw(before, event, decided.machine, entry)
        yield self._ask(decided.effects)
        return True

    def answered(self, effect: Effect) -> None:
        """It is under way no more."""
        self._in_line.discard(effect)

    def cut_off(self, asked: Collection[tuple[int, Effect]]) -> None:
        """Nobody will answer it: it is asked for again, as long as it is wanted."""
        self._asked.difference_update(asked)
        self._unanswered.difference_update(asked)

    def _may_write(self, event: Event, now: Now) -> bool:
        """What is merely seen tries a failing journal once a second; what is asked for, at once."""
        seen = isinstance(event, (Observed, Woke))
        return not (self.journal_failing and seen and now.monotonic < self._journal_again_at)

    def _only_see(self, event: Event, at: Instant, policy: Policy) -> Generator[Saw]:
        """Without a journal nothing is decided, and what is seen is still shown."""
        self.wake_at = Instant(at + JOURNAL_RETRY_S) if self.leads else None
        if isinstance(event, Observed):
            view = replace(event.view, journal_failing=self.journal_failing)
            before = self.machine
            self.machine = before.observing(Observed(view), policy)
            yield Saw(before, event, self.machine, None)

    def _ask(self, wanted: tuple[Effect, ...]) -> Ask:
        """Each once for as long as a visit wants it; what waits in a line is not put there twice.

        A visit may last for months: what was done, was owed no more, and is owed again, is
        asked for again.
        """
        visit, now_wanted = self.machine.visit, {(self.machine.visit, effect) for effect in wanted}
        self._unanswered = {key for key in self._unanswered if key[0] == visit}
        self._asked &= now_wanted | self._unanswered
        new: list[Effect] = []
        for effect in wanted:
            if (visit, effect) in self._asked or effect in self._in_line:
                continue
            self._asked.add((visit, effect))
            self._unanswered.add((visit, effect))
            if line_of(effect) is not None:
                self._in_line.add(effect)
            new.append(effect)
        return Ask(visit, tuple(new))
