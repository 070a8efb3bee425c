"""Checks on real servers: red when the thing is broken, green when the printed fix was pasted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml

from failoverd.demo import postgres
from tests.cluster.demo_pair import demo_pair
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(400)


class Checked:
    """A pair, its configuration, and `failoverd check` without a daemon."""

    def __init__(self, pair, config) -> None:
        self.pair = pair
        self.config = config
        self.servers = {server.name: server for server in pair.servers}

    def failoverd(self, *words):
        return subprocess.run(
            [sys.executable, "-m", "failoverd", "-c", str(self.config), *words],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=110, check=False,
        )  # fmt: skip

    def checks(self):
        """Each that is no pass, by name and node."""
        done = self.failoverd("check", "--json")
        document = json.loads(done.stdout)["clusters"]["demo"]
        failed = any(one["verdict"] == "fail" for one in document["checks"])
        assert done.returncode == int(failed), done.stdout + done.stderr
        return {
            (one["check"], one["node"]): one
            for one in document["checks"]
            if one["verdict"] != "pass"
        }

    def verdict(self, check, node):
        found = self.checks().get((check, node))
        return "pass" if found is None else found["verdict"]

    def becomes(self, verdict, check, node):
        """What is told once it has that verdict: a reload takes its time."""
        last = []

        def comes():
            last.append(self.checks().get((check, node), {"verdict": "pass"}))
            return last[-1]["verdict"] == verdict

        what = f"{check} of {node} is {verdict}"
        wait_until(comes, 90, what, evidence=lambda: f"but {last[-1]}")
        return last[-1]

    def sql(self, node, *statements):
        for statement in statements:
            postgres.sql(self.servers[node], statement)

    def paste(self, fix):
        """Every line of it, in a shell on the node that it names."""
        for line in fix.splitlines():
            (node,) = [name for name in self.servers if f"# on {name}" in line]
            server = self.servers[node]
            environment = {
                **postgres.clean_environment(),
                "PATH": f"{server.binaries.directory}:{os.environ['PATH']}",
                "PGHOST": str(server.socket_dir),
                "PGPORT": str(server.port),
                "PGUSER": "postgres",
                "PGDATABASE": "postgres",
                "PGDATA": str(server.data_dir),
            }
            done = subprocess.run(
                [*server.become, "sh", "-ec", line],
                env=environment, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stderr)

    def broken_then_mended(self, check, node, verdict="fail"):
        found = self.becomes(verdict, check, node)
        self.paste(found["fix"])
        self.becomes("pass", check, node)
        return found


@pytest.fixture(scope="module")
def checked():
    with demo_pair() as (_, pair, config, _):
        yield Checked(pair, config)


def test_a_pair_as_it_should_be_has_no_failure(checked):
    done = checked.failoverd("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert "pass  demo/pg1, pg2: identity" in done.stdout
    assert "rto   demo: crash: at most about" in done.stdout
    assert "rto   demo: host_lost: not covered" in done.stdout


def test_a_lost_grant_is_found_and_its_sql_mends_it(checked):
    checked.sql("pg1", "revoke pg_monitor from failoverd;")
    found = checked.broken_then_mended("privileges", "pg1")
    assert "pg_monitor (to see replication" in found["sentence"]


def test_a_standby_of_another_name_is_found_and_renamed(checked):
    conninfo = postgres.sql(checked.servers["pg2"], "show primary_conninfo;").strip()
    other = conninfo + " application_name=walreceiver"
    checked.sql(
        "pg2",
        f"alter system set primary_conninfo = {postgres.quoted(other)};",
        "select pg_reload_conf();",
    )
    found = checked.broken_then_mended("primary_conninfo", "pg2", verdict="warn")
    assert "its application_name is walreceiver" in found["sentence"]


def test_a_slot_that_is_missing_on_the_primary_is_found_and_made(checked):
    checked.sql("pg2", "alter system set primary_slot_name = 'pg2';", "select pg_reload_conf();")
    # A standby that keeps its old connection has not noticed yet: it must connect anew.
    checked.sql("pg1", "select pg_terminate_backend(pid) from pg_stat_replication;")
    checked.becomes("fail", "streaming", "pg2")
    checked.sql("pg1", "select pg_create_physical_replication_slot('pg2', true);")
    checked.becomes("pass", "streaming", "pg2")
    assert checked.verdict("slots", "pg2") == "pass"


def test_a_standby_that_was_left_detached_is_found(checked):
    checked.sql(
        "pg2",
        "alter system set primary_slot_name = 'failoverd_frozen_3';",
        "select pg_reload_conf();",
    )
    found = checked.broken_then_mended("streaming", "pg2")
    assert "still detached" in found["sentence"]


def test_an_owner_who_may_not_use_the_socket_is_found(checked):
    hba = checked.servers["pg2"].data_dir / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("local all postgres reject\n" + before)
    checked.paste("psql -h 127.0.0.1 -c 'select 1' || pg_ctl reload   # on pg2")
    found = checked.becomes("fail", "local_sql", "pg2")
    assert "Unix socket" in found["sentence"]
    hba.write_text(before)
    checked.paste("pg_ctl reload   # on pg2")
    checked.becomes("pass", "local_sql", "pg2")


def test_commits_that_would_wait_for_nobody_after_a_failover_are_found(checked):
    checked.sql(
        "pg2", "alter system set synchronous_standby_names = 'pg1';", "select pg_reload_conf();"
    )
    checked.broken_then_mended("synchronous", "pg2", verdict="warn")


def test_settings_below_the_primarys_are_found(checked):
    """PostgreSQL itself pauses the replay of such a standby; what is printed ends that."""
    standby = checked.servers["pg2"]
    checked.sql("pg1", "alter system set max_connections = 130;")
    postgres.stop(checked.servers["pg1"], "fast")
    postgres.start(checked.servers["pg1"])
    found = checked.becomes("fail", "equal_settings", "pg2")
    assert "then restart it" in found["fix"]
    checked.paste(found["fix"])
    postgres.stop(standby, "fast")
    postgres.start(standby)
    postgres.wait_until_streaming(*checked.pair.servers)
    checked.becomes("pass", "equal_settings", "pg2")


@pytest.mark.parametrize(
    ("section", "key", "value", "check"),
    [
        ("postgres", "bin_dir", "/usr/share", "server_tools"),
        ("failover", "rto", "1s", "rto"),
    ],
)
def test_what_is_wrong_in_the_configuration_is_found(checked, section, key, value, check):
    before = checked.config.read_text()
    document = yaml.safe_load(before)
    document["clusters"]["demo"].setdefault(section, {})[key] = value
    try:
        checked.config.write_text(yaml.safe_dump(document))
        found = checked.failoverd("check", "--json")
        told = found.stdout + found.stderr
        assert found.returncode != 0, told
        assert check in told or key in told
    finally:
        checked.config.write_text(before)


def test_the_data_directory_of_another_server_is_found(checked):
    before = checked.config.read_text()
    one, two = (str(server.data_dir) for server in checked.pair.servers)
    try:
        checked.config.write_text(before.replace(one, "OTHER").replace(two, one))
        checked.config.write_text(checked.config.read_text().replace("OTHER", two))
        found = checked.checks()
        assert found["identity", "pg1"]["verdict"] == "fail"
        assert found["fence_rungs", "pg1"]["verdict"] == "fail"
        assert one in found["identity", "pg1"]["fix"]
    finally:
        checked.config.write_text(before)
