"""What a report says of two primaries: which commits only one of them has."""

from __future__ import annotations

from collections.abc import Sequence

from failoverd.core.divergence import Divergence
from failoverd.core.incident import Entry
from failoverd.core.model import NodeName, WallTime

Told = Sequence[tuple[WallTime, Entry]]

SPLIT_BRAIN = "split_brain"
"""How an incident is called that was no failover."""


def is_split(told: Told) -> bool:
    """A split brain under its own number, and no failover."""
    return any(entry.split for _, entry in told)


def latest(told: Told) -> list[Divergence]:
    """Of each stale node what was counted last."""
    found: dict[NodeName, Divergence] = {}
    for _, entry in told:
        if entry.divergence is not None:
            found[entry.divergence.node] = entry.divergence
    return [found[name] for name in sorted(found)]


def lines(told: Told) -> list[str]:
    """Each stale node, what only it has, and how to look at it."""
    text: list[str] = []
    for one in latest(told):
        text += [f"- {one.sentence}.", "  To see them, on its host as the owner of the data:", ""]
        text += [f"      {command}" for command in one.commands]
        text.append("")
    return text or ["Nothing was counted: its host did not answer, or nothing had parted."]


def next_steps(told: Told) -> list[str]:
    keep = (
        "Before {node} is rebuilt (pg_rewind and pg_basebackup throw them away), look at what only"
        " it has, and carry over by hand what is missed: start it read-only beside the primary,"
        " or read the WAL with pg_waldump as above (docs/recover.md)."
    )
    parted = [one for one in latest(told) if one.commits or not one.complete]
    return [
        "Exactly one node may take writes: `failoverd adopt NODE` says which, and"
        " `failoverd fence NODE` stops and guards another.",
        *(keep.format(node=one.node) for one in parted),
    ]
