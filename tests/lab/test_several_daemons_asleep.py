"""The leader is stopped (SIGSTOP) for longer than its lease, and woken: it finishes nothing.

Where a call of it is held on its way meanwhile, and arrives when another daemon has finished, the
host that it is for refuses it: it has expired, and is of an earlier term.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

import pytest

from tests.lab.gate import Gate, SqlGate, ssh_gate
from tests.lab.lab import Lab
from tests.lab.monitor import Monitor
from tests.lab.server import DatabaseHost
from tests.lab.several import several
from tests.lab.test_every_step import CONFIRM, PROMOTE

pytestmark = [pytest.mark.lab, pytest.mark.campaign, pytest.mark.timeout(300)]


@pytest.mark.parametrize("step", ["fencing", "electing", "promoting"])
def test_a_leader_that_sleeps_beyond_its_lease_finishes_nothing_when_it_wakes(lab, step):
    w = several(lab)
    leader = w.leader()
    sleeper = w.crash_and_stop_at(leader, step)
    next_leader = w.next_leader_fails_over(leader)
    wakes_and_finishes_nothing(w, leader, next_leader, sleeper)


@pytest.mark.parametrize("step", ["fencing", "promoting"])
def test_a_leader_that_wakes_while_another_one_finishes_does_not_act_beside_it(lab, step):
    w = several(lab)
    leader = w.leader()
    sleeper = w.crash_and_stop_at(leader, step)
    next_leader = w.leader(w.others(leader))
    sleeper.signal(signal.SIGCONT)
    w.wait_until_failed_over(next_leader)
    w.follows(leader, next_leader)
    w.nothing_is_lost()


def wakes_and_finishes_nothing(w, leader, next_leader, sleeper):
    before = len(sleeper.log_text)
    sleeper.signal(signal.SIGCONT)
    w.follows(leader, next_leader)
    w.wait(lambda: leader.status()["primary"] == "pg2", 20, "it sees the new primary")
    woken = sleeper.log_text[before:]
    assert "promoting" not in woken
    assert "fencing pg1" not in woken
    w.nothing_is_lost()


# With a call on its way.


@dataclass(slots=True)
class Gates:
    """On every database host, and on what each daemon sends to a server."""

    lab: Lab
    ssh: dict[str, Gate] = field(default_factory=dict)
    sql: dict[str, SqlGate] = field(default_factory=dict)

    def put(self, monitor: Monitor) -> None:
        for server in self.lab.servers:
            if server.name not in self.ssh:
                self.ssh[server.name] = ssh_gate(server)
        self.sql[monitor.name] = self.lab.keep(SqlGate(monitor))

    def arm(self, monitor: Monitor, server: DatabaseHost, what: str) -> Gate:
        """For the next call of that verb, or that daemon's next statement with these words."""
        if " " in what:
            gate: Gate = self.sql[monitor.name]
            gate.arm("request", server.address, what)
        else:
            gate = self.ssh[server.name]
            gate.arm("request", what)
        return gate


HELD = {
    "the fence": ("pg1", "stop"),
    "the freeze": ("pg2", "freeze"),
    "the promotion": ("pg2", PROMOTE),
    "the write that confirms it": ("pg2", CONFIRM),
}


@pytest.mark.parametrize("arrives", ["while it sleeps", "when another one has finished"])
@pytest.mark.parametrize("call", HELD)
def test_a_call_of_a_leader_that_sleeps_beyond_its_lease_does_no_harm(lab, call, arrives):
    gates = Gates(lab)
    w = several(lab, prepare=gates.put)
    leader = w.leader()
    sleeper = w.daemon_of(leader)
    node, what = HELD[call]
    w.crash()
    gate = gates.arm(leader, w.pg1 if node == "pg1" else w.pg2, what)
    w.wait(lambda: gate.holds, 30, f"{call} is on its way", 0.005)
    sleeper.signal(signal.SIGSTOP)
    if arrives == "while it sleeps":
        gate.let_go("deliver")
    next_leader = w.next_leader_fails_over(leader)
    gate.let_go("deliver")
    wakes_and_finishes_nothing(w, leader, next_leader, sleeper)
    assert w.pg2.timeline == 2, "promoted more than once"
    assert not w.pg2.in_recovery
    assert w.pg1.postmaster is None or w.pg1.in_recovery
    settings = (w.pg2.data / "postgresql.auto.conf").read_text()
    assert "failoverd_frozen" not in settings
    assert "primary_conninfo = ''" not in settings
    assert list(w.pg2.data.glob("failoverd*")) == []
