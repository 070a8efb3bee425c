"""How fast primaries write, in bytes a second, as far as a restart must know it.

Each round of a busy primary may be a little faster than any before it. A record for each would be
several a minute and cluster, for a figure that is told as "at most about": a new one is journaled
where it reaches the next power of two, and read back as that.
"""

from __future__ import annotations


def octave(rate: float) -> int:
    """What is worth a record when it changes."""
    return int(rate).bit_length()


def at_most(rate: float) -> float:
    """Of what was journaled: the least that nothing seen since can have been above."""
    return float(2 ** octave(rate)) if rate > 0 else 0.0
