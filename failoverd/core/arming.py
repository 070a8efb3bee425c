"""Whether a dead-man is to be armed on the primary's host, and what is owed to the one that is.

Weighed after each step. It is armed only while a failover would be made: where nobody could take
over, a primary that ends itself does nothing but harm. It is let go before anything that is not
isolation and looks like it: an orderly stop, a pause in which somebody restarts PostgreSQL, the
daemon's own end. Renewing it is no decision, and is not journaled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from failoverd.core.calibration import same_start
from failoverd.core.dead_man import FIRED, FIRES_WITHIN_S, ArmedFor, Arming, Phase
from failoverd.core.decision import trial
from failoverd.core.diagnosis import FINE, Diagnosis
from failoverd.core.effects import ArmDeadMan, DisarmDeadMan, Fence, StopMode
from failoverd.core.events import (
    DEAD_MAN_VOID,
    STALE_EPOCH,
    DaemonStops,
    DeadManArmed,
    DeadManDisarmed,
    DeadManLost,
    EffectFailed,
    Event,
    Now,
    Observed,
    Replied,
)
from failoverd.core.model import Epoch, Guard, NodeName, ServerFacts
from failoverd.core.operator import beside, in_procedure, mode_of
from failoverd.core.outlook import rules_in_the_way
from failoverd.core.policy import DeadManPolicy, Mode, Policy
from failoverd.core.retry import in_seconds, is_due
from failoverd.core.situation import Machine
from failoverd.core.states import (
    Blocked,
    Fencing,
    Paused,
    Reverting,
    Settling,
    Watching,
)

STEADY_S = 5.0
"""What should be armed must differ for so long from what is, before it is touched."""
RETRY_S = 10.0
LOST_RETRY_S = 5.0
GIVEN_UP_AFTER = 7
"""Attempts to disarm: by then it has disarmed itself, or has fired."""


def weighed(m: Machine, event: Event, now: Now, p: Policy) -> Machine:
    """The machine with what its dead-man has come to, and with what is to be asked of it."""
    m = _due(_told(m, event, now), now)
    must_not = _must_not(m, event, p)
    if must_not:
        return let_go(m, must_not)
    # What was just let go is not armed again but on a look that follows.
    watched = isinstance(event, Observed) and isinstance(m.state, Watching) and m.diagnosis in FINE
    return _as_it_should_be(m, p.dead_man, now, p) if watched and p.dead_man is not None else m


def let_go(m: Machine, why: str) -> Machine:
    """It is to be disarmed; nobody renews it any more."""
    a = m.dead_man
    if a is None or a.phase is Phase.DISARMING:
        return m
    return _asking(m, replace(a, phase=Phase.DISARMING, failed=0, why=why))


# What is asked for, and when.


def arming(m: Machine) -> tuple[ArmDeadMan | DisarmDeadMan, ...]:
    a = m.dead_man
    if a is None or a.phase is not Phase.ASKED or a.retry_at is not None:
        return disarming(m)
    return (ArmDeadMan(a.node, a.epoch, a.standbys, a.ttl_s, a.number),)


def disarming(m: Machine) -> tuple[DisarmDeadMan, ...]:
    a = m.dead_man
    if a is None or a.phase is not Phase.DISARMING or a.retry_at is not None:
        return ()
    return (DisarmDeadMan(a.node, Epoch(max(m.epoch, a.epoch)), a.number),)


def renewed(m: Machine) -> Arming | None:
    """What is to be renewed now. Not while its node is fenced: its expiry is waited for."""
    a = m.dead_man
    if a is None or a.phase is not Phase.ARMED or in_procedure(m) or isinstance(m.state, Settling):
        return None
    return a


def counted_on(s: Fencing, m: Machine) -> frozenset[NodeName]:
    """Whom to freeze before any proof, because the freeze is part of the fence."""
    a = m.dead_man
    if a is None or a.phase is not Phase.ARMED or a.node != s.primary or m.asked:
        return frozenset()
    # Who can be reached is fenced by what reaches it; the dead-man is for when that has failed.
    nobody_there = s.incident.diagnosis is Diagnosis.UNREACHABLE or s.attempt > 0
    return a.standbys if s.mode is StopMode.IMMEDIATE and nobody_there else frozenset()


# Why it is armed, or not.


def named(m: Machine, p: DeadManPolicy, policy: Policy) -> frozenset[NodeName]:
    """Standbys that stream from the primary, as it says itself, and that answer us.

    Whoever else bears one's name there could answer in its place, and is not frozen.
    """
    server = m.primary_report.server
    if server is None:
        return frozenset()
    streaming = {one.application_name for one in server.senders if one.streams}
    found: dict[NodeName, str] = {}
    for name, node in policy.nodes.items():
        listed = not node.never if p.standbys is None else name in p.standbys
        calls_itself = m.memory.application_names.get(name, name)
        standby = m.view.report(name).server
        recovering = standby is not None and standby.in_recovery
        if listed and recovering and calls_itself in streaming and not m.kept_out(name):
            found[name] = calls_itself
    found.pop(m.primary_report.name, None)
    bearers = Counter(one.application_name for one in server.senders)
    ours = Counter(found.values())
    return frozenset(name for name, called in found.items() if bearers[called] <= ours[called])


def wanted(m: Machine, dead_man: DeadManPolicy, now: Now, p: Policy) -> frozenset[NodeName] | str:
    """Whom it is to ask before it fires; or why none is to be armed."""
    rule = next(iter(rules_in_the_way(m, now, p)), "")
    if rule:
        return rule
    election = trial(None, m, p)
    if election.candidate is None:
        return election.sentence
    loss, written = election.loss, m.memory.peak_wal_rate * _ends_within_s(dead_man, p)
    if loss is not None and not loss.proven and loss.lost_bytes + written > p.max_data_loss_bytes:
        # Nobody would be promoted after it, as far as could be known by then.
        return f"what it may write until it has ended itself, {written:.0f} bytes, may be too much"
    return named(m, dead_man, p) or _NOBODY


_NOBODY = (
    "no standby that may be named, by an application_name of its own, streams from the primary"
)


def _ends_within_s(dead_man: DeadManPolicy, p: Policy) -> float:
    """From the cut to the proof, detection and TTL side by side."""
    return max(p.threshold_s, dead_man.ttl_s) + FIRES_WITHIN_S


def why_not(m: Machine, now: Now, p: Policy) -> str:
    """Why none is armed, for people; empty: one is."""
    a = m.dead_man
    if a is not None:
        return "" if a.phase is Phase.ARMED else _PHASES[a.phase].format(why=a.why or "just now")
    if p.dead_man is None:
        return "fencing.ladder has no dead_man"
    must_not = _must_not(m, None, p)
    if must_not:
        return must_not
    if not isinstance(m.state, Watching) or m.diagnosis not in FINE:
        return "it is armed only while the primary is watched and well"
    found = wanted(m, p.dead_man, now, p)
    return found if isinstance(found, str) else "it is just being armed"


_PHASES = {
    Phase.ASKED: "it is being armed: {why}",
    Phase.LOST: "it does not count any more: {why}",
    Phase.DISARMING: "it is being disarmed: {why}",
}


def _must_not(m: Machine, event: Event | None, p: Policy) -> str:
    primary = m.memory.primary
    if isinstance(event, DaemonStops):
        return "the daemon stops"
    if p.dead_man is None:
        return "fencing.ladder has no dead_man"
    if mode_of(m, p) is not Mode.AUTOMATIC:
        return beside(m) or f"mode is {p.mode}"
    if m.dead_man is not None and m.dead_man.node != primary:
        return f"{m.dead_man.node} is not the primary any more"
    match m.state:
        case Paused(by=by):
            return f"paused by {by}"
        case Fencing(mode=StopMode.FAST):
            return f"{primary} is stopped in good order"
        case Reverting():
            return "what was begun is taken back"
        case Blocked(reason=reason, returns_to=None):
            return f"blocked ({reason}): nobody would take over"
        case _:
            return ""


# What it has come to.


def _told(m: Machine, event: Event, now: Now) -> Machine:
    a = m.dead_man
    if a is None:
        return m
    match event:
        case Replied(effect=ArmDeadMan(number=number), result=result) if number == a.number:
            return _answered_arming(m, a, result, now) if a.phase is Phase.ASKED else m
        case Replied(effect=DisarmDeadMan(number=number), result=result) if number == a.number:
            return _answered_disarming(m, a, result, now)
        case DeadManLost(name=name, why=why) if a.phase is Phase.ARMED and name == a.name:
            return _lost(m, a, why, now)
        case Replied(effect=Fence(node=node), result=EffectFailed(reason=reason) as failed) if (
            reason == DEAD_MAN_VOID and node == a.node and a.phase is Phase.ARMED
        ):
            return _lost(m, a, failed.evidence.sentence, now)
        case Observed() if a.phase is Phase.ARMED and _booted_since(m, a):
            return _lost(m, a, f"{a.node} was booted since", now)
        case _:
            return m


def _booted_since(m: Machine, a: Arming) -> bool:
    """It ended with its host; what is started there now has none, and may be unheard yet."""
    report = m.view.report(a.node)
    facts = report.host.facts
    if a.armed_for is None or facts is None or not report.host.look.ok:
        return False
    return facts.boot_id not in ("", a.armed_for.boot_id)


def _lost(m: Machine, a: Arming, why: str, now: Now) -> Machine:
    at = in_seconds(now, LOST_RETRY_S)
    lost = replace(a, name="", armed_for=None, reading=None)
    return replace(m, dead_man=replace(lost, phase=Phase.LOST, why=why, retry_at=at))


def _answered_arming(m: Machine, a: Arming, result: object, now: Now) -> Machine:
    match result:
        case DeadManArmed(name=name, armed_for=armed_for, reading=reading):
            armed = replace(
                a, phase=Phase.ARMED, name=name, armed_for=armed_for, reading=reading,
                failed=0, why="",
            )  # fmt: skip
            return replace(m, dead_man=armed)
        case EffectFailed() as failed:
            return _later(m, a, failed, now)
        case _:
            return m


def _answered_disarming(m: Machine, a: Arming, result: object, now: Now) -> Machine:
    match result:
        case DeadManDisarmed():
            return replace(m, dead_man=None)
        case EffectFailed(reason=reason) if reason in (FIRED, STALE_EPOCH):
            return replace(m, dead_man=None)
        case EffectFailed() as failed:
            # On the host of an old primary it is over soon in any case, and keeps nobody waiting.
            enough = GIVEN_UP_AFTER if a.node == m.memory.primary else 1
            over = a.failed + 1 >= enough
            return replace(m, dead_man=None) if over else _later(m, a, failed, now)
        case _:
            return m


def _later(m: Machine, a: Arming, failed: EffectFailed, now: Now) -> Machine:
    at = in_seconds(now, RETRY_S)
    again = replace(a, failed=a.failed + 1, why=failed.evidence.sentence)
    asking = _asking(m, again)
    assert asking.dead_man is not None
    return replace(asking, dead_man=replace(asking.dead_man, retry_at=at))


def _asking(m: Machine, a: Arming) -> Machine:
    """By a number of its own, so that it is asked for although the like was before."""
    number = m.dead_man_number + 1
    asked = replace(a, number=number, retry_at=None, name="", armed_for=None, reading=None)
    return replace(m, dead_man=asked, dead_man_number=number, dead_man_unlike_since=None)


def _due(m: Machine, now: Now) -> Machine:
    a = m.dead_man
    if a is None or not is_due(a.retry_at, now):
        return m
    return replace(m, dead_man=replace(a, retry_at=None))


def ended_in_vain(m: Machine, p: Policy) -> bool:
    """It has fired, and nobody takes over: what it ended is to be started again.

    Only where every other node is seen to be a standby: who is not seen may have been promoted.
    """
    node = m.memory.primary
    facts = m.primary_report.host.facts if node is not None else None
    if facts is None or not m.primary_report.host_of_now:
        return False
    others = [m.view.report(name).server for name in p.nodes if name != node]
    standbys = all(server is not None and server.in_recovery for server in others)
    return facts.dead_man == FIRED and facts.guard is Guard.OURS and standbys


def _as_it_should_be(m: Machine, dead_man: DeadManPolicy, now: Now, p: Policy) -> Machine:
    a, found = m.dead_man, wanted(m, dead_man, now, p)
    if a is None:
        return m if isinstance(found, str) else _ask(m, found, dead_man)
    if a.phase is Phase.DISARMING:
        return m
    lives_on = a.armed_for is None or is_life(a.armed_for, m.primary_report.server)
    if not lives_on or a.ttl_s != dead_man.ttl_s or (a.phase is Phase.LOST and not a.retry_at):
        return _ask(m, a.standbys if isinstance(found, str) else found, dead_man)
    if found == a.standbys:
        return replace(m, dead_man_unlike_since=None)
    since = m.dead_man_unlike_since
    if since is None:
        return replace(m, dead_man_unlike_since=now.monotonic)
    if now.monotonic - since < STEADY_S:
        return m
    return let_go(m, found) if isinstance(found, str) else _ask(m, found, dead_man)


def _ask(m: Machine, standbys: frozenset[NodeName], dead_man: DeadManPolicy) -> Machine:
    """Under the present number of incidents; a later one is taken only where there was none."""
    assert m.memory.primary is not None
    epoch = m.epoch or m.next_epoch
    a = Arming(m.memory.primary, standbys, dead_man.ttl_s, epoch, Phase.ASKED, 0)
    return _asking(replace(m, epoch=epoch), a)


def is_life(armed_for: ArmedFor, server: ServerFacts | None) -> bool:
    """The server as it was heard now is the one that it is armed for; or nothing is heard."""
    return server is None or same_start(server.postmaster_started, armed_for.postmaster_started)


# In words.


def changed(before: Machine, after: Machine) -> str:
    """What a step has come to for it; empty: nothing that people would want to know."""
    old, new = before.dead_man, after.dead_man
    if new is None:
        return "" if old is None else f"no dead-man is armed on {old.node} any more"
    if old is not None and (old.phase, old.standbys, old.node) == (
        new.phase, new.standbys, new.node,
    ):  # fmt: skip
        return ""
    who = " and ".join(sorted(new.standbys))
    match new.phase:
        case Phase.ASKED:
            return f"a dead-man is to be armed on {new.node}, which asks {who} before it fires"
        case Phase.ARMED:
            return f"the dead-man on {new.node} is armed (TTL {new.ttl_s:g} s, it asks {who})"
        case Phase.LOST:
            return f"the dead-man on {new.node} does not count any more: {new.why}"
        case Phase.DISARMING:
            return f"the dead-man on {new.node} is to be disarmed: {new.why}"
