"""One daemon, several clusters: signals, and reloads that leave alone what they do not name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from failoverd.demo import postgres, watched
from failoverd.demo.postgres import free_ports, wait_for
from failoverd.demo.watched import CLUSTER
from tests.cluster.demo_pair import demo_daemon
from tests.waiting import wait_until

HELD = "failoverd_probe_duration_seconds_count"


def nowhere(ports, **sections):
    """Two servers that are not there."""
    nodes = {
        f"pg{n}": {"host": "127.0.0.1", "postgres": {"port": port}} for n, port in enumerate(ports)
    }
    postgres = {"bin_dir": "/nonexistent", "data_dir": "/nonexistent"}
    return {"transport": "local", "nodes": nodes, "postgres": postgres, **sections}


def test_sigusr1_says_what_to_type_where_there_are_several(tmp_path):
    port, *servers = free_ports(5)
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "clusters": {"one": nowhere(servers[:2]), "two": nowhere(servers[2:])},
                "daemon": {
                    "listen": f"127.0.0.1:{port}",
                    "state_dir": str(tmp_path / "state"),
                    "control_socket": str(tmp_path / "control.sock"),
                },
            }
        )
    )
    log = tmp_path / "daemon.log"
    daemon = watched.start(config, port, log)
    try:
        wait_for(lambda: daemon.get("/healthz") is not None, "it runs")
        daemon.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "failoverd failover --cluster NAME" in log.read_text(), "it is refused")
        assert daemon.exit_status is None
        assert not daemon.ready()
    finally:
        daemon.stop()
    assert daemon.exit_status == 0


class Running:
    """A daemon on a real pair and on clusters that are nowhere, and its configuration."""

    def __init__(self, pair, daemon, config) -> None:
        self.pair = pair
        self.daemon = daemon
        self.config = config

    def failoverd(self, *words):
        return subprocess.run(
            [sys.executable, "-m", "failoverd", "-c", str(self.config), *words],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip

    def reload(self, **clusters):
        """With these as well, or otherwise; None: without the one of that name."""
        before = self.config.read_text()
        whole = yaml.safe_load(before)
        wanted = whole["clusters"] | clusters
        whole["clusters"] = {name: one for name, one in wanted.items() if one is not None}
        self.config.write_text(yaml.safe_dump(whole))
        done = self.failoverd("reload")
        if done.returncode:
            self.config.write_text(before)
        return done

    def known(self):
        body = wait_until(lambda: self.daemon.get("/api/v1/clusters"), 30, "it answers")
        return {one["cluster"]: one for one in json.loads(body)["clusters"]}

    def of_metrics(self):
        """The clusters that any series is of."""
        return {one.labels["cluster"] for one in self.daemon.metrics() if "cluster" in one.labels}

    def rounds(self, cluster):
        """How often the held session of each node was asked."""
        return {
            one.labels["node"]: one.value
            for one in self.daemon.metrics()
            if one.name == HELD
            and one.labels["cluster"] == cluster
            and one.labels["kind"] == "held"
        }

    def sessions(self):
        """The held session of the pair's cluster, on each server that answers."""
        asked = (
            "select pid from pg_stat_activity"
            f" where application_name = 'failoverd/{CLUSTER}' order by backend_start limit 1;"
        )
        return [postgres.sql(server, asked) for server in self.pair.servers]

    @property
    def log(self):
        return self.daemon.log.read_text()


@pytest.fixture
def running():
    with demo_daemon() as (daemon, pair, config):
        yield Running(pair, daemon, config)


def test_clusters_come_and_go_and_change_while_the_others_are_left_alone(running):
    while_another_is_well(running)
    while_another_fails_over(running)


def while_another_is_well(running):
    ports, others = free_ports(2), free_ports(2)
    before = running.sessions()
    assert running.reload(added=nowhere(ports), changed=nowhere(others)).returncode == 0
    wait_for(lambda: set(running.known()) == {CLUSTER, "added", "changed"}, "both are watched")
    wait_for(lambda: running.of_metrics() == set(running.known()), "both have series")
    assert running.failoverd("pause", "--cluster", "added").returncode == 0

    slower = nowhere(others, detection={"interval": "2s"})
    rounds = running.rounds(CLUSTER)
    assert running.reload(added=None, changed=slower).returncode == 0
    assert set(running.known()) == {CLUSTER, "changed"}
    assert running.of_metrics() == {CLUSTER, "changed"}
    assert running.daemon.get("/api/v1/clusters/added") is None
    refused = running.failoverd("resume", "--cluster", "added")
    assert refused.returncode != 0
    wait_for(
        lambda: all(running.rounds(CLUSTER)[node] > seen for node, seen in rounds.items()),
        "the rounds go on",
    )
    assert running.sessions() == before, "its sessions were not even ended"

    # Whoever comes back is found as it was left.
    assert running.reload(added=nowhere(ports)).returncode == 0
    wait_for(lambda: running.known()["added"]["state"] == "paused", "it is paused as it was")
    assert running.daemon.exit_status is None


def while_another_fails_over(running):
    """It stays until that is over, whatever the configuration says."""
    ports = free_ports(2)
    assert running.reload(added=None, changed=None, other=nowhere(ports)).returncode == 0
    primary, standby = running.pair.servers
    replays = int(
        postgres.sql(standby, "select pid from pg_stat_activity where backend_type = 'startup';")
    )
    os.kill(replays, signal.SIGSTOP)  # whoever is asked to promote does not get to it
    try:
        os.kill(postgres.postmaster_pid(primary), signal.SIGKILL)
        wait_for(lambda: running.known()[CLUSTER]["state"] == "promoting", "it is to promote")
        refused = running.reload(**{CLUSTER: None})
        assert refused.returncode == 1
        assert (
            f"clusters.{CLUSTER} was removed, and a failover of it is under way" in refused.stderr
        )
        assert set(running.known()) == {CLUSTER, "other"}, "nothing was changed"
        changed = nowhere(ports, detection={"interval": "2s"})
        assert running.reload(other=changed, third=nowhere(free_ports(2))).returncode == 0
        assert set(running.known()) == {CLUSTER, "other", "third"}
        assert running.known()[CLUSTER]["state"] == "promoting"
        assert running.reload(other=None).returncode == 0
        assert running.of_metrics() == {CLUSTER, "third"}
        assert running.known()[CLUSTER]["state"] == "promoting"
    finally:
        os.kill(replays, signal.SIGCONT)
    wait_for(lambda: running.known()[CLUSTER]["timeline"] == 2, "it is promoted", timeout_s=60)
    wait_for(lambda: running.known()[CLUSTER]["state"] == "watching", "it is done", timeout_s=60)
    assert running.reload(**{CLUSTER: None}).returncode == 0
    assert set(running.known()) == {"third"}
    assert "nobody sees to it any more: pg1 (quarantined)" in running.log
