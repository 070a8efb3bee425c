"""What an operator may ask for, and when it is refused.

An override skips the threshold, the cooldown and the mode; never proof, identity, the
synchronous promise, or `max_data_loss` unless a size was accepted in writing.
"""

from __future__ import annotations

from failoverd.core.decision import begin
from failoverd.core.diagnosis import OVERRIDABLE, ROW_OF, diagnose
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
from failoverd.core.policy import Policy
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
    Starting,
    State,
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
        case OperatorPause() if isinstance(m.state, Paused):
            return "it is paused already"
        case OperatorResume() if not isinstance(m.state, Paused):
            return "it is not paused"
        case OperatorVouches(node=node):
            return _refuse_vouch(m, node)
        case _:
            return None


def _refuse_failover(m: Machine, c: OperatorFailover, p: Policy) -> str | None:
    if in_procedure(m):
        return f"a failover is under way ({name_of(m.state)})"
    if isinstance(m.state, Starting) or m.memory.primary is None:
        return "the primary is not known yet"
    if c.to is not None and c.to not in p.nodes:
        return f"no node is called {c.to!r}: one of {', '.join(sorted(p.nodes))}"
    if c.to == m.memory.primary:
        return f"{c.to} is the primary"
    if p.mode == "observe":
        return "mode is observe: this daemon acts on nothing"
    diagnosis = diagnose(m.view, m.memory, p)
    if diagnosis not in OVERRIDABLE:
        return f"the primary is {diagnosis}: {ROW_OF[diagnosis].sentence}"
    return None


def _refuse_vouch(m: Machine, node: NodeName) -> str | None:
    if isinstance(m.state, Blocked) and m.state.reason is BlockReason.NO_FENCE_PROOF:
        if node == m.memory.primary:
            return None
        return f"{node} is not what is being fenced: that is {m.memory.primary}"
    return "nothing waits for a fence proof"


def command(m: Machine, c: Command, now: Now, p: Policy) -> State:
    """The state that a command leads to; a refused one leaves everything as it is."""
    if refusal(m, c, p) is not None:
        return m.state
    match c:
        case OperatorFailover():
            incident = Incident(
                epoch=m.next_epoch,
                trigger=c.trigger,
                diagnosis=diagnose(m.view, m.memory, p),
                by=c.by,
                wanted=c.to,
                accept_loss_bytes=c.accept_loss_bytes,
            )
            return begin(incident, m, now, p)
        case OperatorPause(by=by):
            return Paused(by)
        case OperatorResume():
            return Watching()
        case OperatorVouches():
            return _vouched(m, c, now)
        case OperatorAcknowledges():
            return Watching() if isinstance(m.state, Blocked) and not in_procedure(m) else m.state


def _vouched(m: Machine, c: OperatorVouches, now: Now) -> State:
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
    return Electing(proof, fencing.standbys)
