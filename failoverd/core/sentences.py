"""The sentences themselves: what was heard, what was entered, what was learnt.

For whoever is woken by them: plain, with the node's name, and with what can be done.
"""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.core.diagnosis import ROW_OF
from failoverd.core.effects import node_of
from failoverd.core.events import (
    Confirmed,
    EffectFailed,
    Election,
    Event,
    Fenced,
    FrozenAt,
    NotConfigured,
    Observed,
    OperatorAcknowledges,
    OperatorFailover,
    OperatorPause,
    OperatorResume,
    OperatorVouches,
    Promoted,
    Redirected,
    Replied,
    Salvaged,
    SettingsRead,
    StillAlive,
    Thawed,
    Trigger,
    Unfenced,
    Unguarded,
    Woke,
)
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Paused,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Suspect,
    Watching,
)

# What was heard.


def heard(event: Event) -> str:
    """What an answer or a command says; empty for what was merely seen."""
    match event:
        case Replied():
            return _answered(event)
        case OperatorFailover(trigger=trigger, by=by, to=to, accept_loss_bytes=accepted):
            target = f" to {to}" if to else ""
            loss = f", accepting the loss of up to {accepted} bytes" if accepted else ""
            kind = "a switchover" if trigger is Trigger.SWITCHOVER else "a failover"
            return f"{by} asked for {kind}{target}{loss} ({trigger})"
        case OperatorPause(by=by):
            return f"{by} asked to pause"
        case OperatorResume(by=by):
            return f"{by} asked to resume"
        case OperatorVouches(by=by, node=node, reason=reason):
            return f"{by} vouches that {node} is fenced: {reason}"
        case OperatorAcknowledges(by=by):
            return f"{by} acknowledged: the cooldown and the daily limit start anew"
        case Observed() | Woke():
            return ""


def _answered(reply: Replied) -> str:
    node, said = node_of(reply.effect), reply.result.evidence.sentence
    match reply.result:
        case Fenced(proof):
            how = said.removeprefix(f"{proof.node} is fenced: ")
            return f"proved: {proof.node} is fenced ({proof.kind}): {how}"
        case StillAlive():
            return f"still alive: {said}"
        case SettingsRead():
            return f"{node}: the settings that a freeze changes were noted"
        case FrozenAt(frozen):
            return f"{node} is frozen at {frozen.position} on timeline {frozen.timeline}"
        case Thawed():
            return f"{node} is thawed: {said}"
        case Salvaged(loss):
            return f"salvaged for {node}: {said}; lost: {loss.sentence}"
        case NotConfigured():
            return said
        case Promoted():
            return f"promoted: {said}"
        case Confirmed() as confirmed:
            return _confirmed(node, confirmed)
        case Redirected():
            return f"redirected to {node}: {said}"
        case Unguarded():
            return f"the guard of {node} is taken back: {said}"
        case Unfenced():
            return f"{node} is started again: {said}"
        case EffectFailed(advice=advice):
            verb = type(reply.effect).__name__.lower()
            return f"failed: {verb} {node}: {said}" + (f" (do: {advice})" if advice else "")


def _confirmed(node: str, confirmed: Confirmed) -> str:
    waits = ", but commits wait for a synchronous standby" if confirmed.sync_blocked else ""
    where = f"on timeline {confirmed.timeline}, wrote at {confirmed.written_lsn}"
    return f"confirmed: {node} is the primary {where}{waits}"


# What was entered.


def entered(before: Machine, after: Machine, election: Election | None) -> str:
    match after.state:
        case Starting(resuming=True):
            return "starting: a failover was cut short; every node is looked at first"
        case Starting():
            return "starting: every node is looked at before anything is believed"
        case Watching():
            return _watching(before, after)
        case Suspect(diagnosis=diagnosis):
            said = ROW_OF[diagnosis].sentence
            return f"suspect: {after.memory.primary} is {diagnosis}: {said}"
        case Fencing() as s:
            again = "again " if _begun(before) else ""
            return f"fencing {s.primary} {again}({s.mode}): {s.why}"
        case Electing() as s:
            return _electing(before, s)
        case Salvaging() as s:
            who = election.sentence if election is not None else f"{s.candidate} at {s.position}"
            return f"elected: {who}; lost with it: {s.loss.sentence}"
        case Promoting() as s:
            return f"promoting {s.candidate} at {s.position}; lost with it: {s.loss.sentence}"
        case Confirming() as s:
            return f"confirming that {s.candidate} is the primary"
        case Settling() as s:
            return f"settling: applications belong on {s.primary}"
        case Reverting() as s:
            return _reverting(s)
        case Paused(by=by):
            return f"paused by {by}: watching goes on, nothing is done"
        case Blocked() as s:
            return f"blocked ({s.reason}): {s.why}" + (f" (do: {s.advice})" if s.advice else "")


def state_sentence(m: Machine) -> str:
    """Where it stands now, for whoever asks."""
    match m.state:
        case Watching() if m.memory.primary is None:
            return "watching: no primary is known yet"
        case Watching():
            return f"watching: {m.memory.primary} is the primary on timeline {m.memory.timeline}"
        case Fencing() as s:
            return f"fencing {s.primary} ({s.mode}): {s.why}"
        case Salvaging() as s:
            return f"salvaging what {s.candidate} lacks at {s.position}: {s.loss.sentence}"
        case Electing() as s:
            owed = sorted(set(s.standbys) - set(s.frozen) - set(s.failed))
            return f"electing: {', '.join(owed) or 'nobody'} still to be frozen"
        case _:
            return entered(m, m, None)


def _begun(m: Machine) -> bool:
    return m.incident is not None and not isinstance(m.state, Starting)


def _watching(before: Machine, after: Machine) -> str:
    primary, timeline = after.memory.primary, after.memory.timeline
    match before.state:
        case Reverting():
            return f"watching: everything was taken back, {primary} is the primary as before"
        case Suspect(diagnosis=diagnosis):
            return f"watching: {primary} is no longer {diagnosis}"
        case _:
            return f"watching: {primary} is the primary on timeline {timeline}"


def _electing(before: Machine, s: Electing) -> str:
    if not isinstance(before.state, Electing):
        return f"electing: {', '.join(s.standbys) or 'nobody'} to be frozen"
    return ""


def _reverting(s: Reverting) -> str:
    if not s.guard_owed:
        return "reverting: the standbys are still to be thawed"
    back = f"{s.primary} is started again" if s.restart else f"the guard of {s.primary} goes"
    return f"reverting: {s.why}; the standbys are thawed, {back}"


# What was learnt.

_WORDS: Mapping[str, str] = {
    "primary": "who the primary is",
    "system_identifier": "the system identifier",
    "timeline": "the timeline",
    "version": "the server's version",
    "seen_healthy": "the primary was seen healthy",
    "highest_epoch": "the highest epoch of the hosts",
    "calibrations": "the look at a host is calibrated",
    "standby_timelines": "which timeline a standby follows",
    "promise": "what synchronous replication promises",
    "application_names": "what a standby calls itself",
}


def learnt(names: list[str]) -> str:
    """What was learnt, of the fields of the memory that changed."""
    known = ", ".join(_WORDS.get(name, name) for name in names)
    return f"learnt: {known}" if known else "noted"
