"""The incident report: Markdown and JSON, a fold of the journal's entries."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failoverd.core.incident import Entry, IncidentOutcome
from failoverd.core.model import CommandRun, WallTime
from failoverd.core.states import StateName
from failoverd.observability import parted
from failoverd.record.codec import encode

Told = Sequence[tuple[WallTime, Entry]]

UNDER_WAY = "under_way"


def outcome(told: Told) -> str:
    """How it ended: succeeded, cancelled, reverted or refused; `under_way` until it has.

    Two primaries that no failover of ours made are `split_brain`.
    """
    if parted.is_split(told):
        return parted.SPLIT_BRAIN
    ends = [entry.outcome for _, entry in told if entry.outcome is not None]
    return str(ends[-1]) if ends else UNDER_WAY


def summary(cluster: str, epoch: int | None, told: Told) -> dict[str, Any]:
    """One line of `failoverd history`; times are UTC, durations seconds.

    Without an epoch: of something that was called for and never begun.
    """
    decided_at, decided = _decided(told)
    ended_at, ended = _ended(told)
    return {
        "id": epoch,
        "cluster": cluster,
        "outcome": outcome(told),
        "trigger": str(decided.trigger),
        "diagnosis": decided.diagnosis,
        "suspected": _iso(told[0][0]),
        "began": _iso(decided_at),
        "ended": _iso(ended_at),
        "duration_s": round(ended_at - told[0][0], 3),
        "sentence": _line(ended.sentence),
    }


def _decided(told: Told) -> tuple[WallTime, Entry]:
    """The step that decided on the fence, or saw two primaries; else the last one."""
    decided = (one for one in told if one[1].to_state is StateName.FENCING or one[1].split)
    return next(decided, told[-1])


def _ended(told: Told) -> tuple[WallTime, Entry]:
    return next((one for one in reversed(told) if one[1].outcome is not None), told[-1])


def document(cluster: str, epoch: int, told: Told) -> dict[str, Any]:
    """Everything that is known of one incident, JSON-able; holds no saved setting."""
    loss = next((entry.loss for _, entry in reversed(told) if entry.loss is not None), None)
    election = next((entry.election for _, entry in told if entry.election is not None), None)
    lines, unreadable = _server_log(told)
    return {
        **summary(cluster, epoch, told),
        "seen": list(_decided(told)[1].seen),
        "election": None if election is None else encode(election),
        "loss": None if loss is None else encode(loss),
        "divergences": [{**encode(one), "sentence": one.sentence} for one in parted.latest(told)],
        "procedure": [
            {"step": step, "done": done, "evidence": said} for step, done, said in procedure(told)
        ],
        "server_log": lines,
        "server_log_unreadable": unreadable,
        "next": _next_steps(told),
        "entries": [{"at": _iso(at), **encode(entry, secrets=False)} for at, entry in told],
    }


def procedure(told: Told) -> Iterator[tuple[str, bool, str]]:
    """What a DBA does by hand, line by line: whether it was done, and what shows it."""
    yield _proved(told)
    yield _answered(told, "The standby was read-only and stood still", "FrozenAt")
    yield _salvaged(told)
    yield _answered(told, "The standby was promoted", "Promoted")
    lines, unreadable = _server_log(told)
    said = f"{len(lines)} lines, below" if lines else unreadable or "not done"
    yield ("The new primary's own log says so", bool(lines), said)
    yield _answered(told, "A new timeline and a committed write were seen", "Confirmed")
    yield _sent_over(told)
    yield ("Other standbys follow the new primary", False, "repoint: not configured")
    yield ("The old primary is a standby again", False, "rejoin: not configured")


def _proved(told: Told) -> tuple[str, bool, str]:
    step = "The old primary is stopped and cannot take writes"
    vouched = [
        entry
        for _, entry in told
        if entry.from_state is StateName.BLOCKED and entry.to_state is StateName.ELECTING
    ]
    if vouched:
        return step, True, _line(vouched[-1].sentence)
    return _answered(told, step, "Fenced")


def _salvaged(told: Told) -> tuple[str, bool, str]:
    """From which disk, how much and how long; or why it was not, in the order it was tried."""
    step = "The standby holds all that the old primary's disk holds"
    done = _answered(told, step, "Salvaged")
    failed = [_line(entry.sentence) for _, entry in told if entry.answer == "NotSalvaged"]
    if done[1] or not failed:
        return (
            done
            if done[1]
            else _or_not_configured(told, step, "Salvaged", StateName.SALVAGING, "salvage")
        )
    return step, False, " / ".join(dict.fromkeys(failed))


def _answered(told: Told, step: str, answer: str) -> tuple[str, bool, str]:
    said = [_line(entry.sentence) for _, entry in told if entry.answer == answer]
    return step, bool(said), " / ".join(dict.fromkeys(said)) if said else "not done"


def _or_not_configured(
    told: Told, step: str, answer: str, state: StateName, name: str
) -> tuple[str, bool, str]:
    lacking = [
        entry for _, entry in told if entry.from_state is state and entry.answer == "NotConfigured"
    ]
    if lacking:
        return step, False, f"{name}: not configured"
    return _answered(told, step, answer)


def _sent_over(told: Told) -> tuple[str, bool, str]:
    """The last answer of each way that there is."""
    last = {entry.target: entry for _, entry in told if entry.target and entry.answer}
    last = {name: entry for name, entry in last.items() if entry.answer != "TargetClosed"}
    step = "Applications were sent over"
    if not last:
        return _or_not_configured(told, step, "Redirected", StateName.SETTLING, "redirect")
    said = " / ".join(_led(entry) for _, entry in sorted(last.items()))
    return step, all(entry.answer == "Redirected" for entry in last.values()), said


def _led(entry: Entry) -> str:
    said = _line(entry.said or entry.sentence)
    return said if entry.answer == "Redirected" else f"NOT YET: {said}"


def _server_log(told: Told) -> tuple[list[str], str]:
    """The new primary's lines, or why they could not be read."""
    confirmed = [entry for _, entry in told if entry.answer == "Confirmed"]
    if not confirmed:
        return [], ""
    lines = list(confirmed[-1].server_log)
    why = confirmed[-1].server_log_unreadable
    return lines, "" if lines else f"not readable: {why or 'no line of it was found'}"


