"""What the facts say about the primary: one named predicate per kind of evidence.

Each reads one view and the memory that has folded it. A look counts only in the round
it belongs to: what a host or a socket said before the primary was last asked is no
evidence about now.
"""

from __future__ import annotations

from dataclasses import dataclass

from failoverd.core.memory import Memory, direct, heard_by, two_writable
from failoverd.core.model import (
    SILENT,
    SPOKE,
    ClusterView,
    ControlState,
    Guard,
    HostFacts,
    NodeReport,
    Outcome,
)
from failoverd.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Situation:
    """What a predicate sees: the present view, the memory before it, the policy."""

    view: ClusterView
    memory: Memory
    policy: Policy

    @property
    def primary(self) -> NodeReport:
        assert self.memory.primary is not None
        return self.view.report(self.memory.primary)

    @property
    def standbys(self) -> tuple[NodeReport, ...]:
        assert self.memory.primary is not None
        return self.view.others(self.memory.primary)


def sql_is_silent(s: Situation) -> bool:
    """Neither the held session nor a fresh connection says anything that a server says."""
    return not s.primary.heard and s.primary.fresh.outcome in SILENT | {Outcome.FAILING}


def blind(s: Situation) -> bool:
    if s.primary.ours or s.view.our_network_down:
        return True
    return not any(r.heard or (r.host.look.ok and r.host_of_now) for r in s.view.nodes.values())


def split_brain(s: Situation) -> bool:
    return two_writable(s.view, s.memory) is not None


def demoted(s: Situation) -> bool:
    server = s.primary.server
    return server is not None and server.in_recovery and not guarded_by_us(s)


def guarded_by_us(s: Situation) -> bool:
    """Whoever starts the server of that data directory gets it read-only."""
    facts = s.primary.host.facts
    return s.primary.host_of_now and facts is not None and facts.guard is Guard.OURS


def misconfigured(s: Situation) -> bool:
    server = s.primary.server
    if server is not None and server.system_identifier != s.memory.system_identifier:
        return s.memory.system_identifier is not None
    return Outcome.MISCONFIGURED in (s.primary.held.outcome, s.primary.fresh.outcome)


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
    return answers(s) and s.primary.write.outcome in SILENT | {Outcome.FAILING, Outcome.REJECTED}


def healthy(s: Situation) -> bool:
    return answers(s) and not read_only(s) and not sync_blocked(s) and not unwritable(s)


def busy(s: Situation) -> bool:
    refusals = {Outcome.TOO_MANY_CONNECTIONS, Outcome.SHUTTING_DOWN, Outcome.REJECTED}
    return bool({s.primary.held.outcome, s.primary.fresh.outcome} & refusals)


def recovering(s: Situation) -> bool:
    return Outcome.STARTING_UP in (s.primary.held.outcome, s.primary.fresh.outcome)


def somebody_hears(s: Situation) -> bool:
    return any(heard_by(r, s.primary, s.memory, s.policy) is not None for r in s.standbys)


def local_socket(s: Situation) -> Outcome:
    """On its own host's Unix socket, in this round."""
    look = s.primary.host.local_socket
    return look.outcome if look.began_at >= s.primary.began_at else Outcome.NOT_TRIED


def partitioned(s: Situation) -> bool:
    if not sql_is_silent(s) or s.primary.held.ok:
        return False
    if local_socket(s) in SPOKE:
        return True
    return somebody_hears(s) and local_socket(s) is not Outcome.TIMED_OUT


def host_look(s: Situation) -> HostFacts | None:
    """The host's facts, if this round asked for them and the look is calibrated (rule 3)."""
    host = s.primary.host
    facts = host.facts
    if not host.look.ok or facts is None or not s.primary.host_of_now:
        return None
    calibration = s.memory.calibrations.get(s.primary.name)
    if calibration is None or facts.system_identifier != s.memory.system_identifier:
        return None
    same = (
        calibration.boot_id == facts.boot_id
        and calibration.user == facts.user
        and calibration.directory_identity == facts.directory_identity
    )
    return facts if same else None


def nothing_runs(s: Situation) -> HostFacts | None:
    facts = host_look(s)
    if facts is None or facts.processes or facts.listener or not sql_is_silent(s):
        return None
    return None if s.primary.held.ok or some_standby_streams(s) else facts


def some_standby_streams(s: Situation) -> bool:
    """A reachable direct standby has a receiver row that streams from the primary."""
    for report in s.standbys:
        server = report.server
        if server is None or server.receiver is None or server.receiver.status != "streaming":
            continue
        if direct(server.receiver, s.primary.name, s.policy):
            return True
    return False


SHUT_DOWN = frozenset({ControlState.SHUT_DOWN, ControlState.SHUT_DOWN_IN_RECOVERY})


def crashed(s: Situation) -> bool:
    facts = nothing_runs(s)
    return facts is not None and facts.control_state not in SHUT_DOWN


def stopped(s: Situation) -> bool:
    facts = nothing_runs(s)
    return facts is not None and facts.control_state in SHUT_DOWN


def half_hung(s: Situation) -> bool:
    if s.primary.fresh.outcome is not Outcome.TIMED_OUT:
        return False
    return s.primary.held.ok or (sql_is_silent(s) and somebody_hears(s))


def hung(s: Situation) -> bool:
    facts = host_look(s)
    if facts is None or not facts.processes or not sql_is_silent(s):
        return False
    return local_socket(s) in SILENT and not somebody_hears(s)


def unreachable(s: Situation) -> bool:
    look = s.primary.host.look
    if not sql_is_silent(s) or look.outcome not in SILENT or not s.primary.host_of_now:
        return False
    if not any(r.server is not None for r in s.standbys) or somebody_hears(s):
        return False
    return a_standby_host_tried(s) or silence_s(s) > WAL_RECEIVER_TIMEOUT_S


def a_standby_host_tried(s: Situation) -> bool:
    """In this doubt the host of a standby tried to connect to the primary, in vain."""
    doubt = s.memory.doubt
    began = s.primary.began_at if doubt is None else doubt.heard_after
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
