"""Readiness on real hosts: what is broken there is told before it is needed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml

from tests.lab import python_tree
from tests.lab.cluster import watched
from tests.lab.monitor import CLUSTER
from tests.lab.server import HOME, DatabaseHost

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


class Checks:
    def __init__(self, lab) -> None:
        self.lab = lab

    def found(self, *words):
        done = self.lab.monitor.failoverd("check", "--json", *words, check=False, timeout_s=100)
        document = json.loads(done.stdout)["clusters"][CLUSTER]
        assert (done.returncode == 0) is document["ready"], done.stdout
        return {(one["check"], one["node"]): one for one in document["checks"]}

    def verdict(self, check, node, *words):
        return self.found(*words)[check, node]["verdict"]

    def becomes(self, verdict, check, node, *words):
        self.lab.monitor.wait_until(
            lambda: self.verdict(check, node, *words) == verdict, 60, f"{check} is {verdict}"
        )
        return self.found(*words)[check, node]


def test_what_is_broken_on_the_hosts_is_red_and_green_again_once_it_is_mended(lab):
    w = watched(lab, synchronous=False, rate=20)
    checks = Checks(lab)
    failed = [one for one in checks.found().values() if one["verdict"] == "fail"]
    assert failed == []
    lab.monitor.wait_until(
        lambda: lab.monitor.metric("failoverd_ready") == 1, 15, "the daemon says ready"
    )

    # A key that is not let in any more; the daemon's own connection still stands.
    keys = w.pg2.home / ".ssh" / "authorized_keys"
    keys.write_text("")
    told = checks.becomes("fail", "ssh_login", "pg2", "--direct")
    assert lab.monitor.public_key.strip() in told["fix"]
    assert checks.verdict("fence_rungs", "pg2", "--direct") == "fail"
    w.pg2.run(["sh", "-ec", told["fix"]])
    checks.becomes("pass", "ssh_login", "pg2", "--direct")

    # Another machine answers at that address, or a host was made anew.
    known = lab.monitor.etc / "known_hosts"
    hosts = known.read_text()
    another = w.pg1.known_hosts_line.replace(w.pg1.address, w.pg2.address)
    known.write_text(w.pg1.known_hosts_line + another)
    told = checks.becomes("fail", "ssh_host_key", "pg2", "--direct")
    assert f"ssh-keyscan {w.pg2.address} >>" in told["fix"]
    known.write_text(hosts)
    checks.becomes("pass", "ssh_host_key", "pg2", "--direct")

    # The epoch of a failover could not be kept.
    state = f"{HOME}/.failoverd"
    w.pg1.run(["install", "-d", "-o", "root", "-m", "755", state])
    told = checks.becomes("fail", "epoch_kept", "pg1")
    w.pg1.run(["sh", "-ec", told["fix"]])
    checks.becomes("pass", "epoch_kept", "pg1")


class WithFailoverd(DatabaseHost):
    """Somebody has put failoverd on the database host, too."""

    read_only = python_tree.trees()

    def run_failoverd(self, lab, mode: str) -> subprocess.Popen[str]:
        """With the configuration, the key and the password of the monitor, as `postgres`."""
        there = f"{HOME}/failoverd"
        self.run(["install", "-d", "-m", "700", there], user="postgres")
        for file in lab.monitor.etc.iterdir():
            text = file.read_text().replace("/etc/failoverd", there)
            text = text.replace("/var/lib/failoverd", there).replace("/run/failoverd", there)
            if file.name == "config.yaml":
                document = yaml.safe_load(text)
                document["clusters"][CLUSTER]["failover"] = {"mode": mode}
                text = yaml.safe_dump(document)
            write = ["sh", "-ec", "umask 077; cat >$0", f"{there}/{file.name}"]
            self.run(write, user="postgres", input=text)
        command = [*python_tree.failoverd_command(), "run", "-c", f"{there}/config.yaml"]
        told = [f"{key}={value}" for key, value in python_tree.ENVIRONMENT.items()]
        quiet = ["env", *told, "sh", "-c", f'exec "$@" >{there}/log 2>&1', "sh"]
        return self.spawn([*quiet, *command], user="postgres")

    def ends_failoverd(self, running: subprocess.Popen[str]) -> None:
        self.run(["pkill", "-f", "failoverd run"])
        running.communicate(timeout=30)


def test_another_failoverd_and_another_manager_on_a_database_host_are_told(lab):
    w = watched(lab, synchronous=False, rate=20, kind=WithFailoverd)
    checks = Checks(lab)
    assert checks.verdict("other_failoverd", "pg2") == "pass"
    other = w.pg1.run_failoverd(lab, "automatic")
    for node in ("pg1", "pg2"):
        told = checks.becomes("fail", "other_failoverd", node)
        assert f"another failoverd watches it from {w.pg1.address}" in told["sentence"]
        assert "failover.mode: observe" in told["fix"]
    assert lab.monitor.metric("failoverd_ready") == 0
    assert lab.monitor.metric("failoverd_ready_check", check="other_failoverd") == 0
    w.pg1.ends_failoverd(other)
    checks.becomes("pass", "other_failoverd", "pg1")
    other = w.pg1.run_failoverd(lab, "observe")
    named = "application_name = 'failoverd observes/main'"
    watching = f"select count(*) > 0 from pg_stat_activity where {named}"
    for server in (w.pg1, w.pg2):
        server.wait_for_sql(watching, "t", 30)
    assert checks.verdict("other_failoverd", "pg1") == "pass"
    w.pg1.ends_failoverd(other)

    w.pg2.run(["cp", shutil.which("sleep") or "/bin/sleep", "/opt/repmgrd"])
    manager = w.pg2.spawn(["/opt/repmgrd", "600"])
    told = checks.becomes("fail", "other_manager", "pg2")
    assert told["sentence"].startswith("repmgrd runs there")
    assert told["fix"].startswith("systemctl disable --now repmgrd   # on pg2 as root")
    w.pg2.run(["pkill", "-x", "repmgrd"])
    manager.communicate(timeout=10)
    checks.becomes("pass", "other_manager", "pg2")
    lab.monitor.wait_until(lambda: lab.monitor.metric("failoverd_ready") == 1, 30, "it is ready")
