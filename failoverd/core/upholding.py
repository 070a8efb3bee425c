"""`synchronous: managed`: which standbys the primary waits for, so that none of them is dead.

The names follow the standbys that keep up: ANY k of them. A standby that has kept up with
nobody for as long as a primary may be silent is dropped, and that is written down before it is
done, with the promise declared void: a commit may now be acknowledged that no survivor has.
A standby that streams again is added at once. Source: PostgreSQL documentation,
"Synchronous Replication".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from failoverd.core.model import NodeName, ServerFacts
from failoverd.core.policy import Policy
from failoverd.core.promise import Promise, voided
from failoverd.core.situation import Machine
from failoverd.core.synchronous import Requirement, parse
from failoverd.core.waited_for import Keeping, SyncChange


def upheld(m: Machine, policy: Policy) -> Machine:
    """With the change of the setting that the latest view calls for, if it calls for one."""
    if not policy.synchronous_managed or m.memory.primary is None:
        return replace(m, synchronous=None) if m.synchronous is not None else m
    report = m.primary_report
    if report.server is None or not report.writable or not report.round:
        return m
    others = [node for node in policy.nodes if node != m.memory.primary]
    keeping = {node: _keeping(node, others, report.server, m) for node in others}
    if keeping != m.memory.keeping:
        m = replace(m, memory=replace(m.memory, keeping=keeping))
    wanted = _wanted(m, report.server, policy)
    now = report.server.synchronous_standby_names
    if _same(now, wanted):
        return _in_force(m, report.server)
    if m.synchronous is not None and m.synchronous.names == wanted:
        return m
    lowers = _lowers(now, wanted)
    promise = voided(m.memory.promise) if lowers else _pending(m.memory.promise, wanted)
    memory = replace(m.memory, promise=promise)
    return replace(m, memory=memory, synchronous=SyncChange(wanted, lowers))


def _in_force(m: Machine, server: ServerFacts) -> Machine:
    """As it should be; a promise that was declared void holds from here on at the earliest."""
    promise = m.memory.promise
    if promise is not None and promise.void:
        anew = Promise(promise.standby_names, promise.synchronous, since=server.written_lsn)
        m = replace(m, memory=replace(m.memory, promise=anew))
    return m if m.synchronous is None else replace(m, synchronous=None)


def _pending(promise: Promise | None, wanted: str) -> Promise | None:
    return None if promise is None else replace(promise, pending=wanted)


def _keeping(
    node: NodeName, others: Sequence[NodeName], primary: ServerFacts, m: Machine
) -> Keeping:
    """The primary streams to it, and it has everything, or more than a look before.

    A row alone says nothing: it stays until wal_sender_timeout, whatever became of the standby.
    """
    before, name = m.memory.keeping.get(node), name_of(node, m)
    if before is not None and before.seen_at == primary.seen_at:
        return before
    flushed = [
        s.flush_lsn
        for s in primary.senders
        if s.application_name.lower() == name.lower() and s.streams
    ]
    # Of those that share a name only so many are there as rows.
    bearers = sorted(n for n in others if name_of(n, m).lower() == name.lower())
    rank = bearers.index(node)
    found = flushed[rank] if rank < len(flushed) else None
    known = before.flushed if before is not None else None
    level = found is not None and (primary.written_lsn is None or found >= primary.written_lsn)
    ahead = found is not None and (known is None or found > known)
    if level or ahead:
        return Keeping(found, primary.seen_at, None)
    since = None if before is None else before.away_since
    return Keeping(found, primary.seen_at, primary.seen_at if since is None else since)


def name_of(node: NodeName, m: Machine) -> str:
    return m.memory.application_names.get(node, node)


def _wanted(m: Machine, primary: ServerFacts, p: Policy) -> str:
    now = parse(primary.synchronous_standby_names)
    names: list[str] = []
    for node, one in sorted(p.nodes.items()):
        if node == m.memory.primary or one.never or m.kept_out(node):
            continue
        away = m.memory.keeping[node].away_since
        gone_s = None if away is None else primary.seen_at - away
        named = now is not None and "*" not in now.names and now.covers(name_of(node, m))
        if gone_s is None or (named and gone_s < p.threshold_s):
            names.append(name_of(node, m))
    if not names:
        return ""
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    return f"ANY {min(p.synchronous_count, len(names))} ({quoted})"


def _same(now: str, wanted: str) -> bool:
    one, other = parse(now), parse(wanted)
    if one is None or other is None:
        return one is other
    return one.count == other.count and set(one.names) == set(other.names)


def _lowers(now: str, wanted: str) -> bool:
    """A commit that was acknowledged before may be on none of those that are named now."""
    one, other = parse(now), parse(wanted)
    return one is not None and (other is None or _drops(one, other))


def _drops(one: Requirement, other: Requirement) -> bool:
    return bool(set(one.names) - set(other.names)) or other.count < one.count
