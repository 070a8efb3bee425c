"""A primary whose host is lost: turned off by a real fence agent, or nothing is promoted."""

from __future__ import annotations

import pytest

from tests.lab.bmc import PASSWORD, Controller, ladder
from tests.lab.cluster import watched
from tests.lab.server import BIN_DIR, DATABASE, SOCKET_DIR
from tests.written import block

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

ADDRESS = "192.0.2.101"
# An application on the primary's own host: no network is between it and its commits.
LOCAL_WRITER = f"""
n=0
while {BIN_DIR}/psql -X -q -h {SOCKET_DIR} -d {DATABASE} -c 'insert into of_its_own default values'
do
    n=$((n + 1))
    echo "$n $(date +%s.%N)" >>/var/lib/postgresql/acknowledged
done
"""


def with_controller(lab, *, password=PASSWORD, rung=None, **more):
    def prepare(lab):
        controller = lab.keep(Controller(lab, lab.servers[0], ADDRESS))
        lab.monitor.private_file("bmc", password + "\n")
        made.append(controller)

    made: list[Controller] = []
    lab.monitor  # noqa: B018 - its key opens the hosts: it comes first
    fencing = {**FENCING, **({"ladder": ["stop", rung]} if rung else {})}
    w = watched(lab, prepare=prepare, rate=100, fencing=fencing, **more)
    return w, made[0]


FENCING = ladder(ADDRESS)


def test_a_host_that_is_cut_off_is_turned_off_and_nothing_is_acknowledged_there_any_more(lab):
    w, controller = with_controller(lab)
    words = {"192.0.2.111": ADDRESS, "password=...": f"password={PASSWORD}"}
    tried = block("fencing.md", "fence_ipmilan", __file__, **words)
    assert lab.monitor.run(["sh", "-ec", tried]).returncode == 0
    w.pg1.sql("create table of_its_own (id bigserial, at timestamptz default clock_timestamp())")
    w.pg1.sql("alter role postgres set synchronous_commit = local")
    writer = w.pg1.spawn(["sh", "-c", LOCAL_WRITER], user="postgres")
    lab.link_down(w.pg1)
    w.wait_until_failed_over(40)
    assert not controller.is_on
    assert w.pg1.processes() == []
    writer.communicate(timeout=10)
    acknowledged = (w.pg1.home / "acknowledged").read_text().splitlines()
    last = float(acknowledged[-1].split()[1])
    promoted = w.pg2.sql(
        "select extract(epoch from modification) from pg_stat_file('pg_wal/00000002.history')"
    )
    assert last < float(promoted)
    w.ledger.wait_for(100)
    assert w.ledger.check(w.pg2, enough=100).lost == ()
    report = lab.monitor.failoverd("report").stdout
    assert "powered_off" in report
    assert "fence_ipmilan action=off" in report
    assert PASSWORD not in report + w.daemon.log_text
    tried = lab.monitor.metric(
        "failoverd_fence_attempts_total", node="pg1", rung="agent", outcome="fenced"
    )
    assert tried == 1


def test_a_host_that_can_be_reached_is_not_turned_off(lab):
    w, controller = with_controller(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    assert controller.is_on
    assert (
        lab.monitor.metric(
            "failoverd_fence_attempts_total", node="pg1", rung="agent", outcome="fenced"
        )
        == 0
    )


def test_what_was_turned_off_is_guarded_and_stopped_as_soon_as_it_is_reached_again(lab):
    w, controller = with_controller(lab)
    lab.link_down(w.pg1)
    w.wait_until_failed_over(40)
    assert w.status()["nodes"]["pg1"]["job"] == "owed_guard"
    assert not (w.pg1.data / "standby.signal").exists()
    lab.heal()
    controller.turn_on()
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "quarantined", 30, "pg1 is quarantined")
    assert (w.pg1.data / "failoverd.guard").exists()
    w.pg1.start()
    assert w.pg1.in_recovery
    w.ledger.wait_for(50)
    assert w.ledger.check(w.pg2, enough=100).lost == ()


@pytest.mark.parametrize(
    "fault",
    [
        "its controller is dead",
        pytest.param("its password is wrong", marks=pytest.mark.campaign),
    ],
)
def test_without_an_agent_that_says_off_nothing_is_promoted(lab, fault):
    wrong = fault == "its password is wrong"
    w, controller = with_controller(lab, password="another word" if wrong else PASSWORD)
    if not wrong:
        controller.die()
    lab.link_down(w.pg1)
    status = lab.monitor.wait_for_state("blocked", 60)
    assert status["blocked"]["reason"] == "no_fence_proof"
    assert "stop: its host could not be looked at" in status["blocked"]["why"]
    assert (
        "agent: its fence agent does not say that it is off, but unknown"
        in status["blocked"]["why"]
    )
    assert "failoverd fenced pg1" in status["blocked"]["advice"]
    assert w.pg2.in_recovery
    assert controller.is_on


READ_ACTION = """#!/bin/sh
while IFS='=' read -r key value; do [ $key != action ] || action=$value; done
"""
AGENTS = {
    "says off and leaves it on": (
        "case $action in off | status) [ $action = off ] || exit 2 ;; esac; exit 0",
        "its fence agent says that it is off, and",
    ),
    "turns nothing off": ("exit 0", "does not say that it is off, but on"),
    "hangs": ("exec sleep 600", "no end within 2 s: it was killed"),
    "is killed": ("kill -9 $$", "but unknown"),
}
LIES, *FAILS = AGENTS


@pytest.mark.parametrize(
    "kind",
    [LIES, *(pytest.param(kind, marks=pytest.mark.campaign) for kind in FAILS)],
)
def test_an_agent_that_does_not_do_what_it_should_promotes_nobody(lab, kind):
    does, why = AGENTS[kind]
    text = f"{READ_ACTION}{does}\n"
    lab.monitor.private_file("agent", text, mode=0o700)
    rung = {"agent": {"path": "/etc/failoverd/agent", "timeout": "2s"}}
    w, _ = with_controller(lab, rung=rung)
    revoke_key(w.pg1)
    w.pg1.sigstop_all()
    status = lab.monitor.wait_for_state("blocked", 60)
    assert why in status["blocked"]["why"]
    assert w.pg2.in_recovery


def test_a_host_that_was_turned_on_again_before_the_promotion_is_fenced_anew(lab):
    """The second `status`, right before the promotion, says on: the proof is void."""
    text = f"""{READ_ACTION}
[ $action = status ] || exit 0
echo asked >>/var/lib/failoverd/asked
[ "$(wc -l </var/lib/failoverd/asked)" -ne 2 ] || exit 0
exit 2
"""
    lab.monitor.private_file("agent", text, mode=0o700)
    rung = {"agent": {"path": "/etc/failoverd/agent", "timeout": "2s"}}
    w, _ = with_controller(lab, rung=rung)
    lab.link_down(w.pg1)
    w.pg1.kill9_all()
    w.wait_until_failed_over(60)
    assert "no fence agent says that pg1 is still off: its fence is void" in w.daemon.log_text
    fenced = lab.monitor.metric(
        "failoverd_fence_attempts_total", node="pg1", rung="agent", outcome="fenced"
    )
    assert fenced == 2


def revoke_key(host):
    """sshd no longer lets us in; connections that are open are ended."""
    (host.home / ".ssh" / "authorized_keys").write_text("")
    host.run(["pkill", "-f", "sshd: postgres"], check=False)
