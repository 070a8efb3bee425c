"""What other daemons of the same cluster see of the primary, as evidence of this one's.

A daemon that reaches it vetoes: it is alive. One that looks at the same primary and has not told
since our doubt began has yet to be heard before that primary is called unreachable; one that is
gone from the store, since its lease has ended, is not waited for.
"""

from __future__ import annotations

from failoverd.core.model import ClusterView, DaemonReport, Instant, NodeName


def heard_it(view: ClusterView, primary: NodeName) -> list[DaemonReport]:
    """Whoever reached it, at whatever time."""
    return [one for _, one in sorted(view.daemons.items()) if one.heard and one.primary == primary]


def reaches(view: ClusterView, primary: NodeName, since: Instant) -> bool:
    """Some other daemon has, since then."""
    return any(one.looked_at >= since for one in heard_it(view, primary))


def yet_to_tell(view: ClusterView, primary: NodeName, since: Instant) -> bool:
    """Some other daemon looks at it, and has not said since then what it sees."""
    return any(one.primary == primary and one.looked_at < since for one in view.daemons.values())
