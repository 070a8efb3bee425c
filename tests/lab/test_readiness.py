"""Readiness on real hosts: what is broken there is told before it is needed."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import watched
from tests.lab.monitor import CLUSTER
from tests.lab.server import HOME

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
    let_in = keys.read_text()
    keys.write_text("")
    told = checks.becomes("fail", "ssh_login", "pg2", "--direct")
    assert f"postgres@{w.pg2.address}" in told["fix"]
    assert checks.verdict("fence_rungs", "pg2", "--direct") == "fail"
    keys.write_text(let_in)
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
