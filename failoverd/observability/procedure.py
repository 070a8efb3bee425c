"""What a DBA does by hand in a failover, line by line: whether it was done, and what shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from failoverd.core.incident import Entry
from failoverd.core.model import WallTime
from failoverd.core.states import StateName

Told = Sequence[tuple[WallTime, Entry]]
Line = tuple[str, bool, str]
"""A step, whether it was done, and what shows it."""


def procedure(told: Told) -> Iterator[Line]:
    """Every step, also those that were not done, with the reason where one is known."""
    yield _proved(told)
    yield _answered(told, "The standby was read-only and stood still", "FrozenAt")
    yield _salvaged(told)
    yield _answered(told, "The standby was promoted", "Promoted")
    lines, unreadable = server_log(told)
    said = f"{len(lines)} lines, below" if lines else unreadable or "not done"
    yield ("The new primary's own log says so", bool(lines), said)
    yield _answered(told, "A new timeline and a committed write were seen", "Confirmed")
    yield _sent_over(told)
    yield _followed(told)
    yield _rejoined(told)


def _proved(told: Told) -> Line:
    step = "The old primary is stopped and cannot take writes"
    vouched = [
        entry
        for _, entry in told
        if entry.from_state is StateName.BLOCKED and entry.to_state is StateName.ELECTING
    ]
    if vouched:
        return step, True, on_one_line(vouched[-1].sentence)
    return _answered(told, step, "Fenced")


def _salvaged(told: Told) -> Line:
    """From which disk, how much and how long; or why it was not, in the order it was tried."""
    step = "The standby holds all that the old primary's disk holds"
    done = _answered(told, step, "Salvaged")
    failed = [on_one_line(entry.sentence) for _, entry in told if entry.answer == "NotSalvaged"]
    if done[1] or not failed:
        return (
            done
            if done[1]
            else _or_not_configured(told, step, "Salvaged", StateName.SALVAGING, "salvage")
        )
    return step, False, " / ".join(dict.fromkeys(failed))


def _answered(told: Told, step: str, answer: str) -> Line:
    said = [on_one_line(entry.sentence) for _, entry in told if entry.answer == answer]
    return step, bool(said), " / ".join(dict.fromkeys(said)) if said else "not done"


def _or_not_configured(told: Told, step: str, answer: str, state: StateName, name: str) -> Line:
    lacking = [
        entry for _, entry in told if entry.from_state is state and entry.answer == "NotConfigured"
    ]
    if lacking:
        return step, False, f"{name}: not configured"
    return _answered(told, step, answer)


def _sent_over(told: Told) -> Line:
    """The last answer of each way that there is."""
    last = {entry.target: entry for _, entry in told if entry.target and entry.answer}
    last = {name: entry for name, entry in last.items() if entry.answer != "TargetClosed"}
    step = "Applications were sent over"
    if not last:
        return _or_not_configured(told, step, "Redirected", StateName.SETTLING, "redirect")
    said = " / ".join(_led(entry) for _, entry in sorted(last.items()))
    return step, all(entry.answer == "Redirected" for entry in last.values()), said


def _led(entry: Entry) -> str:
    said = on_one_line(entry.said or entry.sentence)
    return said if entry.answer == "Redirected" else f"NOT YET: {said}"


def _followed(told: Told) -> Line:
    """Told to follow is what is journaled; `failoverd status` says who streams."""
    step = "Other standbys follow the new primary"
    done = _answered(told, step, "Repointed")
    if done[1]:
        return done
    elections = [entry.election for _, entry in told if entry.election is not None]
    if elections and elections[-1].candidate is not None and not elections[-1].refused:
        return step, True, "there is no other standby"
    return done


def _rejoined(told: Told) -> Line:
    step = "The old primary is a standby again"
    done = _answered(told, step, "Rejoined")
    return done if done[1] else (step, False, "not yet")


def server_log(told: Told) -> tuple[list[str], str]:
    """The new primary's lines, or why they could not be read."""
    confirmed = [entry for _, entry in told if entry.answer == "Confirmed"]
    if not confirmed:
        return [], ""
    lines = list(confirmed[-1].server_log)
    why = confirmed[-1].server_log_unreadable
    return lines, "" if lines else f"not readable: {why or 'no line of it was found'}"


def on_one_line(text: str) -> str:
    """Whatever a server said."""
    return " ".join(text.split())
