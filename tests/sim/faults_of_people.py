"""What operators order, and what hands do behind our back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from failoverd.core.events import (
    OperatorAcknowledges,
    OperatorAdopts,
    OperatorFailover,
    OperatorFences,
    OperatorPause,
    OperatorResume,
    OperatorUnfences,
    OperatorVouches,
    Trigger,
)
from failoverd.core.model import SPOKE, NodeName, Outcome, WallTime
from failoverd.core.policy import Mode
from failoverd.core.schedule import OperatorCancels, OperatorSwitchover
from failoverd.core.states import Blocked
from tests.sim.fault import Conduct, Fault, Stage
from tests.sim.faults_of_hosts import started
from tests.sim.postgres import Host, SyncNames
from tests.sim.reach import connect_outcome


def _order(s: Stage, f: Fault, host: Host) -> Callable[[], None] | None:
    d = s.daemons[f.number % len(s.daemons)]
    if not d.alive:
        return None
    primary = d.machine.memory.primary or NodeName("pg1")
    others = [n for n in s.world.hosts if n != primary]
    other, by = others[f.number % len(others)], "operator"
    until = WallTime(d.now().wall + 5.0)
    command = {
        "failover": OperatorFailover(Trigger.COMMAND, by),
        "failover to": OperatorFailover(Trigger.COMMAND, by, other),
        "accept loss": OperatorFailover(Trigger.COMMAND, by, None, 1 << 30),
        "pause": OperatorPause(by),
        "pause for 5 s": OperatorPause(by, until),
        "ack": OperatorAcknowledges(by),
        "adopt": OperatorAdopts(by, other),
        "fence": OperatorFences(by, other),
        "unfence": OperatorUnfences(by, primary),
        "vouch": OperatorVouches(by, primary, "it is off"),
        "switchover": OperatorSwitchover(by),
        "switchover later": OperatorSwitchover(by, at=WallTime(d.now().wall + 2.0)),
        "cancel": OperatorCancels(by),
    }[f.whom]
    if f.whom == "vouch" and s.world.server(primary).may_commit():
        outcome, full = (
            connect_outcome(s.world, d.name, primary),
            s.world.server(primary).slots_full,
        )
        if outcome is Outcome.OK or (full and outcome in SPOKE):
            s.world.happened("falsely vouched", (d, primary, d.submit(command)))
        return None
    if f.whom in ("adopt", "fence"):
        s.world.hands = True
    refused = d.submit(command)
    if f.whom == "vouch" and refused is None:
        s.world.server(primary).powered_off = True
    s.world.tell("operator", f"{f.whom} on {d.name}: {refused or 'accepted'}")
    return (lambda: _resume(s)) if f.whom == "pause" else None


def _resume(s: Stage) -> None:
    for d in s.daemons:
        if d.alive:
            d.submit(OperatorResume("operator"))


def _promoted_by_hand(s: Stage, f: Fault, host: Host) -> None:
    s.world.hands = True
    s.world.ask_to_promote(host.server, "a hand", 0.1)


def _started_by_hand(s: Stage, f: Fault, host: Host) -> None:
    """Somebody takes a guard away and starts what we had stopped, read-write."""
    server = host.server
    if not host.up or server.marker is None or server.recovery is False:
        return
    _read_write(s, host)


def _stopped_and_started(s: Stage, f: Fault, host: Host) -> None:
    """The same of one that was a primary when we stopped it."""
    server = host.server
    if host.up and server.marker is not None and not server.postmaster:
        _read_write(s, host)


def _read_write(s: Stage, host: Host) -> None:
    server = host.server
    s.world.hands = True
    s.world.die(server)
    server.standby_signal, server.marker, server.by_hand = False, None, True
    s.world.start(host.name, by="a hand, read-write")


def _standby_read_write(s: Stage, f: Fault, host: Host) -> None:
    """Somebody takes a standby's `standby.signal` away and restarts it: the same timeline."""
    server = host.server
    if not host.up or not server.recovery or not server.postmaster:
        return
    s.world.hands = True
    s.world.die(server)
    server.standby_signal, server.marker, server.by_hand = False, None, True
    s.world.start(host.name, by="a hand, read-write")


def _mode_observe(s: Stage, f: Fault, host: Host) -> Callable[[], None]:
    """The configuration of every daemon is changed, and later changed back; both are reloaded."""
    before = {d.name: d.policy for d in s.daemons}
    for d in s.daemons:
        d.reload(replace(d.policy, mode=Mode.OBSERVE))

    def changed_back() -> None:
        for d in s.daemons:
            d.reload(before[d.name])

    return changed_back


def _started_under_guard(s: Stage, f: Fault, host: Host) -> None:
    if host.server.marker is not None:
        started(s.world, host, "somebody who does not know of the guard")


def _synchronous(s: Stage, f: Fault, host: Host) -> None:
    server = host.server
    others = tuple(n for n in s.world.hosts if n != host.name)
    choices: tuple[SyncNames | None, ...] = (
        None,
        SyncNames(any_of=True, count=1, names=others),
        SyncNames(any_of=False, count=1, names=others),
        SyncNames(any_of=True, count=len(others), names=others),
    )
    server.sync, server.sync_since = choices[f.number % 4], s.world.now
    s.world.release(server)


def _blocked_vouch(s: Stage, f: Fault, host: Host) -> None:
    """An operator who answers a daemon that asks for a proof: turns it off, and says so."""
    for d in s.daemons:
        primary = d.machine.memory.primary if d.alive else None
        if primary is None or not isinstance(d.machine.state, Blocked):
            continue
        s.world.power_off(s.world.hosts[primary])
        s.world.server(primary).powered_off = True
        refused = d.submit(OperatorVouches("operator", primary, "I turned it off"))
        s.world.tell("operator", f"turns {primary} off and vouches: {refused or 'accepted'}")


ORDERS = (
    "failover", "failover to", "accept loss", "pause", "pause for 5 s", "ack", "adopt", "fence",
    "unfence", "vouch", "switchover", "switchover later", "cancel",
)  # fmt: skip
HANDS: dict[str, Conduct] = {
    "promoted by hand": _promoted_by_hand,
    "started by hand": _started_by_hand,
    "started under guard": _started_under_guard,
    "standby started read-write": _standby_read_write,
}
ON_PURPOSE: dict[str, Conduct] = {"stopped, and started by hand": _stopped_and_started}
"""In scenarios alone: seeds do not draw it."""
OTHERS: dict[str, Conduct] = {
    "order": _order,
    "synchronous changed": _synchronous,
    "turned off and vouched": _blocked_vouch,
    "mode observe": _mode_observe,
}
