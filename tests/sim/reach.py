"""How one place reaches another: SSH that may fail half way, SQL with every kind of silence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from failoverd.core.model import Instant, Look, NodeName, Outcome
from tests.sim.act import Act, Answer
from tests.sim.host_program import perform
from tests.sim.kernel import Join, Steps
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a call, as the daemon knows it. `answer`: only where it arrived."""

    outcome: Outcome
    answer: Answer | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None and self.answer.status == 0

    @property
    def why(self) -> str:
        if self.answer is None:
            return f"its host did not answer ({self.outcome}): unknown whether it was done"
        return self.answer.reason or f"exit status {self.answer.status}"


def call(world: World, place: str, name: NodeName, act: Act, timeout_s: float) -> Steps:
    """One round trip. The act may be done although nobody hears of it."""
    host, began = world.hosts[name], world.now
    if not world.passes(place, name) or not host.up:
        yield timeout_s
        return Heard(Outcome.TIMED_OUT)
    if host.ssh_broken:
        yield 0.05
        return Heard(Outcome.MISCONFIGURED)
    yield world.delay(place, name)
    if not host.runs:
        waited = yield from _until_it_runs(world, name, timeout_s)
        if waited is None:
            return Heard(Outcome.TIMED_OUT)
    running = world.kernel.spawn(perform(world, host, act))
    yield Join(running, max(0.0, timeout_s - (world.now - began)))
    if not running.done:
        return Heard(Outcome.TIMED_OUT)
    answer: Answer | None = running.value
    if answer is None:
        return Heard(Outcome.LOST)
    if host.answers_lost:
        host.answers_lost -= 1
        world.tell(name, f"the answer of {act.verb} to {place} is lost")
        return Heard(Outcome.LOST)
    if not world.passes(name, place):
        yield max(0.0, timeout_s - (world.now - began))
        return Heard(Outcome.TIMED_OUT)
    yield world.delay(name, place)
    if world.now - began > timeout_s:
        return Heard(Outcome.TIMED_OUT)
    return Heard(Outcome.OK, answer)


def _until_it_runs(world: World, name: NodeName, timeout_s: float) -> Steps:
    """A machine that stands still does what it was told when it goes on."""
    waited = 0.0
    while waited < timeout_s:
        yield 0.25
        waited += 0.25
        if world.hosts[name].runs:
            return waited
    return None


@dataclass(slots=True)
class Session:
    """A connection that is kept: of one life of one server."""

    life: int


def connect_outcome(world: World, place: str, name: NodeName) -> Outcome:
    """What a fresh connection meets, at this instant."""
    host, server = world.hosts[name], world.server(name)
    if not world.both_ways(place, name) or not host.runs:
        return Outcome.TIMED_OUT
    if not server.postmaster:
        return Outcome.REFUSED
    if server.stopped or server.postmaster_stopped:
        return Outcome.TIMED_OUT
    if world.now < server.ready_at:
        return Outcome.STARTING_UP
    if server.shutting_down:
        return Outcome.SHUTTING_DOWN
    if server.role_broken:
        return Outcome.MISCONFIGURED
    return Outcome.TOO_MANY_CONNECTIONS if server.slots_full else Outcome.OK


LETS_NOBODY_IN = frozenset({Outcome.TOO_MANY_CONNECTIONS, Outcome.MISCONFIGURED})


def session_outcome(d: Daemon, name: NodeName) -> Outcome:
    """What somebody meets who may ask in the session that is held, where nobody new is let in."""
    fresh = connect_outcome(d.world, d.name, name)
    if fresh not in LETS_NOBODY_IN or d.life is None:
        return fresh
    held = held_outcome(d.world, d.name, name, d.life.rounds.held(name))
    return held if held is Outcome.OK else fresh


def held_outcome(world: World, place: str, name: NodeName, session: Session | None) -> Outcome:
    """What a session that is held already meets."""
    host, server = world.hosts[name], world.server(name)
    if session is None:
        return Outcome.NOT_TRIED
    if not world.both_ways(place, name) or not host.runs:
        return Outcome.TIMED_OUT
    if session.life != server.life or not server.postmaster:
        return Outcome.LOST
    return Outcome.TIMED_OUT if server.stopped else Outcome.OK


def look(outcome: Outcome, began: float, ended: float, detail: str = "") -> Look:
    return Look(outcome, Instant(began), Instant(ended), detail)


def with_seen_at(answer: Answer, seen_at: float) -> Answer:
    """By the daemon's clock, as its transport stamps it."""
    if answer.facts is None:
        return answer
    return replace(answer, facts=replace(answer.facts, seen_at=Instant(seen_at)))
