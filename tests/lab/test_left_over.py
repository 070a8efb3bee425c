"""What an interrupted failover leaves behind is taken back or kept down; each says by what rule."""

from __future__ import annotations

import json
import signal
import time
import uuid

import pytest

from failoverd.core.model import PROOF_LIFETIME_S
from tests.lab.cluster import watched, with_pg3
from tests.lab.host import signal_all
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SYNC = """#!/bin/sh
case $* in
*standby.signal*) [ ! -e /opt/own/guard_fails ] || exit 1 ;;
*/main) # the last one of an unguard: done, and nobody hears of it
	if [ -e /opt/own/answer_is_lost ] && [ ! -e "$1/failoverd.guard" ]; then
		rm /opt/own/answer_is_lost
		kill -9 "$PPID"
	fi
	;;
esac
exec /opt/own/sync "$@"
"""


def own_sync(lab):
    """On the host of pg1: a guard is laid, and `sync` does not say that it is durable."""
    pg1 = lab.servers[0]
    pg1.run(["install", "-d", "-m", "777", "/opt/own"])
    pg1.run(["cp", "/usr/bin/sync", "/opt/own/sync"])
    pg1.run(["sh", "-c", "cat >/opt/own/wrapper; chmod 755 /opt/own/wrapper"], input=SYNC)
    pg1.run(["mount", "--bind", "/opt/own/wrapper", "/usr/bin/sync"])


def half_fenced(lab):
    """pg1 hangs; its guard is laid, and the fence cannot be proved: blocked."""
    w = watched(lab, rate=50, prepare=own_sync)
    w.pg1.run(["touch", "/opt/own/guard_fails"])
    w.pg1.sigstop_all()
    status = lab.monitor.wait_for_state("blocked", 40)
    assert status["blocked"]["reason"] == "no_fence_proof"
    assert guarded(w.pg1)
    assert w.pg2.in_recovery
    return w


def guarded(host):
    return all((host.data / name).exists() for name in ("standby.signal", "failoverd.guard"))


def unguarded(host):
    return not any((host.data / name).exists() for name in ("standby.signal", "failoverd.guard"))


def reboot(host):
    """Every process ends, the boot id is another one, and sshd runs again; no server yet."""
    host.kill9_all()
    signal_all(host, "sshd", signal.SIGKILL)
    wait_until(lambda: not host.processes("sshd"), 20, f"{host.name} is down")
    host.run(["sh", "-c", f"echo {uuid.uuid4()} >/opt/boot_id"])
    host.run(["mount", "--bind", "/opt/boot_id", "/proc/sys/kernel/random/boot_id"])
    host.run_sshd()


def watched_as_before(w):
    w.wait(
        lambda: (s := w.status()).get("state") == "watching" and s["primary"] == "pg1",
        60,
        "pg1 is watched again",
    )


def nothing_was_lost_on(w, host):
    w.ledger.wait_for(100)
    assert w.ledger.check(host, enough=100).lost == ()


def test_the_guard_of_a_cancelled_fence_is_taken_back(lab):
    """Rule 13: a guard laid is a guard owed."""
    w = half_fenced(lab)
    w.pg1.sigcont_all()
    watched_as_before(w)
    w.wait(lambda: unguarded(w.pg1), 20, "its guard is gone")
    assert w.pg2.in_recovery
    nothing_was_lost_on(w, w.pg1)
    w.pg1.pg_ctl("restart", "-w", "-m", "fast")
    assert not w.pg1.in_recovery


@pytest.mark.campaign
def test_an_unguard_whose_answer_was_lost_is_asked_again(lab):
    """Rules 12 and 13: no answer means unknown, and unknown is asked again."""
    w = half_fenced(lab)
    w.pg1.run(["touch", "/opt/own/answer_is_lost"])
    w.pg1.sigcont_all()
    watched_as_before(w)
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "ok", 30, "nothing is owed any more")
    assert unguarded(w.pg1)
    assert "pg1: its guard stays: its host did not answer (lost)" in w.daemon.log_text.replace(
        "unguard pg1", "pg1"
    )
    assert not w.pg1.run(["ls", "/opt/own"]).stdout.count("answer_is_lost")
    nothing_was_lost_on(w, w.pg1)


@pytest.mark.campaign
def test_an_unguard_whose_host_was_lost_is_owed_over_a_restart_of_the_daemon(lab):
    """Rule 13: journaled, and retried until done."""
    w = half_fenced(lab)
    lab.drop(lab.monitor, w.pg1, 22)
    w.pg1.sigcont_all()
    watched_as_before(w)
    assert w.status()["nodes"]["pg1"]["job"] == "owed_unguard"
    assert guarded(w.pg1)
    w.daemon.kill()
    w.restart()
    watched_as_before(w)
    assert w.status()["nodes"]["pg1"]["job"] == "owed_unguard"
    assert guarded(w.pg1)
    lab.heal()
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "ok", 40, "nothing is owed any more")
    assert unguarded(w.pg1)
    nothing_was_lost_on(w, w.pg1)