def markdown(cluster: str, epoch: int, told: Told) -> str:
    """For people: what was seen, what was done about it, what to do next."""
    head = summary(cluster, epoch, told)
    sections: list[tuple[str, list[str]]] = [
        ("What was seen, by whom, when it was decided", _seen(told)),
        ("The procedure, line by line", _procedure_lines(told)),
        ("Who took over, and why", _election(told)),
        ("What is lost", _loss(told)),
        ("What only a stale node has", parted.lines(told)),
        ("What the new primary wrote about it", _log_lines(told)),
        ("What to do next", [f"- {step}" for step in _next_steps(told)]),
        ("What happened, in order", [_told_line(at, e, told[0][0]) for at, e in told]),
        ("Commands, with their output", list(_commands(told))),
    ]
    if parted.is_split(told):
        del sections[5], sections[1:4]
    lines = [
        f"# Incident {epoch} of cluster {cluster}: {head['outcome']}",
        "",
        head["sentence"],
        "",
        f"- Trigger: {head['trigger']}; diagnosis: {head['diagnosis'] or 'none'}",
        f"- First suspected {head['suspected']}, decided {head['began']},"
        f" ended {head['ended']}: {head['duration_s']} s in all",
    ]
    for title, content in sections:
        lines += ["", f"## {title}", "", *content]
    return "\n".join(lines) + "\n"


def _seen(told: Told) -> list[str]:
    lines = [f"- {line}" for line in _decided(told)[1].seen]
    return lines or ["Nothing was decided on what was seen."]


