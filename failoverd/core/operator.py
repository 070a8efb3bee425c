"""What an operator may ask for, and when it is refused.

An override skips the threshold, the cooldown and the mode; never proof, identity, the
synchronous promise, or `max_data_loss` unless a size was accepted in writing.
"""

from __future__ import annotations

from failoverd.core.decision import begin, terms_of
from failoverd.core.diagnosis import FINE, OVERRIDABLE, ROW_OF, Diagnosis, diagnose
from failoverd.core.election import elect
from failoverd.core.events import (
    Command,
    Now,
    OperatorAcknowledges,
    OperatorFailover,
    OperatorPause,
    OperatorResume,
    OperatorVouches,
)
from failoverd.core.model import ControlState, Evidence, FenceProof, NodeName, ProofKind
from failoverd.core.policy import Mode, Policy
from failoverd.core.proof import proven
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
        case OperatorPause() if isinstance(m.state, Settling):
            return "a failover is being finished (settling): pause after it"
        case OperatorPause() if isinstance(m.state, Paused):
            return "it is paused already"
        case OperatorResume() if not isinstance(m.state, Paused):
            return "it is not paused"
        case OperatorVouches(node=node):
            return _refuse_vouch(m, node, p)
        case _:
            return None


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
    if p.mode is Mode.OBSERVE:
        return "mode is observe: this daemon acts on nothing"
    diagnosis = diagnose(m.view, m.memory, p)
    if diagnosis not in OVERRIDABLE:
        return f"the primary is {diagnosis}: {ROW_OF[diagnosis].sentence}"
    terms = terms_of(_incident(m, c, diagnosis), p, None, None)
    election = elect(m.view, m.memory, p, terms)
    return election.sentence if election.candidate is None else None


def _refuse_vouch(m: Machine, node: NodeName, p: Policy) -> str | None:
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
        case OperatorVouches():
            return _vouched(m, c, now, p)
        case OperatorAcknowledges():
            blocked = isinstance(m.state, Blocked) and not in_procedure(m)
            return _at_rest(m) if blocked else m.state


def _at_rest(m: Machine) -> Watching | Starting:
    return Starting() if m.memory.primary is None else Watching()


def _incident(m: Machine, c: OperatorFailover, diagnosis: Diagnosis) -> Incident:
    return Incident(m.next_epoch, c.trigger, diagnosis, c.by, c.to, c.accept_loss_bytes)


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
)
"""Transitions that an operator's command makes."""
