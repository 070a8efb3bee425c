"""What an operator may ask for, and when it is refused.

An override skips the threshold, the cooldown and the mode; never proof, identity, the
synchronous promise, or `max_data_loss` unless a size was accepted in writing.
"""

from __future__ import annotations

from failoverd.core.decision import begin, begun_now, trial
from failoverd.core.diagnosis import FINE, OVERRIDABLE, ROW_OF, Diagnosis, diagnose
from failoverd.core.events import (
    Command,
    Now,
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorResume,
    OperatorUnfences,
    OperatorVouches,
)
from failoverd.core.model import ControlState, Evidence, FenceProof, NodeName, ProofKind
from failoverd.core.policy import Mode, Policy
from failoverd.core.proof import proven
from failoverd.core.rejoin import refuse_rejoin
from failoverd.core.schedule import OperatorCancels, OperatorRejoins, OperatorSwitchover
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    BlockReason,
    Confirming,
    Electing,
    Fencing,
    Incident,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    State,
    Suspect,
    Watching,
    name_of,
)
from failoverd.core.switchover import begun, refuse_switchover
from failoverd.core.writers import others_write


def mode_of(m: Machine, p: Policy) -> Mode:
    """Beside another manager it only observes: two undo each other's fences."""
    return Mode.OBSERVE if m.memory.other_managers else p.mode


def beside(m: Machine) -> str:
    """Which other managers were found, as a sentence; empty: none."""
    found = sorted(m.memory.other_managers.items())
    return " and ".join(f"{program} runs on the host of {node}" for node, program in found)


IN_PROCEDURE = (Fencing, Electing, Salvaging, Promoting, Confirming, Reverting)


def in_procedure(m: Machine) -> bool:
    """From the guard to the confirmation there is no safe place to leave."""
    if isinstance(m.state, Starting):
        return m.state.resuming
    return isinstance(m.state, IN_PROCEDURE) or (
        isinstance(m.state, Blocked) and m.state.returns_to is not None
    )


def refusal(m: Machine, c: Command, p: Policy) -> str | None:
    """Why a command is refused, as a sentence that says what to do instead; None: accepted."""
    match c:
        case OperatorFailover():
            return _refuse_failover(m, c, p)
        case OperatorPause() if in_procedure(m):
            return f"a failover is under way ({name_of(m.state)}): pause after it"
        case OperatorPause() if settles(m):
            return "a failover is being finished (settling): pause after it"
        case OperatorPause() if isinstance(m.state, Paused):
            return "it is paused already"
        case OperatorResume() if not isinstance(m.state, Paused):
            return "it is not paused"
        case OperatorVouches(node=node):
            return _refuse_vouch(m, node, p)
        case OperatorFences() | OperatorUnfences() | OperatorAdopts() | OperatorRejoins():
            return _refuse_on_node(m, c, p)
        case OperatorSwitchover():
            return refuse_switchover(m, c, p)
        case OperatorCancels() if m.scheduled is None:
            return "nothing is scheduled: failoverd unfence NODE gives one up that is under way"
        case _:
            return None


def _refuse_on_node(
    m: Machine, c: OperatorFences | OperatorUnfences | OperatorAdopts | OperatorRejoins, p: Policy
) -> str | None:
    if c.node not in p.nodes:
        return f"no node is called {c.node!r}: one of {', '.join(sorted(p.nodes))}"
    if isinstance(m.state, Settling):
        return "a failover is being finished (settling): wait for its end"
    match c:
        case OperatorAdopts(node=node):
            return _refuse_adopt(m, node)
        case OperatorFences(node=node):
            return _refuse_act(m, p) or _refuse_fence(m, node)
        case OperatorRejoins(node=node):
            return _refuse_act(m, p) or refuse_rejoin(m, node, p)
        case OperatorUnfences(node=node):
            return _refuse_act(m, p) or _refuse_unfence(m, node)


def _refuse_act(m: Machine, p: Policy) -> str | None:
    if isinstance(m.state, Paused):
        return f"paused by {m.state.by}: resume first"
    if mode_of(m, p) is Mode.OBSERVE:
        return beside(m) or "mode is observe: this daemon acts on nothing"
    if m.memory.primary is None:
        return "the primary is not known: failoverd adopt NODE says which one it is"
    return None


def _refuse_adopt(m: Machine, node: NodeName) -> str | None:
    if in_procedure(m):
        return f"a failover is under way ({name_of(m.state)})"
    if node == m.memory.primary:
        return f"{node} is the primary already"
    server = m.view.report(node).server
    if server is None or server.in_recovery:
        return f"{node} does not take writes: it cannot be adopted as the primary"
    if m.memory.system_identifier not in (None, server.system_identifier):
        return f"{node} belongs to another cluster ({server.system_identifier})"
    return None


def _refuse_fence(m: Machine, node: NodeName) -> str | None:
    if in_procedure(m):
        return f"a failover is under way ({name_of(m.state)})"
    if node == m.memory.primary:
        return (
            f"{node} is the primary: failoverd failover fences it and promotes another;"
            " where another one is right already, failoverd adopt NODE first"
        )
    server = m.view.report(node).server
    if server is not None and server.in_recovery:
        return f"{node} is a standby: it takes no writes"
    return None


