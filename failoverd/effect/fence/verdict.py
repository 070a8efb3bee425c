"""What a rung that gave no proof comes to."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Goes(enum.StrEnum):
    """What follows a rung that gave no proof."""

    ON = "on"
    """The next rung may have better luck."""
    NUMBERED_ANEW = "numbered anew"
    """Another daemon's act has this number, or a later one."""
    VOID = "void"
    """The dead-man is no proof any more, however long it is waited for."""
    NO_FURTHER = "no further"
    """Who answered must not be fenced at all: another cluster's, a standby by right."""


@dataclass(frozen=True, slots=True)
class NoProof:
    why: str
    goes: Goes = Goes.ON


@dataclass(frozen=True, slots=True)
class Alive:
    """The last look saw it alive: nothing was done."""

    why: str
