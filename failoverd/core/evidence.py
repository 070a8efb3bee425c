"""What the facts say about the primary: one named predicate per kind of evidence.

Each reads one view and the memory that has folded it. A look counts only in the round
it belongs to: what a host or a socket said before the primary was last asked is no
evidence about now.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from failoverd.core import other_daemons
from failoverd.core.dead_man import FIRED
from failoverd.core.memory import Memory, calibrated, direct, heard_by
from failoverd.core.model import (
    SILENT,
    SPOKE,
    ClusterView,
    ControlState,
    Guard,
    HostFacts,
    Instant,
    NodeReport,
    Outcome,
)
from failoverd.core.policy import Policy
from failoverd.core.writers import at_once


@dataclass(frozen=True)
class Situation:
    """What a predicate sees: the present view, the memory before it, the policy."""

    view: ClusterView
    memory: Memory
    policy: Policy

    @functools.cached_property
    def primary(self) -> NodeReport:
        assert self.memory.primary is not None
        return self.view.report(self.memory.primary)

    @functools.cached_property
    def standbys(self) -> tuple[NodeReport, ...]:
        assert self.memory.primary is not None
        return self.view.others(self.memory.primary)


NO_ANSWER = SILENT | {Outcome.FAILING}
NOT_WRITTEN = NO_ANSWER | {Outcome.REJECTED}
REFUSALS = frozenset({Outcome.TOO_MANY_CONNECTIONS, Outcome.SHUTTING_DOWN, Outcome.REJECTED})


def sql_is_silent(s: Situation) -> bool:
    """Neither the held session nor a fresh connection says anything that a server says."""
    return not s.primary.heard and s.primary.fresh.outcome in NO_ANSWER


def blind(s: Situation) -> bool:
    if s.primary.ours or s.view.our_network_down or s.view.journal_failing:
        return True
    return not any(r.heard or (r.host.look.ok and r.host_of_now) for r in s.view.nodes.values())


def split_brain(s: Situation) -> bool:
    return at_once(s.view, s.memory)


def demoted(s: Situation) -> bool:
    """As it says itself; or, once it was stopped, as its own files do."""
    if guarded_by_us(s):
        return False
    server, facts = s.primary.server, host_look(s)
    if server is not None:
        return server.in_recovery
    return facts is not None and facts.guard is Guard.FOREIGN


def guarded_by_us(s: Situation) -> bool:
    """Whoever starts the server of that data directory gets it read-only."""
    facts = s.primary.host.facts
    return s.primary.host_of_now and facts is not None and facts.guard is Guard.OURS


def misconfigured(s: Situation) -> bool:
    server = s.primary.server
    if server is not None and server.system_identifier != s.memory.system_identifier:
        return s.memory.system_identifier is not None
    if Outcome.MISCONFIGURED in (s.primary.held.outcome, s.primary.fresh.outcome):
        return True
    # A permission that our role lacks; of a server that is gone the last write says nothing.
    return answers(s) and s.primary.write.outcome is Outcome.MISCONFIGURED


def answers(s: Situation) -> bool:
    return s.primary.held.ok and s.primary.fresh.ok and s.primary.writable


def read_only(s: Situation) -> bool:
    return answers(s) and s.primary.server is not None and s.primary.server.read_only


def sync_blocked(s: Situation) -> bool:
    server = s.primary.server
    if not answers(s) or server is None or not server.sync_waiters:
        return False
    return not any(sender.sync_state in ("sync", "quorum") for sender in server.senders)


def unwritable(s: Situation) -> bool:
    return answers(s) and s.primary.write.outcome in NOT_WRITTEN


def healthy(s: Situation) -> bool:
    return answers(s) and not read_only(s) and not sync_blocked(s) and not unwritable(s)


def busy(s: Situation) -> bool:
    return s.primary.held.outcome in REFUSALS or s.primary.fresh.outcome in REFUSALS


def recovering(s: Situation) -> bool:
    return Outcome.STARTING_UP in (s.primary.held.outcome, s.primary.fresh.outcome)


def somebody_hears(s: Situation) -> bool:
    return any(heard_by(r, s.primary, s.memory, s.policy) is not None for r in s.standbys)


def local_socket(s: Situation) -> Outcome:
    """On its own host's Unix socket, in this round."""
    look = s.primary.host.local_socket
    return look.outcome if look.began_at >= s.primary.began_at else Outcome.NOT_TRIED


