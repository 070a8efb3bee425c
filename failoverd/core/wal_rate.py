"""How fast primaries write, in bytes a second, as far as a restart must know it.

Each round of a busy primary may be a little faster than any before it. A record for each would be
several a minute and cluster, for a figure that is told as "at most about": a new one is journaled
where it goes beyond a power of two, and read back as the next one.
"""

from __future__ import annotations

import math


def at_most(rate: float) -> float:
    """The power of two that it is not above. Of itself each is its own: restarts add nothing."""
    return 2.0 ** (math.ceil(rate) - 1).bit_length() if rate > 0 else 0.0
