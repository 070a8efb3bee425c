"""The daemon over HTTP and by its command line, on real servers, without root."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from failoverd.demo.postgres import wait_for
from tests.cluster.demo_pair import demo_daemon


class Running:
    """A daemon on a pair, and the command line that talks to it."""

    def __init__(self, daemon, config, place) -> None:
        self.daemon = daemon
        self.config = config
        self.place = place

    def failoverd(self, *words, stdin=subprocess.DEVNULL):
        return subprocess.run(
            [sys.executable, "-m", "failoverd", "-c", str(self.config), *words],
            capture_output=True, text=True, stdin=stdin, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def running():
    with demo_daemon() as (daemon, _, config):
        yield Running(daemon, config, config.parent)


def test_status_shows_what_it_sees_and_what_it_would_do(running):
    shown = running.failoverd("status")
    assert shown.returncode == 0, shown.stderr
    assert "cluster demo: WATCHING" in shown.stdout
    assert "fence pg1 and promote pg2" in shown.stdout
    document = json.loads(running.failoverd("status", "--json").stdout)
    assert document["primary"] == "pg1"
    assert document["nodes"]["pg2"]["role"] == "standby"
    assert document["nodes"]["pg2"]["lag_bytes"] is not None
    assert document["nodes"]["pg1"]["slots"] == []


def test_a_watched_status_tells_a_pipe_of_each_change_and_of_nothing_else(running):
    command = [sys.executable, "-m", "failoverd", "-c", str(running.config), "status", "--watch"]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as watching:
        try:
            states = [json.loads(watching.stdout.readline())["clusters"][0]["state"]]
            for act in ("pause", "resume"):
                running.failoverd(act)
                while states[-1] == {"pause": "watching", "resume": "paused"}[act]:
                    told = json.loads(watching.stdout.readline())
                    states.append(told["clusters"][0]["state"])
        finally:
            watching.send_signal(signal.SIGINT)
    assert states[0] == states[-1] == "watching"
    assert "paused" in states
    assert watching.returncode == 0


def test_check_passes_where_a_failover_would_work(running):
    checked = running.failoverd("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "well-formed" in checked.stdout
    assert "FAIL" not in checked.stdout


def test_readiness_and_the_worst_outage_are_in_status_and_metrics(running):
    wait_for(
        lambda: running.daemon.status().get("readiness", {}).get("ready"),
        "it has looked",
        timeout_s=60,
    )
    shown = running.failoverd("status").stdout
    assert "readiness: warn: " in shown and "fail: " not in shown
    assert "worst case of an outage: crash " in shown and "host_lost not covered" in shown
    served = running.daemon.get("/metrics")
    assert 'failoverd_ready_check{cluster="demo",check="streaming"} 1.0' in served
    assert (
        'failoverd_recovery_time_objective_seconds{cluster="demo",fault="isolated"} +Inf' in served
    )
    assert (
        '"worst case of an outage: crash: at most about'
        in running.place.joinpath("daemon.log").read_text()
    )


def test_a_pause_lasts_until_it_is_resumed_and_both_are_events(running):
    assert running.failoverd("pause").returncode == 0
    assert running.daemon.status()["state"] == "paused"
    again = running.failoverd("pause")
    assert again.returncode == 1
    assert "paused already" in again.stderr
    assert running.failoverd("resume").returncode == 0
    assert running.daemon.status()["state"] == "watching"
    asked = urllib.request.Request(
        f"{running.daemon.url}/api/v1/events", headers={"Accept": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        happened = json.load(answer)["events"]
    states = [one["state"] for one in happened]
    assert states[-2:] == ["paused", "watching"]
    assert "asked to pause" in happened[-2]["sentence"]


def test_a_pause_may_end_by_itself(running):
    assert running.failoverd("pause", "--for", "1s").returncode == 0
    wait_for(lambda: running.daemon.status().get("state") == "watching", "it has resumed")
    assert running.failoverd("pause", "--for", "1 fortnight").returncode == 2


def test_a_dry_run_says_who_would_take_over_and_does_nothing(running):
    shown = running.failoverd("failover", "--dry-run")
    assert shown.returncode == 0
    assert "promote pg2" in shown.stdout
    assert running.daemon.status()["state"] == "watching"


def test_a_failover_is_not_begun_without_a_terminal_or_yes(running):
    refused = running.failoverd("failover")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert running.daemon.status()["primary"] == "pg1"


def test_a_failover_to_a_stranger_is_refused(running):
    refused = running.failoverd("failover", "--to", "pg9", "--yes")
    assert refused.returncode == 1
    assert "no node is called 'pg9'" in refused.stderr


def test_nothing_may_be_vouched_for_that_is_not_being_fenced(running):
    refused = running.failoverd("fenced", "pg1", "--reason", "because", "--yes")
    assert refused.returncode == 1
    assert "nothing waits for a fence proof" in refused.stderr


def test_a_reload_takes_all_or_nothing(running):
    assert running.failoverd("reload").returncode == 0
    text = running.config.read_text()
    running.config.write_text(text.replace("transport: local", "transport: pigeon"))
    refused = running.failoverd("reload")
    assert refused.returncode == 1
    assert "transport" in refused.stderr
    running.config.write_text(text)
    assert running.daemon.status()["state"] == "watching"


def test_history_and_report_say_when_nothing_has_happened(running):
    assert "nothing has happened yet" in running.failoverd("history").stdout
    assert running.failoverd("report").returncode == 1


def test_the_http_interface_is_read_only_and_says_what_there_is(running):
    get = running.daemon.get
    assert json.loads(get("/healthz"))["ok"]
    assert json.loads(get("/readyz"))["ok"]
    assert [one["cluster"] for one in json.loads(get("/api/v1/clusters"))["clusters"]] == ["demo"]
    assert json.loads(get("/api/v1/clusters/demo/incidents")) == {"incidents": []}
    assert get("/api/v1/clusters/none") is None
    assert json.loads(get("/clusters/demo/nodes/pg1/primary"))["ok"]
    assert json.loads(get("/replica/pg2"))["ok"]
    assert get("/primary/pg2") is None
    assert "failoverd_state" in get("/metrics")
    assert "pg1 is the primary" in get("/")


def test_the_metrics_hold_every_transition_from_the_start(running):
    samples = running.daemon.metrics()
    moves = {
        (s.labels["from_state"], s.labels["to_state"])
        for s in samples
        if s.name == "failoverd_state_transitions_total"
    }
    assert {("suspect", "fencing"), ("fencing", "blocked"), ("confirming", "settling")} <= moves
    states = {s.labels["state"]: s.value for s in samples if s.name == "failoverd_state"}
    assert sum(states.values()) == 1


def test_the_control_socket_is_closed_to_others_and_the_journal_to_all_but_its_owner(running):
    assert (running.place / "control.sock").stat().st_mode & 0o777 == 0o660
    for file in (running.place / "state").iterdir():
        if file.is_file():
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_password_is_in_no_log_and_in_no_answer(running):
    password = (running.place / "monitor-password").read_text().strip()
    shown = (running.place / "daemon.log").read_text()
    shown += running.daemon.get("/api/v1/clusters") + running.failoverd("status", "--json").stdout
    assert password not in shown
    arguments = Path(f"/proc/{running.daemon.process.pid}/cmdline").read_bytes()
    assert password.encode() not in arguments


def test_a_second_daemon_on_the_same_directory_is_refused(running):
    second = running.failoverd("run")
    assert second.returncode == 1
    assert "in use by another failoverd" in second.stdout


def test_without_a_daemon_the_command_line_says_which_socket_and_how_to_start(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "failoverd", "--socket", str(tmp_path / "none"), "status"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert str(tmp_path / "none") in done.stderr
    assert "systemctl start failoverd" in done.stderr


def test_a_wrong_configuration_ends_with_78_and_every_mistake(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("clusters: {main: {nodes: {a: {hots: x}}}}\n")
    for command in ("run", "check"):
        done = subprocess.run(
            [sys.executable, "-m", "failoverd", "-c", str(config), command],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 78
        assert "did you mean host?" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_options_of_all_commands_may_stand_before_or_behind_the_command(running):
    config = str(running.config)
    for words in (
        ["-c", config, "status"],
        ["status", "-c", config],
        ["status", f"--config={config}"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "failoverd", *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for words in (("status", "--json"), ("pause",)):
        refused = running.failoverd(*words, "--cluster", "other")
        assert refused.returncode == 1
        assert "no cluster is called other: one of" in refused.stderr


def test_a_mistyped_command_is_a_usage_error_with_a_hint():
    done = subprocess.run(
        [sys.executable, "-m", "failoverd", "statsu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "status" in done.stderr


def test_status_imports_nothing_slow():
    program = (
        "import sys; from failoverd.cli.commands import cli\n"
        "slow = {'asyncpg', 'asyncssh', 'aiohttp', 'pydantic', 'prometheus_client'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("major", [13, 15, 16, 18])
def test_the_grants_are_least_privilege_for_each_version(major):
    environment = {**os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "failoverd", "grants", "--version", str(major)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert "GRANT pg_monitor" in done.stdout
    assert "SUPERUSER" not in done.stdout
    assert ("pg_use_reserved_connections" in done.stdout) == (major >= 16)


def test_the_schema_that_is_printed_is_json():
    done = subprocess.run(
        [sys.executable, "-m", "failoverd", "schema"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["$schema"]
