"""The sentences themselves: what was heard, what was entered, what was learnt.

For whoever is woken by them: plain, with the node's name, and with what can be done.
"""

from __future__ import annotations

from collections.abc import Mapping

from failoverd.core.dead_man import FIRED
from failoverd.core.diagnosis import ROW_OF, Diagnosis
from failoverd.core.effects import node_of
from failoverd.core.elected import Election
from failoverd.core.events import (
    Command,
    Confirmed,
    DaemonStops,
    DeadManArmed,
    DeadManDisarmed,
    DeadManLost,
    DivergenceMeasured,
    EffectFailed,
    Equipped,
    Event,
    Fenced,
    FrozenAt,
    KeptDown,
    NotConfigured,
    Observed,
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorResume,
    OperatorUnfences,
    OperatorVouches,
    Progressed,
    Promoted,
    Quarantined,
    Redirected,
    Replied,
    Repointed,
    Retired,
    SettingsRead,
    StillAlive,
    SynchronousSet,
    TargetClosed,
    Thawed,
    Trigger,
    Unfenced,
    Unguarded,
    Woke,
)
from failoverd.core.jobs import Job, start_by_hand
from failoverd.core.replaying import backlog_sentence
from failoverd.core.schedule import (
    Checkpointed,
    OperatorCancels,
    OperatorRejoins,
    OperatorSwitchover,
    Rejoined,
    Rejoining,
)
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    Confirming,
    Electing,
    Fencing,
    Paused,
    Preparation,
    Promoting,
    Reverting,
    Salvaging,
    Settling,
    Starting,
    Suspect,
    Watching,
)
from failoverd.core.target import owed
from failoverd.core.wal_answers import LossMeasured, NotSalvaged, Salvaged

# What was heard.


def heard(event: Event) -> str:
    """What an answer or a command says; empty for what was merely seen."""
    match event:
        case Replied():
            return _answered(event)
        case DeadManLost(why=why):
            return f"the dead-man was lost: {why}"
        case DaemonStops():
            return "the daemon was told to stop"
        case Progressed(done_bytes=done, of_bytes=of):
            return f"salvaging: {done} of {of} bytes have arrived"
        case Observed() | Woke():
            return ""
        case _:
            return _asked_for(event)


def _asked_for(command: Command) -> str:
    match command:
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
        case OperatorFences(by=by, node=node):
            return f"{by} asked to fence {node}"
        case OperatorUnfences(by=by, node=node):
            return f"{by} asked to unfence {node}"
        case OperatorAdopts(by=by, node=node):
            return f"{by} says that {node} is the primary"
        case OperatorRejoins(by=by, node=node):
            return f"{by} asked to bring {node} back as a standby"
        case OperatorSwitchover(by=by, to=to, at=at, drill=drill):
            kind = "a drill: a switchover there and back" if drill else "a switchover"
            later = "" if at is None else ", to begin at its time"
            return f"{by} asked for {kind}{f' to {to}' if to else ''}{later}"
        case OperatorCancels(by=by):
            return f"{by} cancelled what was scheduled"
        case OperatorAcknowledges(by=by):
            return f"{by} acknowledged: the cooldown and the daily limit start anew"


def _answered(reply: Replied) -> str:  # noqa: C901 - a sentence a result
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
            lost = "" if loss.proven and not loss.lost_bytes else f"; lost: {loss.sentence}"
            return f"salvaged for {node}: {said}{lost}"
        case (
            NotConfigured()
            | NotSalvaged()
            | LossMeasured()
            | Rejoining()
            | Rejoined()
            | Checkpointed()
        ):
            return said
        case Promoted():
            return f"promoted: {said}"
        case Confirmed() as confirmed:
            return _confirmed(node, confirmed)
        case Redirected():
            return f"redirected to {node}: {said}"
        case TargetClosed():
            return f"closed towards {node}: {said}"
        case Repointed() | Equipped() | Retired() | SynchronousSet():
            return said
        case (
            Unguarded()
            | Unfenced()
            | Quarantined()
            | KeptDown()
            | DeadManArmed()
            | DeadManDisarmed()
            | DivergenceMeasured()
        ):
            return f"{_DONE[type(reply.result)].format(node=node)}: {said}"
        case EffectFailed(advice=advice):
            verb = type(reply.effect).__name__.lower()
            return f"failed: {verb} {node}: {said}" + (f" (do: {advice})" if advice else "")


