"""The incident report: Markdown and JSON, a fold of the journal's entries."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from failoverd.core.incident import Entry
from failoverd.core.model import WallTime
from failoverd.core.states import StateName
from failoverd.record.codec import encode

Told = Sequence[tuple[WallTime, Entry]]

PROCEDURE: tuple[tuple[str, str, str], ...] = (
    ("the old primary is stopped and cannot take writes", "Fenced", ""),
    ("the standby was read-only and stood still", "FrozenAt", ""),
    ("missing WAL was salvaged", "Salvaged", "salvage"),
    ("the standby was promoted", "Promoted", ""),
    ("the new timeline and a committed write were seen", "Confirmed", ""),
    ("applications were sent over", "Redirected", "redirect"),
)
"""A DBA's manual procedure, line by line: what proves it, and what says "not configured"."""


def outcome(told: Told) -> str:
    """confirmed, reverted, blocked or unfinished."""
    if any(entry.outcome == "Confirmed" for _, entry in told):
        return "confirmed"
    last = told[-1][1].to_state if told else None
    if any(entry.from_state is StateName.REVERTING for _, entry in told):
        return "reverted"
    return "blocked" if last is StateName.BLOCKED else "unfinished"


def summary(cluster: str, epoch: int, told: Told) -> dict[str, Any]:
    """One line of `failoverd history`."""
    first, last = told[0], told[-1]
    return {
        "id": epoch,
        "cluster": cluster,
        "outcome": outcome(told),
        "trigger": first[1].trigger,
        "diagnosis": first[1].diagnosis,
        "began": _iso(first[0]),
        "ended": _iso(last[0]),
        "duration_s": round(last[0] - first[0], 3),
        "sentence": _closing(told),
    }


def _closing(told: Told) -> str:
    for _, entry in reversed(told):
        if entry.outcome == "Confirmed":
            return entry.sentence
    return told[-1][1].sentence


def document(cluster: str, epoch: int, told: Told) -> dict[str, Any]:
    """Everything that is known of one incident, JSON-able; holds no secret."""
    return {
        **summary(cluster, epoch, told),
        "entries": [{"at": _iso(at), **encode(entry, secrets=False)} for at, entry in told],
        "procedure": [
            {"step": step, "done": done, "evidence": said} for step, done, said in _procedure(told)
        ],
        "server_log": [line for _, entry in told for line in getattr(entry, "server_log", ())],
    }


def _procedure(told: Told) -> Iterable[tuple[str, bool, str]]:
    for step, proof, unconfigured in PROCEDURE:
        entry = next((e for _, e in told if e.outcome == proof), None)
        if entry is not None:
            yield step, True, entry.sentence
        elif unconfigured:
            yield step, False, f"{unconfigured}: not configured"
        else:
            yield step, False, "not done"


def markdown(cluster: str, epoch: int, told: Told) -> str:
    """For people: what was seen, what was done about it, what to do next."""
    head = summary(cluster, epoch, told)
    lines = [
        f"# Incident {epoch} of cluster {cluster}: {head['outcome']}",
        "",
        head["sentence"],
        "",
        f"- Trigger: {head['trigger']}; diagnosis: {head['diagnosis']}",
        f"- From {head['began']} to {head['ended']} ({head['duration_s']} s)",
        "",
        "## The procedure, line by line",
        "",
        *(f"- [{'x' if done else ' '}] {step}: {said}" for step, done, said in _procedure(told)),
        "",
        "## What the new primary wrote about it",
        "",
        *_server_log(told),
        "",
        "## What happened, in order",
        "",
        *(_line(at, entry, told[0][0]) for at, entry in told),
        "",
        "## Commands, with their output",
        "",
        *_commands(told),
        "## What to do next",
        "",
        *_next_steps(told),
    ]
    return "\n".join(lines) + "\n"


def _server_log(told: Told) -> list[str]:
    found = [line for _, entry in told for line in getattr(entry, "server_log", ())]
    if not found:
        return ["not readable: set `server_log` to the path of the server's log file"]
    return ["```", *found, "```"]


def _line(at: WallTime, entry: Entry, began: WallTime) -> str:
    moved = entry.from_state is not entry.to_state
    states = f"{entry.from_state} -> {entry.to_state}" if moved else str(entry.to_state)
    return f"- +{at - began:.3f} s  `{states}`  {entry.sentence}"


def _commands(told: Told) -> list[str]:
    lines: list[str] = []
    for _, entry in told:
        for run in entry.runs:
            status = "" if run.exit_status is None else f", exit status {run.exit_status}"
            took = f"{run.duration_s * 1000:.0f} ms"
            command = " ".join(run.command.split())
            lines += [f"{run.node}: `{command}` ({took}{status})", "", "```"]
            lines += [run.output.strip() or "(no output)", "```", ""]
    return lines or ["none", ""]


def _next_steps(told: Told) -> list[str]:
    match outcome(told):
        case "confirmed":
            return [
                "- See that applications reach the new primary (libpq:"
                " `target_session_attrs=read-write`).",
                "- The old primary is stopped and guarded (`standby.signal`,"
                " `failoverd.guard`): rebuild it as a standby with pg_rewind or pg_basebackup"
                " (docs/recover.md). Never remove the guard to start it as it is.",
                "- Other standbys were detached and follow nobody: point them at the new"
                " primary (docs/recover.md).",
            ]
        case "reverted":
            return ["- The guard was taken back. See why no standby could take over, above."]
        case _:
            return ["- `failoverd status` says what it waits for, and what to type."]


def write(directory: Path, cluster: str, epoch: int, told: Told) -> Path:
    """Both forms, whole or not at all. Returns the Markdown file's path."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = directory / f"{cluster}-{epoch}"
    text = json.dumps(document(cluster, epoch, told), indent=1)
    _replace(base.with_suffix(".json"), text)
    _replace(base.with_suffix(".md"), markdown(cluster, epoch, told))
    return base.with_suffix(".md")


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.rename(file)


def _iso(at: WallTime) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