def _refuse_unfence(m: Machine, node: NodeName) -> str | None:
    primary = m.memory.primary
    if node != primary:
        return (
            f"{primary} is the primary, not {node}: to go back, stop {primary} for good, start"
            f" {node} by hand without its guard, then failoverd adopt {node}"
        )
    if m.asked:
        return f"{' and '.join(sorted(m.asked))} was asked to promote, which cannot be revoked"
    writes = others_write(m.view, m.memory)
    if writes:
        return "another node takes writes: two primaries would be the end of it"
    if not isinstance(m.state, (Suspect, Blocked)):
        return f"nothing holds {node} down ({name_of(m.state)})"
    return None


def settles(m: Machine) -> bool:
    """Applications are being sent over, or will be as soon as everybody was looked at."""
    return isinstance(m.state, Settling) or (
        isinstance(m.state, Starting) and m.state.settling is not None
    )


def _refuse_failover(m: Machine, c: OperatorFailover, p: Policy) -> str | None:
    if in_procedure(m) or isinstance(m.state, Settling):
        return f"a failover is under way ({name_of(m.state)})"
    if isinstance(m.state, Paused):
        return f"paused by {m.state.by}: resume first"
    if isinstance(m.state, Starting) or m.memory.primary is None:
        return "the primary is not known yet"
    if c.to is not None and c.to not in p.nodes:
        return f"no node is called {c.to!r}: one of {', '.join(sorted(p.nodes))}"
    if c.to == m.memory.primary:
        return f"{c.to} is the primary"
    if beside(m):
        return f"{beside(m)}: beside another manager this daemon only observes"
    if p.mode is Mode.OBSERVE:
        return "mode is observe: this daemon acts on nothing"
    diagnosis = diagnose(m.view, m.memory, p)
    if diagnosis not in OVERRIDABLE:
        return f"the primary is {diagnosis}: {ROW_OF[diagnosis].sentence}"
    election = trial(_incident(m, c, diagnosis), m, p)
    return election.sentence if election.candidate is None else None


def _refuse_vouch(m: Machine, node: NodeName, p: Policy) -> str | None:
    if isinstance(m.state, (Blocked, Fencing)) and node in m.asked:
        # It counts as promoted, and nobody else may be, until somebody knows that it is off.
        return f"{node} answers: it is not off" if m.view.report(node).heard else None
    if not isinstance(m.state, Blocked) or m.state.reason is not BlockReason.NO_FENCE_PROOF:
        return "nothing waits for a fence proof"
    if node != m.memory.primary:
        return f"{node} is not what is being fenced: that is {m.memory.primary}"
    diagnosis = diagnose(m.view, m.memory, p)
    if m.primary_report.heard or diagnosis in _HEARD:
        return f"{node} is {diagnosis}: {ROW_OF[diagnosis].sentence}"
    return None


_HEARD = FINE | {Diagnosis.PARTITIONED, Diagnosis.HALF_HUNG, Diagnosis.BLIND}
"""What nobody's word stands against: it is heard, or nothing is."""


def command(m: Machine, c: Command, now: Now, p: Policy) -> State:
    """The state that a command leads to; a refused one leaves everything as it is."""
    if refusal(m, c, p) is not None:
        return m.state
    match c:
        case OperatorFailover():
            return begin(_incident(m, c, diagnose(m.view, m.memory, p)), m, now, p)
        case OperatorPause(by=by):
            return Paused(by)
        case OperatorResume():
            return _at_rest(m)
        case OperatorVouches(node=node):
            return m.state if node in m.asked else _vouched(m, c, now, p)
        case OperatorSwitchover(by=by, to=to, at=None):
            return begun(m, by, to, now, p)
        case OperatorFences() | OperatorRejoins() | OperatorSwitchover() | OperatorCancels():
            return m.state
        case OperatorUnfences(by=by, node=node):
            return Reverting(node, True, None, f"{by} asked to unfence {node}")
        case OperatorAdopts():
            return m.state if isinstance(m.state, Paused) else Watching()
        case OperatorAcknowledges():
            blocked = isinstance(m.state, Blocked) and not in_procedure(m)
            return _at_rest(m) if blocked else m.state


def _at_rest(m: Machine) -> Watching | Starting:
    return Starting() if m.memory.primary is None else Watching()


def _incident(m: Machine, c: OperatorFailover, diagnosis: Diagnosis) -> Incident:
    return begun_now(m, c.trigger, diagnosis, c.by, c.to, c.accept_loss_bytes)


def _vouched(m: Machine, c: OperatorVouches, now: Now, p: Policy) -> Electing | Promoting:
    """`vouched` is a proof like any other, and somebody answers for it by name."""
    blocked = m.state
    assert isinstance(blocked, Blocked)
    fencing = blocked.returns_to
    assert isinstance(fencing, Fencing)
    proof = FenceProof(
        kind=ProofKind.VOUCHED,
        node=c.node,
        epoch=m.epoch,
        proved_at=now.monotonic,
        control_state=ControlState.UNKNOWN,
        shutdown_checkpoint=None,
        evidence=Evidence(f"{c.by} vouches that {c.node} is fenced: {c.reason}"),
    )
    return proven(fencing, proof, m, p)


COMMANDED: frozenset[tuple[type[State], type[State]]] = frozenset(
    {(source, Paused) for source in (Starting, Watching, Suspect, Blocked)}
    | {(source, Fencing) for source in (Watching, Suspect, Blocked)}
    | {(Paused, Watching), (Paused, Starting), (Blocked, Watching), (Blocked, Starting)}
    | {(Blocked, Electing), (Blocked, Promoting)}
    | {(source, Reverting) for source in (Suspect, Blocked)}
)
"""Transitions that an operator's command makes."""
