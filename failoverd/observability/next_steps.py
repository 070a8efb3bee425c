"""What is left for a person to do after an incident, by how it ended."""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.core.incident import IncidentOutcome
from failoverd.observability import parted
from failoverd.observability.procedure import Told, procedure

FALSE_ALARM = "false_alarm"
UNDER_WAY = "under_way"
ACKNOWLEDGE = (
    "Until `cooldown` has passed no other automatic failover is begun: `failoverd ack` says that"
    " you have seen this one, and ends it."
)
_LEFT: Mapping[str, str] = {
    "Applications were sent over": (
        "See that applications reach the new primary (libpq: `target_session_attrs=read-write`;"
        " `failoverd status` shows where each configured way leads)."
    ),
    "Other standbys follow the new primary": (
        "See in `failoverd status` that every other standby streams from the new primary; one that"
        " is `repointing` is tried again by itself, one that is `diverged` must be brought back"
        " (`failoverd rejoin NODE`)."
    ),
    "The old primary is a standby again": (
        "The old primary is fenced and guarded (`standby.signal`). With `rejoin: auto` and"
        " `replication` it comes back by itself after `rejoin_delay`; else `failoverd rejoin NODE`,"
        " or by hand (docs/recover.md). Never remove the guard to start it as it is: its commits"
        " and the new primary's have parted."
    ),
}


def next_steps(outcome: str, told: Told) -> list[str]:
    """Never empty."""
    match outcome:
        case parted.SPLIT_BRAIN:
            return parted.next_steps(told)
        case IncidentOutcome.SUCCEEDED:
            undone = [step for step, done, _ in procedure(told) if not done]
            left = [words for step, words in _LEFT.items() if step in undone]
            return [*left, *_of_loss(told), *_cooldown(told)]
        case IncidentOutcome.CANCELLED:
            return [
                "Nothing has changed: the primary is the one from before. See above what made"
                " it look dead."
            ]
        case IncidentOutcome.REVERTED | IncidentOutcome.REFUSED:
            return ["See above why no standby could take over; `failoverd status` says what is."]
        case IncidentOutcome.OBSERVED:
            return [
                "Nothing was done, as `failover.mode` wants it: `failoverd failover` would do it."
            ]
        case _ if outcome == FALSE_ALARM:
            return [
                "Nothing was done. If it comes often, see above what made the primary look ill:"
                " a network that loses packets, a server out of connections, or a timeout that is"
                " too short (`detection`, docs/detection.md)."
            ]
        case _:
            return ["It is under way: `failoverd status` says what it waits for, and what to type."]


def _of_loss(told: Told) -> list[str]:
    losses = [entry.loss for _, entry in told if entry.loss is not None]
    if not losses or losses[-1].nothing:
        return []
    if losses[-1].proven:
        return ["Commits are lost: tell whoever owns the data, with the positions above."]
    return ["The loss is an estimate: it is corrected here as soon as the old disk can be read."]


def _cooldown(told: Told) -> list[str]:
    automatic = any(entry.trigger == "automatic" for _, entry in told if entry.outcome is not None)
    return [ACKNOWLEDGE] if automatic else []
