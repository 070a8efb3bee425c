"""A fence that fails, in whatever way: blocked, with the reason and what a human can do."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.cluster import Watched, watched
from tests.lab.host import UNPRIVILEGED
from tests.lab.lab import Lab
from tests.lab.machine import run
from tests.lab.nobody_left import old_primary_takes_writes_again
from tests.lab.server import BIN_DIR, DATA_DIR, DatabaseHost
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

BECOME = "sudo -n -u postgres"
OWN_BIN_DIR = "/var/lib/postgresql/bin"


@dataclass(frozen=True)
class Failure:
    happens: Callable[[Watched], object]
    why: str
    sections: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Lab], object] = lambda _: None


def stop_sshd(w: Watched) -> None:
    w.pg1.run(["pkill", "-x", "sshd"])


def revoke_key(w: Watched) -> None:
    (w.pg1.home / ".ssh" / "authorized_keys").write_text("")
    w.pg1.run(["pkill", "-f", "sshd: postgres"], check=False)


def change_host_key(w: Watched) -> None:
    """As after a new installation, or with another machine in its place."""
    key = w.pg1.ssh / "ssh_host_ed25519_key"
    key.unlink()
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
    w.pg1.run(["pkill", "-x", "sshd"])
    wait_until(lambda: not w.pg1.processes("sshd"), 20, "the port is free for another sshd")
    w.pg1.run_sshd()


def links_to_programs(lab: Lab) -> None:
    for host in lab.servers:
        host.run(["ln", "-s", BIN_DIR, OWN_BIN_DIR])


def remove_programs(w: Watched) -> None:
    w.pg1.run(["rm", OWN_BIN_DIR])


@contextlib.contextmanager
def at_one_stroke(w: Watched) -> Iterator[None]:
    """For the daemon, which acts on a crash sooner than the next command is typed."""
    w.daemon.signal(signal.SIGSTOP)
    yield
    w.daemon.signal(signal.SIGCONT)


def another_cluster_in_its_place(w: Watched) -> None:
    with at_one_stroke(w):
        w.pg1.kill9_all()
        w.pg1.run(["mv", DATA_DIR, f"{DATA_DIR}.old"])
        w.pg1.run([f"{BIN_DIR}/initdb", "--no-sync", "-D", DATA_DIR], user="postgres")


def its_directory_is_gone(w: Watched) -> None:
    with at_one_stroke(w):
        w.pg1.kill9_all()
        w.pg1.run(["mv", DATA_DIR, f"{DATA_DIR}.old"])


def data_on_a_small_disk(lab: Lab) -> None:
    pg1: DatabaseHost = lab.servers[0]
    pg1.pg_ctl_stop()
    pg1.run(["mv", DATA_DIR, f"{DATA_DIR}.moved"])
    pg1.run(["install", "-d", "-o", "postgres", "-g", "postgres", "-m", "700", DATA_DIR])
    size = "size=96m,nr_inodes=3000,mode=700,uid=postgres,gid=postgres"
    pg1.run(["mount", "-t", "tmpfs", "-o", size, "data", DATA_DIR])
    pg1.run(["sh", "-c", f"cp -a {DATA_DIR}.moved/. {DATA_DIR}/"], user="postgres")
    pg1.start()


def fill_disk(w: Watched) -> None:
    w.pg1.run(["sh", "-c", f"cat /dev/zero >{DATA_DIR}/base/full 2>/dev/null || true"])


def use_up_inodes(w: Watched) -> None:
    fill_disk(w)
    script = f"n=0; while true >{DATA_DIR}/base/full.$n; do n=$((n + 1)); done 2>/dev/null"
    w.pg1.run(["bash", "-c", f"({script}) 2>/dev/null || true"])


def another_user_who_may_sudo(lab: Lab) -> None:
    for host in lab.servers:
        host.let_in(UNPRIVILEGED, lab.monitor.public_key)
        host.may_sudo(f"{UNPRIVILEGED} ALL=(postgres) NOPASSWD: ALL")


def sudo_refuses(w: Watched) -> None:
    w.pg1.may_sudo("")


FAILURES = {
    "sshd refuses": Failure(stop_sshd, "its host did not answer (refused)"),
    "the key is revoked": Failure(revoke_key, "its host did not answer (misconfigured)"),
    "the host key has changed": Failure(change_host_key, "its host did not answer (misconfigured)"),
    "PostgreSQL's programs are gone": Failure(
        remove_programs,
        f"pg_controldata: timeout: failed to run command '{OWN_BIN_DIR}/pg_controldata'",
        {"postgres": {"bin_dir": OWN_BIN_DIR}},
        links_to_programs,
    ),
    "its data directory is gone": Failure(
        its_directory_is_gone, f"no data directory at {DATA_DIR}"
    ),
    "its disk is full, to the last inode": Failure(
        use_up_inodes,
        f"the guard could not be written in {DATA_DIR}: nothing was stopped",
        prepare=data_on_a_small_disk,
    ),
    "sudo refuses": Failure(
        sudo_refuses,
        "its host did not answer (misconfigured): sudo: a password is required",
        {"postgres": {"become": BECOME}, "ssh": {"user": UNPRIVILEGED}},
        another_user_who_may_sudo,
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_it_is_blocked_with_the_reason_and_what_to_type(lab, name):
    failure = FAILURES[name]
    w = watched(lab, rate=50, prepare=failure.prepare, **failure.sections)
    failure.happens(w)
    w.pg1.kill9_all()
    lab.monitor.wait_for_state("blocked", 90)
    # A look that is cut off says so first; it is made again.
    w.wait(
        lambda: failure.why in (w.status()["blocked"] or {}).get("why", ""),
        60,
        f"blocked, and told why: {failure.why}",
    )
    status = w.status()
    assert status["blocked"]["reason"] == "no_fence_proof"
    assert f"touch {DATA_DIR}/standby.signal" in status["blocked"]["advice"]
    become = failure.sections.get("postgres", {}).get("become", "")
    bin_dir = failure.sections.get("postgres", {}).get("bin_dir", BIN_DIR)
    typed = f"{become} {bin_dir}/pg_ctl -D {DATA_DIR} stop -m immediate".strip()
    assert f"; {typed})" in status["blocked"]["advice"]
    assert "failoverd fenced pg1" in status["blocked"]["advice"]
    assert w.pg2.in_recovery
    assert lab.monitor.metric("failoverd_blocked", reason="no_fence_proof") == 1


def test_on_a_full_disk_it_is_guarded_and_fenced_all_the_same(lab):
    """A full disk is what ends many a primary; the fence needs no block of it."""
    w = watched(lab, rate=50, prepare=data_on_a_small_disk)
    fill_disk(w)
    w.pg1.kill9_all()
    w.wait_until_failed_over()
    marker = w.pg1.data_from_inside("failoverd.guard")
    assert marker.startswith("1,1,")
    w.pg1.run(["rm", f"{DATA_DIR}/base/full"])
    w.pg1.start()
    assert w.pg1.in_recovery


def test_another_user_becomes_the_owner_and_fences(lab):
    become = {"postgres": {"become": BECOME}, "ssh": {"user": UNPRIVILEGED}}
    w = watched(lab, rate=50, prepare=another_user_who_may_sudo, **become)
    assert w.status()["nodes"]["pg1"]["calibrated"]
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    owner = w.pg1.run(["stat", "-c", "%U", f"{DATA_DIR}/failoverd.guard"]).stdout
    assert owner == "postgres\n"


def test_another_cluster_in_its_place_is_not_touched(lab):
    w = watched(lab, rate=50)
    another_cluster_in_its_place(w)
    w.wait(lambda: w.status()["diagnosis"] == "unclear", 30, "it is unclear")
    seen = w.status()["consecutive_failures"]
    w.wait(lambda: w.status()["consecutive_failures"] >= seen + 5, 30, "it was looked at again")
    assert w.failovers_begun() == 0
    assert w.pg2.in_recovery
    assert not (w.pg1.data / "standby.signal").exists()


def test_a_command_of_ones_own_vouches_and_what_it_is_told_is_documented(lab):
    told = "/var/lib/failoverd/told"
    text = f"#!/bin/sh\nenv | grep ^FAILOVERD_ | sort >{told}\necho its socket is off\n"
    lab.monitor.private_file("off", text, mode=0o700)
    rung = {"command": {"argv": ["/etc/failoverd/off", "pdu7"], "timeout": "5s"}}
    w = watched(lab, rate=50, fencing={"ladder": ["stop", rung]})
    lab.link_down(w.pg1)
    w.pg1.kill9_all()
    w.wait_until_failed_over(40)
    names = [line.split("=")[0] for line in (lab.monitor.state / "told").read_text().splitlines()]
    assert names == [
        "FAILOVERD_ATTEMPT", "FAILOVERD_DATA_DIR", "FAILOVERD_EPOCH", "FAILOVERD_HOST",
        "FAILOVERD_NODE", "FAILOVERD_PORT", "FAILOVERD_SYSTEM_IDENTIFIER",
    ]  # fmt: skip
    report = lab.monitor.failoverd("report").stdout
    assert "vouched" in report
    assert "/etc/failoverd/off pdu7" in report
    assert "its socket is off" in report
    lab.heal()
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "quarantined", 30, "pg1 is quarantined")
    assert (w.pg1.data / "standby.signal").exists()


def test_a_command_that_fails_promotes_nobody_and_its_words_are_told(lab):
    lab.monitor.private_file("off", "#!/bin/sh\necho no route to pdu7 >&2\nexit 3\n", mode=0o700)
    rung = {"command": {"argv": ["/etc/failoverd/off"]}}
    w = watched(lab, rate=50, fencing={"ladder": ["stop", rung]})
    lab.link_down(w.pg1)
    status = lab.monitor.wait_for_state("blocked", 60)
    assert (
        "command: the command /etc/failoverd/off ended with 3: no route to pdu7"
        in (status["blocked"]["why"])
    )
    assert w.pg2.in_recovery


def test_where_nobody_can_take_over_any_more_the_old_primary_is_started_again(lab):
    w = watched(lab, rate=50)
    old_primary_takes_writes_again(lab, w, w.pg1.kill9_all)
    assert "started again as the primary" in w.daemon.log_text


def test_a_failover_that_cannot_be_proved_may_be_given_up_by_hand(lab):
    w = watched(lab, rate=50)
    lab.drop(lab.monitor, w.pg1, 22)
    w.pg1.kill9_all()
    w.wait(
        lambda: (w.status().get("blocked") or {}).get("retry_in_s", 0) > 6, 90, "it waits for long"
    )
    lab.heal()
    lab.monitor.failoverd("unfence", "pg1", "--yes")
    w.wait(
        lambda: (s := w.status())["state"] == "watching" and s["diagnosis"] == "healthy",
        60,
        "pg1 is watched again",
    )
    assert w.status()["primary"] == "pg1"
    assert f"{UNPRIVILEGED} asked to unfence pg1" in w.daemon.log_text
    assert w.pg2.in_recovery
    w.ledger.wait_for(50)
    assert w.ledger.check(w.pg1, enough=50).lost == ()


def test_of_two_primaries_an_operator_adopts_one_and_fences_the_other(lab):
    w = watched(lab, synchronous=False, rate=50)
    w.pg2.pg_ctl("promote", "-w")
    status = lab.monitor.wait_for_state("blocked", 20)
    assert status["blocked"]["reason"] == "split_brain"
    assert w.pg1.postmaster is not None
    refused = lab.monitor.failoverd("fence", "pg1", "--yes", check=False)
    assert refused.returncode == 1
    assert "failoverd adopt NODE first" in refused.stderr
    lab.monitor.failoverd("adopt", "pg2", "--yes")
    lab.monitor.failoverd("fence", "pg1", "--yes")
    w.wait(
        lambda: (s := w.status())["state"] == "watching" and s["primary"] == "pg2",
        30,
        "pg2 is watched",
    )
    w.wait(lambda: w.status()["nodes"]["pg1"]["job"] == "quarantined", 20, "pg1 is quarantined")
    assert w.pg1.postmaster is None
    assert (w.pg1.data / "failoverd.guard").exists()
    assert f"{UNPRIVILEGED} asked to fence pg1" in w.daemon.log_text
    assert f"{UNPRIVILEGED} says that pg2 is the primary" in w.daemon.log_text
    w.pg1.start()
    assert w.pg1.in_recovery


@pytest.mark.parametrize("program", ["patroni", "repmgrd", "pacemakerd"])
def test_beside_another_manager_nothing_is_done(lab, program):
    def prepare(lab):
        lab.servers[1].run(["cp", shutil.which("sleep") or "/bin/sleep", f"/opt/{program}"])
        running.append(lab.servers[1].spawn([f"/opt/{program}", "600"]))

    running: list[Any] = []
    pg1, pg2 = lab.pair(synchronous=False)
    prepare(lab)
    lab.monitor.write_config(lab.servers)
    lab.monitor.start_daemon()
    said = f"{program} runs on the host of pg2: beside another manager this daemon only observes"
    lab.monitor.wait_until(
        lambda: said in lab.monitor.status().get("outlook", {}).get("obstacles", []),
        20,
        "it has found the other manager",
    )
    assert lab.monitor.status()["mode"] == "observe"
    refused = lab.monitor.failoverd("failover", "--yes", check=False)
    assert said in refused.stderr
    pg1.kill9_all()
    lab.monitor.wait_until(lambda: lab.monitor.status()["would"] != "", 30, "it would have acted")
    assert pg2.in_recovery
    assert not (pg1.data / "standby.signal").exists()
    pg2.run(["pkill", "-x", program])
    running[0].communicate(timeout=10)