_DONE = {
    Unguarded: "the guard of {node} is taken back",
    Unfenced: "{node} is started again",
    Quarantined: "{node} is quarantined",
    DeadManArmed: "armed on {node}",
    DeadManDisarmed: "disarmed on {node}",
    KeptDown: "{node} stays down",
    DivergenceMeasured: "the commits that only {node} has were counted",
}


def _confirmed(node: str, confirmed: Confirmed) -> str:
    waits = ", but commits wait for a synchronous standby" if confirmed.sync_blocked else ""
    where = f"on timeline {confirmed.timeline}, wrote at {confirmed.written_lsn}"
    return f"confirmed: {node} is the primary {where}{waits}"


# What was entered.


def entered(  # noqa: C901 - a state a case
    before: Machine, after: Machine, election: Election | None
) -> str:
    match after.state:
        case Starting(resuming=True):
            return "starting: a failover was cut short; every node is looked at first"
        case Starting():
            return "starting: every node is looked at before anything is believed"
        case Watching():
            return _watching(before, after)
        case Suspect(diagnosis=diagnosis, would=would, overdue=overdue):
            said = f"{ROW_OF[diagnosis].sentence}{words(after)}"
            said += "; it has only refused for longer than busy_limit" if overdue else ""
            only_said = f"; by itself it would {would}" if would else ""
            return f"suspect: {after.memory.primary} is {diagnosis}: {said}{only_said}"
        case Fencing(gives_up=str() as node) as s:
            return f"giving {node} up, which must be stopped before another is asked: {s.why}"
        case Fencing() as s:
            return _fencing(before, s)
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
            return f"settling: applications belong on {s.primary}{_outage(before, after)}"
        case Reverting() as s:
            return _reverting(s)
        case Paused(by=by):
            return f"paused by {by}: watching goes on, nothing is done"
        case Blocked() as s:
            return f"blocked ({s.reason}): {s.why}" + (f" (do: {s.advice})" if s.advice else "")


def _outage(before: Machine, after: Machine) -> str:
    """Of a switchover, from the demand to stop to the first commit of the new primary."""
    if before.stopping_since is None or isinstance(before.state, Settling):
        return ""
    return f"; nobody took writes for {after.entered_at - before.stopping_since:.2f} s"


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
            come = f" ({s.done_bytes} of {s.of_bytes} bytes have arrived)" if s.of_bytes else ""
            lacks = f"salvaging what {s.candidate} lacks at {s.position}{come}"
            return f"{lacks}: without it, {s.loss.sentence}"
        case Promoting(candidate=candidate):
            replay = m.memory.replay_stands.get(candidate)
            left = backlog_sentence(m.view.report(candidate).server, replay)
            return entered(m, m, None) + (f"; {left}" if left else "")
        case Electing() as s:
            owed = sorted(set(s.standbys) - set(s.frozen) - set(s.failed))
            return f"electing: {', '.join(owed) or 'nobody'} still to be frozen"
        case _:
            return entered(m, m, None)


def diagnosed(m: Machine) -> str:
    """What is wrong with the primary, in the words of its row; empty where nothing is known."""
    if m.diagnosis is None:
        return f"{m.memory.primary} is to be looked at" if m.memory.primary is not None else ""
    return f"{m.memory.primary} is {m.diagnosis}: {ROW_OF[m.diagnosis].sentence}{words(m)}"


