"""The incident report: Markdown and JSON, a fold of the journal's entries."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failoverd.core.incident import Entry
from failoverd.core.model import CommandRun, WallTime
from failoverd.core.states import StateName
from failoverd.observability import parted
from failoverd.observability.next_steps import FALSE_ALARM, UNDER_WAY, next_steps
from failoverd.observability.procedure import Told, on_one_line, procedure, server_log
from failoverd.observability.timeline_picture import picture
from failoverd.record.codec import encode

Number = int | str
"""An incident has its epoch; what never became one has `s` and the number of its record."""
WITHOUT_PROCEDURE = frozenset({FALSE_ALARM, "observed", "refused"})
_CALLED = {"switchover": "Switchover", "false_alarm": "False alarm", "refused": "Refusal"}


def outcome(told: Told) -> str:
    """How it ended: succeeded, cancelled, reverted or refused; `under_way` until it has.

    Two primaries that no failover of ours made are `split_brain`; a suspicion that nothing came
    of is a `false_alarm`.
    """
    if parted.is_split(told):
        return parted.SPLIT_BRAIN
    ends = [entry.outcome for _, entry in told if entry.outcome is not None]
    if ends:
        return str(ends[-1])
    begun = any(entry.to_state is StateName.FENCING for _, entry in told)
    return UNDER_WAY if begun or told[-1][1].to_state is StateName.SUSPECT else FALSE_ALARM


def summary(cluster: str, number: Number, told: Told) -> dict[str, Any]:
    """One line of `failoverd history`; times are UTC, durations seconds."""
    decided_at, decided = _decided(told)
    ended_at, ended = _ended(told)
    return {
        "id": number,
        "cluster": cluster,
        "outcome": outcome(told),
        "trigger": str(decided.trigger),
        "diagnosis": decided.diagnosis,
        "suspected": _iso(told[0][0]),
        "began": _iso(decided_at),
        "ended": _iso(ended_at),
        "duration_s": round(ended_at - told[0][0], 3),
        "sentence": on_one_line(ended.sentence),
    }


def _decided(told: Told) -> tuple[WallTime, Entry]:
    """The step that decided on the fence, or saw two primaries, or refused; else the first one."""
    decided = (one for one in told if one[1].to_state is StateName.FENCING or one[1].split)
    refused = (one for one in told if one[1].outcome is not None)
    return next(decided, next(refused, told[0]))


def _ended(told: Told) -> tuple[WallTime, Entry]:
    return next((one for one in reversed(told) if one[1].outcome is not None), told[-1])


def document(cluster: str, number: Number, told: Told) -> dict[str, Any]:
    """Everything that is known of one incident, JSON-able; holds no saved setting."""
    loss = next((entry.loss for _, entry in reversed(told) if entry.loss is not None), None)
    election = next((entry.election for _, entry in told if entry.election is not None), None)
    lines, unreadable = server_log(told)
    return {
        **summary(cluster, number, told),
        "seen_first": list(told[0][1].seen),
        "seen": list(_decided(told)[1].seen),
        "election": None if election is None else encode(election),
        "loss": None if loss is None else encode(loss),
        "salvaged_bytes": salvaged_bytes(told),
        "divergences": [{**encode(one), "sentence": one.sentence} for one in parted.latest(told)],
        "procedure": [
            {"step": step, "done": done, "evidence": said} for step, done, said in procedure(told)
        ],
        "server_log": lines,
        "server_log_unreadable": unreadable,
        "next": next_steps(outcome(told), told),
        "entries": [{"at": _iso(at), **encode(entry, secrets=False)} for at, entry in told],
    }


def salvaged_bytes(told: Told) -> int:
    """WAL that was brought over, in all."""
    return sum(entry.salvaged_bytes for _, entry in told)


def title(cluster: str, number: Number, told: Told) -> str:
    """What it was, in a line."""
    head = summary(cluster, number, told)
    called = _CALLED.get(head["outcome"]) or _CALLED.get(head["trigger"]) or "Incident"
    return f"{called} {number} of cluster {cluster}: {head['outcome']}"


def markdown(cluster: str, number: Number, told: Told) -> str:
    """For people: what was seen, what was done about it, what to do next."""
    head = summary(cluster, number, told)
    lines = [
        f"# {title(cluster, number, told)}",
        "",
        head["sentence"],
        "",
        f"- Trigger: {head['trigger']}; diagnosis: {head['diagnosis'] or 'none'}",
        f"- First suspected {head['suspected']}, decided {head['began']},"
        f" ended {head['ended']}: {head['duration_s']} s in all",
        "",
        f"![Its course as a picture](./{cluster}-{number}.svg)",
    ]
    for heading, content in _sections(head["outcome"], told):
        lines += ["", f"## {heading}", "", *content]
    return "\n".join(lines) + "\n"


def _sections(ended: str, told: Told) -> Iterator[tuple[str, list[str]]]:
    """What to do comes first: whoever opens this was woken by it."""
    yield "What to do next", [f"- {step}" for step in next_steps(ended, told)]
    if told[0][1].seen != _decided(told)[1].seen:
        yield "What was seen first, by whom", _seen(told[0][1])
    yield "What was seen, by whom, when it was decided", _seen(_decided(told)[1])
    if ended not in WITHOUT_PROCEDURE and ended != parted.SPLIT_BRAIN:
        yield "The procedure, line by line", _procedure_lines(told)
        yield "Who took over, and why", _election(told)
        yield "What is lost, and what was saved", _loss(told)
    if ended not in WITHOUT_PROCEDURE:
        yield "What only a stale node has", parted.lines(told)
    if ended not in WITHOUT_PROCEDURE and ended != parted.SPLIT_BRAIN:
        yield "What the new primary wrote about it", _log_lines(told)
    yield "What happened, in order", [_told_line(at, e, told[0][0]) for at, e in told]
    yield "Commands, with their output", list(_commands(told))


def _seen(entry: Entry) -> list[str]:
    lines = [f"- {line}" for line in entry.seen]
    return lines or ["Nothing was decided on what was seen."]


def _procedure_lines(told: Told) -> list[str]:
    return [f"- [{'x' if done else ' '}] {step}: {said}" for step, done, said in procedure(told)]


def _election(told: Told) -> list[str]:
    found = [entry.election for _, entry in told if entry.election is not None]
    if not found:
        return ["No election was held."]
    refused = [
        f"- {node} was refused: {on_one_line(why)}" for node, why in found[-1].refused.items()
    ]
    if found[-1].candidate is None:
        return ["- Nobody could.", *refused]
    position = found[-1].position
    return [f"- {found[-1].candidate} had received the most, up to {position}.", *refused]


def _loss(told: Told) -> list[str]:
    losses = [entry.loss for _, entry in told if entry.loss is not None]
    if not losses:
        return ["Nothing was promoted and confirmed, so nothing."]
    kind = "Proven" if losses[-1].proven else "Estimated"
    lost = f"- {kind}, in bytes of WAL, which are not commits: {on_one_line(losses[-1].sentence)}."
    return [lost, f"- Brought over from a disk before the promotion: {salvaged_bytes(told)} bytes."]


def _log_lines(told: Told) -> list[str]:
    lines, unreadable = server_log(told)
    return _quoted("\n".join(lines)) if lines else [unreadable or "There is no new primary."]


def _told_line(at: WallTime, entry: Entry, began: WallTime) -> str:
    moved = entry.from_state is not entry.to_state
    states = f"{entry.from_state} -> {entry.to_state}" if moved else str(entry.to_state)
    return f"- +{at - began:.3f} s `{states}` {on_one_line(entry.sentence)}"


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


def drawn(cluster: str, number: Number, told: Told) -> str:
    """Its course as SVG."""
    return picture(title(cluster, number, told), told)


def write(directory: Path, cluster: str, number: Number, told: Told) -> Path:
    """Each form whole or not at all. Returns the Markdown file's path."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = directory / f"{cluster}-{number}"
    written = base.with_name(f"{base.name}.md")
    text = json.dumps(document(cluster, number, told), indent=1)
    _replace(base.with_name(f"{base.name}.json"), text + "\n")
    _replace(base.with_name(f"{base.name}.svg"), drawn(cluster, number, told))
    _replace(written, markdown(cluster, number, told))
    return written


def forget_all_but(directory: Path, cluster: str, kept: int) -> None:
    """Of what never became an incident only the newest reports stay on the disk."""
    found = sorted(
        (file for file in directory.glob(f"{cluster}-s*.md")),
        key=lambda file: file.stat().st_mtime,
    )
    for file in found[:-kept]:
        for form in (".md", ".json", ".svg"):
            file.with_suffix(form).unlink(missing_ok=True)


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text.encode(errors="backslashreplace"))
        stream.flush()
        os.fsync(stream.fileno())
    new.rename(file)


def _iso(at: WallTime) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
