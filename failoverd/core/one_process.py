"""What of the memory belongs to one process and one primary, and is left behind with them."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.memory import Memory

OF_ONE_PROCESS = (
    "primary_since",
    "primary_lsn",
    "primary_lsn_at",
    "last_alive_at",
    "failed_rounds",
    "replay_stands",
    "keeping",
    "doubt",
    "shutting_down_since",
    "blinded",
    "seen_since",
    "writable_since",
    "thawed_at",
)
"""Of what is remembered, what belongs to one process and one primary.

How fast it wrote does not: the same applications write on, wherever they are led.
"""


def forgetful(memory: Memory) -> Memory:
    """Without what belonged to one process and one primary."""
    fresh = Memory()
    return replace(memory, **{name: getattr(fresh, name) for name in OF_ONE_PROCESS})