@pytest.mark.campaign
def test_a_guard_that_outlived_a_reboot_keeps_it_read_only_and_proves_it(lab):
    """Rule 8: whoever starts it gets a standby, and its start is a proof in the new boot, too."""
    w = half_fenced(lab)
    reboot(w.pg1)
    w.pg1.start()
    assert w.pg1.in_recovery
    w.pg1.run(["rm", "/opt/own/guard_fails"])
    w.wait_until_failed_over(60)
    assert guarded(w.pg1)
    nothing_was_lost_on(w, w.pg2)
    reboot(w.pg1)
    w.pg1.start()
    assert w.pg1.in_recovery
    w.wait(lambda: w.status()["nodes"]["pg1"]["role"] == "standby", 20, "pg1 is seen")
    assert w.status()["state"] == "watching"
    assert w.status()["nodes"]["pg1"]["job"] == "quarantined"
    assert not w.pg2.in_recovery


def slow_election(lab):
    """pg1 is killed and proved fenced; pg3 keeps the election waiting for about ten seconds."""

    w = watched(lab, rate=50, prepare=with_pg3)
    lab.servers[2].sigstop_all()
    w.pg1.kill9_postmaster()
    w.wait_for_step("electing")
    return w


def entries(lab):
    return json.loads(lab.monitor.failoverd("report", "--json").stdout)["entries"]


def position_of(told, answer):
    return [number for number, entry in enumerate(told) if entry["answer"] == answer]


def assert_proved_again_before_the_promotion(lab):
    told = entries(lab)
    first, *_, last = position_of(told, "Fenced")
    (promoted,) = position_of(told, "Promoted")
    assert first < last < promoted
    entered = [
        entry["sentence"] for entry in told[first:last] if "fencing pg1" in entry["sentence"]
    ]
    (again,) = entered
    return again


@pytest.mark.campaign
def test_a_proof_older_than_thirty_seconds_is_proved_again(lab):
    """Rule 1: a proof belongs to 30 s."""
    w = slow_election(lab)
    w.daemon.signal(signal.SIGSTOP)
    over = time.monotonic() + PROOF_LIFETIME_S + 1
    wait_until(lambda: time.monotonic() > over, PROOF_LIFETIME_S + 5, "the proof is too old")
    assert w.pg2.in_recovery
    w.daemon.signal(signal.SIGCONT)
    w.wait_until_failed_over(60)
    assert "older than 30 s" in assert_proved_again_before_the_promotion(lab)
    nothing_was_lost_on(w, w.pg2)


def test_a_proof_of_another_process_is_proved_again(lab):
    """Rule 1: a proof belongs to one process; whoever resumes looks at all nodes first."""
    w = slow_election(lab)
    w.daemon.kill()
    assert w.pg2.in_recovery
    # Somebody else's word in between: what was proved is not true any more.
    (w.pg1.data / "standby.signal").unlink()
    (w.pg1.data / "failoverd.guard").unlink()
    lab.servers[2].sigcont_all()
    w.restart()
    w.wait_until_failed_over(60)
    assert "the fence is proved again" in assert_proved_again_before_the_promotion(lab)
    assert guarded(w.pg1)
    nothing_was_lost_on(w, w.pg2)


HOLD = "while [ ! -e /opt/go ]; do sleep 0.1; done"


def test_a_standby_that_was_asked_to_promote_is_stopped_and_guarded_before_another_takes_over(lab):
    """Rules 8 and 10: it comes up as a primary in the end, and finds that it must not be one."""

    def third(lab):
        pg2 = lab.servers[1]
        pg2.configure({"recovery_end_command": HOLD})
        pg2.reload()
        with_pg3(lab)

    w = watched(
        lab, rate=50, synchronous=False, prepare=third,
        nodes={"pg2": {"priority": 200}}, limits={"promote": "3s"},
    )  # fmt: skip
    pg3 = lab.servers[2]
    w.ledger.check(w.pg1, enough=5)
    w.pg1.kill9_postmaster()
    status = lab.monitor.wait_for_state("blocked", 60)
    assert status["blocked"]["reason"] == "promotion_pending"
    assert w.pg2.in_recovery
    assert pg3.in_recovery
    # Cut off, it is promoted after all: whoever reaches it can write there.
    lab.link_down(w.pg2)
    w.pg2.run(["touch", "/opt/go"])
    w.pg2.wait_for_sql("select pg_is_in_recovery()", "f", 20)
    blocked = lab.monitor.wait_for_state("blocked", 60)
    assert blocked["blocked"]["reason"] in ("promotion_pending", "no_fence_proof")
    assert pg3.in_recovery
    w.pg2.kill9_all()
    w.wait(lambda: not w.status()["nodes"]["pg2"]["up"], 20, "pg2 is out of sight")
    # Refused while it is just being asked once more: whoever types it types it again.
    word = ("fenced", "pg2", "--reason", "its plug is pulled", "--yes")
    lab.monitor.wait_until(
        lambda: lab.monitor.failoverd(*word, check=False).returncode == 0, 60, "the word is taken"
    )
    w.wait(
        lambda: (s := w.status())["primary"] == "pg3" and s["state"] == "watching",
        60,
        "pg3 is the primary",
    )
    assert w.status()["nodes"]["pg2"]["job"] == "owed_guard"
    w.pg2.start()
    assert not w.pg2.in_recovery
    lab.heal()
    w.wait(lambda: w.status()["nodes"]["pg2"]["job"] == "quarantined", 30, "pg2 is kept down")
    assert w.pg2.postmaster is None
    assert guarded(w.pg2)
    assert not pg3.in_recovery
    w.pg2.start()
    assert w.pg2.in_recovery
