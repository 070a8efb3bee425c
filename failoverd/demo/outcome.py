"""What the demo proves, and how it says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from failoverd.core.states import StateName
from failoverd.demo.screen import Colour, Screen
from failoverd.demo.watched import Sample
from failoverd.demo.writer import Outage

Transition = tuple[str, str, str]
"""From, to, trigger: the labels of failoverd_state_transitions_total."""

_CONFIRMED = {("confirming", "settling"), ("confirming", "watching")}


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that the summary shows, read from outside of the daemon."""

    outage: Outage | None
    acknowledged: int
    lost: frozenset[int]
    """Numbers that the writer was told are committed, and that the new primary does not have."""
    timeline_before: int
    timeline_after: int | None
    state: str
    primary: str
    transitions: Mapping[Transition, int]
    """Since the fault."""
    failovers: Mapping[tuple[str, str], int]
    """Trigger and outcome, since the fault: failoverd_failovers_total."""
    report: Path | None

    @property
    def confirmed(self) -> bool:
        return any((before, to) in _CONFIRMED for before, to, _ in self.transitions)

    def shortcomings(self, standby: str) -> tuple[str, ...]:
        """Why this was not a failover as it should be; empty if it was."""
        checks = (
            (self.primary == standby, f"the primary is {self.primary or 'unknown'}"),
            (self.confirmed, f"the promotion was not confirmed; the daemon is {self.state}"),
            (
                self.timeline_after is not None and self.timeline_after > self.timeline_before,
                "there is no new timeline",
            ),
            (self.outage is not None, "the writer could not go on"),
            (self.acknowledged > 0, "the writer wrote nothing"),
            (not self.lost, f"{len(self.lost)} acknowledged commits are lost"),
            (self.report is not None, "there is no report"),
        )
        return tuple(wrong for holds, wrong in checks if not holds)


def transitions(samples: Iterable[Sample]) -> Counter[Transition]:
    """What the counter says, by labels; those at zero are left out."""
    return Counter(
        {
            (s.labels["from_state"], s.labels["to_state"], s.labels.get("trigger", "")): int(
                s.value
            )
            for s in samples
            if s.name == "failoverd_state_transitions_total" and s.value
        }
    )


def failovers(samples: Iterable[Sample]) -> Counter[tuple[str, str]]:
    return Counter(
        {
            (s.labels["trigger"], s.labels["outcome"]): int(s.value)
            for s in samples
            if s.name == "failoverd_failovers_total" and s.value
        }
    )


def show(result: Result, standby: str, screen: Screen) -> bool:
    """Print the summary; True if all is as it should be."""
    screen.say()
    screen.say("Summary", Colour.BOLD)
    for name, value in _rows(result):
        screen.say(f"  {name:24}{value}")
    screen.say("  state transitions       from /metrics, failoverd_state_transitions_total")
    for (before, to, trigger), count in sorted(result.transitions.items(), key=_procedure_order):
        screen.say(f"    {before:>12} -> {to:12} {trigger:10} {count}")
    wrong = result.shortcomings(standby)
    screen.say()
    for sentence in wrong:
        screen.say(f"Not as it should be: {sentence}.", Colour.RED)
    if not wrong:
        screen.say(
            f"Failover done and confirmed: {standby} is the primary, nothing acknowledged is lost.",
            Colour.GREEN,
        )
    return not wrong


def _procedure_order(counted: tuple[Transition, int]) -> int:
    names = [str(name) for name in StateName]
    before = counted[0][0]
    return names.index(before) if before in names else len(names)


def _rows(result: Result) -> tuple[tuple[str, str], ...]:
    pause = "-" if result.outage is None else f"{result.outage.milliseconds:.0f} ms"
    lost = len(result.lost)
    after = "-" if result.timeline_after is None else str(result.timeline_after)
    counted = ", ".join(f"{trigger} {word}: {n}" for (trigger, word), n in result.failovers.items())
    return (
        ("outage", f"{pause}, from the writer's last acknowledgement to its next"),
        ("acknowledged commits", f"{result.acknowledged}, of which lost: {lost}"),
        ("timeline", f"{result.timeline_before} before, {after} after"),
        ("primary now", result.primary or "-"),
        ("failovers", counted or "none"),
        ("report", str(result.report) if result.report else "none"),
    )