def partitioned(s: Situation) -> bool:
    """New sessions get nowhere from here, and somebody else's do; or it is heard as it was."""
    if s.primary.fresh.outcome not in SILENT:
        return False
    if local_socket(s) in SPOKE or any(reaches(r, s) for r in s.standbys):
        return True
    if another_daemon_reaches(s):
        return True
    if s.primary.heard:
        return False
    return somebody_hears(s) and local_socket(s) is not Outcome.TIMED_OUT


def reaches(standby: NodeReport, s: Situation) -> bool:
    """In this doubt the host of that standby has connected to the primary."""
    look = standby.reach_primary
    return look.outcome in SPOKE and look.began_at >= doubted_since(s)


def another_daemon_reaches(s: Situation) -> bool:
    """In this doubt, by a connection of its own."""
    return other_daemons.reaches(s.view, s.primary.name, doubted_since(s))


def doubted_since(s: Situation) -> Instant:
    doubt = s.memory.doubt
    return s.primary.began_at if doubt is None else doubt.heard_after


def host_look(s: Situation) -> HostFacts | None:
    """The host's facts, if this round asked for them and the look is calibrated (rule 3)."""
    return calibrated(s.memory, s.primary)


def nothing_runs(s: Situation) -> HostFacts | None:
    facts = host_look(s)
    if facts is None or facts.processes or facts.listener or not sql_is_silent(s):
        return None
    return None if s.primary.held.ok or some_standby_streams(s) else facts


def some_standby_streams(s: Situation) -> bool:
    """A reachable direct standby has a receiver row that streams from the primary."""
    for report in s.standbys:
        server = report.server
        if server is None or server.receiver is None or not server.receiver.streams:
            continue
        if direct(server.receiver, s.primary.name, s.policy):
            return True
    return False


SHUT_DOWN = frozenset({ControlState.SHUT_DOWN, ControlState.SHUT_DOWN_IN_RECOVERY})


def crashed(s: Situation) -> bool:
    facts = nothing_runs(s)
    died = facts is not None and facts.control_state not in SHUT_DOWN
    return died or ended_by_its_dead_man(s)


def ended_by_its_dead_man(s: Situation) -> bool:
    """And whoever has started it since got a standby of nobody."""
    facts, server = host_look(s), s.primary.server
    held_down = facts is not None and facts.dead_man == FIRED and guarded_by_us(s)
    return held_down and server is not None and server.in_recovery and server.receiver is None


def stopped(s: Situation) -> bool:
    facts = nothing_runs(s)
    return facts is not None and facts.control_state in SHUT_DOWN


def half_hung(s: Situation) -> bool:
    """From here and on its own Unix socket alike new sessions wait in vain."""
    waits = {s.primary.fresh.outcome, local_socket(s)} == {Outcome.TIMED_OUT}
    return waits and (s.primary.held.ok or somebody_hears(s))


def hung(s: Situation) -> bool:
    """Every way in waits in vain; or only orphans of a dead postmaster are left, who may write.

    A port or socket that refuses while the postmaster lives is no hang: it listens elsewhere.
    """
    facts = host_look(s)
    if facts is None or not facts.processes or not sql_is_silent(s) or somebody_hears(s):
        return False
    waits = {s.primary.fresh.outcome, local_socket(s)} == {Outcome.TIMED_OUT}
    return waits or orphans(facts)


def orphans(facts: HostFacts) -> bool:
    """Processes without their postmaster: a busy backend outlives it and goes on committing."""
    pids = {pid for pid, _ in facts.processes}
    return not facts.listener and facts.postmaster_pid not in pids


def unreachable(s: Situation) -> bool:
    """Why its host tells nothing does not matter; that a key is refused is no evidence either."""
    look = s.primary.host.look
    untold = look.outcome in SILENT | {Outcome.MISCONFIGURED, Outcome.REJECTED}
    if not sql_is_silent(s) or not untold or not s.primary.host_of_now:
        return False
    if not any(r.server is not None for r in s.standbys) or somebody_hears(s):
        return False
    if other_daemons.yet_to_tell(s.view, s.primary.name, doubted_since(s)):
        return False
    return a_standby_host_tried(s) or silence_s(s) > WAL_RECEIVER_TIMEOUT_S


def a_standby_host_tried(s: Situation) -> bool:
    """In this doubt the host of a standby tried to connect to the primary, in vain."""
    began = doubted_since(s)
    return any(
        r.reach_primary.outcome in SILENT and r.reach_primary.began_at >= began for r in s.standbys
    )


def silence_s(s: Situation) -> float:
    alive_at = s.memory.last_alive_at
    return 0.0 if alive_at is None else s.primary.began_at - alive_at


WAL_RECEIVER_TIMEOUT_S = 60.0
"""PostgreSQL's default: by then a standby that hears nothing has said so itself."""


def always(_: Situation) -> bool:
    return True