def words(m: Machine) -> str:
    """What the primary itself, or our own machine, last said about it, in brackets."""
    report = m.primary_report
    looks = (report.fresh, report.held, report.write)
    said = next((f"it said: {one.detail}" for one in looks if not one.ok and one.detail), "")
    facts = report.host.facts
    if m.diagnosis is Diagnosis.CRASHED and facts is not None and facts.dead_man == FIRED:
        said = "its dead-man has ended it"
    elif m.diagnosis is Diagnosis.RECOVERING and facts is not None and facts.recovering:
        said = f"it reads {facts.recovering}"
    said = m.view.journal_failing or said
    return f" ({' '.join(said.split())})" if said else ""


def _fencing(before: Machine, s: Fencing) -> str:
    if s.preparation is not Preparation.DONE:
        return f"preparing ({s.preparation}): {s.primary} still serves; {s.why}"
    again = "again " if _begun(before) else ""
    return f"fencing {s.primary} {again}({s.mode}): {s.why}"


def _begun(m: Machine) -> bool:
    return m.incident is not None and not isinstance(m.state, Starting)


def led_astray(before: Machine, after: Machine) -> str:
    """Which ways of the applications were found to lead elsewhere than to the primary."""
    said = [
        f"{name} does not lead to {job.points_at} any more: {after.targets_seen[name].sentence}"
        for name, job in sorted(before.targets.items())
        if job.points_at is not None
        and name in after.targets
        and name in after.targets_seen
        and after.targets[name].points_at is None
    ]
    return "; ".join(said)


def _watching(before: Machine, after: Machine) -> str:
    primary, timeline = after.memory.primary, after.memory.timeline
    match before.state:
        case Reverting() as s:
            return _taken_back(s, after)
        case Suspect(diagnosis=diagnosis):
            return f"watching: {primary} is no longer {diagnosis}"
        case Settling(primary=led) if after.targets and (left := owed(after.targets, led)):
            late = f"{' and '.join(left)} does not lead there yet, which is tried again"
            return f"watching: {primary} is the primary on timeline {timeline}, and {late}"
        case _:
            return f"watching: {primary} is the primary on timeline {timeline}"


def _taken_back(s: Reverting, after: Machine) -> str:
    """What could not be is said: an old primary to start is an operator's, the rest is retried."""
    if s.restart and s.guard_owed and s.retry_at is not None:
        said = f"{s.primary} could not be started again, and is watched as it is"
        return f"watching: {said}: {start_by_hand(s.primary)}"
    job = after.jobs.get(s.primary)
    guarded = job is not None and job.job is Job.OWED_UNGUARD
    left = [f"the guard of {s.primary}"] if guarded else []
    left += [f"the freeze of {node}" for node in sorted(after.saved)]
    if left:
        return f"watching: {s.primary} as it is; still to be taken back: {' and '.join(left)}"
    return f"watching: everything was taken back, {s.primary} is the primary as before"


def _electing(before: Machine, s: Electing) -> str:
    if not isinstance(before.state, Electing):
        return f"electing: {', '.join(s.standbys) or 'nobody'} to be frozen"
    if s.attempt > before.state.attempt:
        again = sorted({*s.standbys} - {*s.frozen} - {*s.failed})
        return f"electing: {', '.join(again)} once more to be frozen, since it has more"
    return ""


def _reverting(s: Reverting) -> str:
    if not s.guard_owed:
        return f"reverting: {s.why}; the standbys are still to be thawed"
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
    "upstreams": "which standby streams from another one",
    "required": "the primary's settings that a standby must not be below",
    "slots": "the primary's replication slots",
    "other_managers": "which other managers run there",
    "application_names": "what a standby calls itself",
}


def learnt(names: list[str]) -> str:
    """What was learnt, of the fields of the memory that changed."""
    known = ", ".join(_WORDS.get(name, name) for name in names)
    return f"learnt: {known}" if known else "noted"
