"""What stays is not looked through for garbage, and what comes and goes hardly ever.

Each round replaces what is known of its cluster, so that about 150 objects of each are young
at any moment: of a thousand clusters every look takes 50 ms or more, and finds nothing.
"""

from __future__ import annotations

import gc

BETWEEN = 500
"""Objects more between two looks for garbage: mostly asyncio's transports, which refer to
themselves. One cluster closes two connections a second: 10,000 objects are 2.5 MB, after seven
minutes. Source: Python documentation, gc.set_threshold."""
OF_EACH = 200
"""As many of each cluster come and go without being garbage, when many rounds are in flight."""


def leave_alone_what_stays() -> None:
    """Before anything is watched: all of it is looked through once, and never again."""
    gc.collect()
    leave_alone_what_came(0)


def leave_alone_what_came(clusters: int) -> None:
    """Without a look, which would go through whatever all clusters that are watched have replaced.

    So many are watched. The little that is garbage by now stays, too; what of the rest ends later
    is freed as ever, but for what refers to itself.
    """
    gc.freeze()
    gc.set_threshold(BETWEEN + OF_EACH * clusters)