def _procedure_lines(told: Told) -> list[str]:
    return [f"- [{'x' if done else ' '}] {step}: {said}" for step, done, said in procedure(told)]


def _election(told: Told) -> list[str]:
    found = [entry.election for _, entry in told if entry.election is not None]
    if not found:
        return ["No election was held."]
    refused = [f"- {node} was refused: {_line(why)}" for node, why in found[-1].refused.items()]
    if found[-1].candidate is None:
        return ["- Nobody could.", *refused]
    position = found[-1].position
    return [f"- {found[-1].candidate} had received the most, up to {position}.", *refused]


def _loss(told: Told) -> list[str]:
    losses = [entry.loss for _, entry in told if entry.loss is not None]
    if not losses:
        return ["Nothing was promoted and confirmed, so nothing."]
    kind = "Proven" if losses[-1].proven else "Estimated"
    return [f"{kind}, in bytes of WAL, which are not commits: {_line(losses[-1].sentence)}."]


def _log_lines(told: Told) -> list[str]:
    lines, unreadable = _server_log(told)
    return _quoted("\n".join(lines)) if lines else [unreadable or "There is no new primary."]


def _told_line(at: WallTime, entry: Entry, began: WallTime) -> str:
    moved = entry.from_state is not entry.to_state
    states = f"{entry.from_state} -> {entry.to_state}" if moved else str(entry.to_state)
    return f"- +{at - began:.3f} s `{states}` {_line(entry.sentence)}"


def _commands(told: Told) -> Iterator[str]:
    runs: list[CommandRun] = [run for _, entry in told for run in entry.runs]
    if not runs:
        yield "None was run."
    for run in runs:
        status = "" if run.exit_status is None else f", exit status {run.exit_status}"
        yield f"{run.node}, {run.duration_s * 1000:.0f} ms{status}:"
        yield ""
        output = run.output.strip() or "(no output)"
        yield from _quoted(f"{run.command.strip()}\n\n{output}")
        yield ""


def _quoted(text: str) -> list[str]:
    """A block that no line inside it can end."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *text.splitlines(), fence]


def _next_steps(told: Told) -> list[str]:
    match outcome(told):
        case parted.SPLIT_BRAIN:
            return parted.next_steps(told)
        case IncidentOutcome.SUCCEEDED:
            return [
                "See that applications reach the new primary (libpq:"
                " `target_session_attrs=read-write`).",
                "The old primary is stopped and guarded (`standby.signal`): rebuild it as a"
                " standby with pg_rewind or pg_basebackup (docs/recover.md). Never remove the"
                " guard to start it as it is: its commits and the new primary's have parted.",
                "Other standbys were detached and follow nobody: point them at the new primary"
                " (docs/recover.md).",
            ]
        case IncidentOutcome.CANCELLED:
            return [
                "Nothing has changed: the primary is the one from before. See above what made"
                " it look dead."
            ]
        case IncidentOutcome.REVERTED | IncidentOutcome.REFUSED:
            return ["See above why no standby could take over; `failoverd status` says what is."]
        case _:
            return ["It is under way: `failoverd status` says what it waits for, and what to type."]


def write(directory: Path, cluster: str, epoch: int, told: Told) -> Path:
    """Both forms, each whole or not at all. Returns the Markdown file's path."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = directory / f"{cluster}-{epoch}"
    written = base.with_name(f"{base.name}.md")
    text = json.dumps(document(cluster, epoch, told), indent=1)
    _replace(base.with_name(f"{base.name}.json"), text + "\n")
    _replace(written, markdown(cluster, epoch, told))
    return written


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text.encode(errors="backslashreplace"))
        stream.flush()
        os.fsync(stream.fileno())
    new.rename(file)


def _line(text: str) -> str:
    """On one line, whatever a server said."""
    return " ".join(text.split())


def _iso(at: WallTime) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
