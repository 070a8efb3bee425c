"""What `failoverd explain` shows: each decision of an incident, made again, and why it was made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from failoverd.observability.report import Number
from failoverd.record.codec import encode
from failoverd.record.replay import Replayed

NOT_KEPT = (
    "what it was decided on was not kept here: another daemon has decided it, and explains it, or"
    " an older version of this one"
)


def document(cluster: str, number: Number, replayed: Sequence[Replayed]) -> dict[str, Any]:
    """JSON-able; holds no saved setting."""
    return {
        "id": number,
        "cluster": cluster,
        "same": all(not one.differs for one in replayed),
        "decisions": [_decision(one) for one in replayed],
    }


def _decision(one: Replayed) -> dict[str, Any]:
    entry, why = one.record.entry, one.explanation
    shown = {} if why is None else encode(why, secrets=False)
    return {
        "at": _iso(one.record.at),
        "from_state": str(entry.from_state),
        "to_state": str(entry.to_state),
        "decided": entry.sentence,
        "seen": list(entry.seen),
        "election": None if entry.election is None else encode(entry.election),
        **{name: shown.get(name) for name in _SHOWN},
        "replayed": why is not None,
        "differs": list(one.differs),
    }


_SHOWN = ("event", "diagnosis", "row", "ruled_out", "calls", "rule")


def text(cluster: str, number: Number, replayed: Sequence[Replayed]) -> str:
    """For people."""
    lines = [f"incident {number} of {cluster}: {_verdict(replayed)}"]
    for one in replayed:
        lines += ["", *_told(one)]
    return "\n".join(lines)


def _verdict(replayed: Sequence[Replayed]) -> str:
    again = [one for one in replayed if one.explanation is not None]
    other = sum(bool(one.differs) for one in again)
    counted = f"{len(again)} of {len(replayed)} decisions were made again from what they were made"
    if other:
        return f"{counted} from; {other} of them come out otherwise now"
    return f"{counted} from, and each came out the same"


def _told(one: Replayed) -> list[str]:
    entry, why = one.record.entry, one.explanation
    lines = [f"{_iso(one.record.at)}  {entry.from_state} -> {entry.to_state}", entry.sentence]
    if why is None:
        return [*lines, f"  {NOT_KEPT}"]
    lines.append(f"  happened:  {why.event}")
    if why.diagnosis is not None:
        lines.append(f"  diagnosis: {why.diagnosis}: {why.row}")
        if why.ruled_out:
            lines.append(f"  not:       {', '.join(why.ruled_out)}")
    lines.append(f"  rule:      {why.rule}")
    lines += [f"  seen:      {seen}" for seen in entry.seen]
    if entry.election is not None:
        lines.append(f"  elected:   {entry.election.sentence}")
    if one.differs:
        lines.append(f"  DIFFERS:   decided anew, it comes out otherwise: {', '.join(one.differs)}")
    return lines


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
