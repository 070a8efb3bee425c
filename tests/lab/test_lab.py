"""The lab keeps its own promises: what the scenarios rest on is proved here."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.lab import python_tree
from tests.lab.host import UNPRIVILEGED, UNPRIVILEGED_ID, Host
from tests.lab.lab import Lab, make_synchronous
from tests.lab.machine import LabUnavailableError, require_lab_machine, run
from tests.lab.server import BIN_DIR, DATA_DIR, SOCKET_DIR, DatabaseHost
from tests.waiting import wait_until

pytestmark = pytest.mark.lab

CONNECT = """
import socket, sys
connection = socket.socket()
connection.settimeout(float(sys.argv[3]))
try:
    connection.connect((sys.argv[1], int(sys.argv[2])))
    print("connected")
except OSError as error:
    print(type(error).__name__, error.errno)
"""
LOG_IN = """
import asyncio, asyncssh, sys
async def main():
    async with asyncssh.connect(
        sys.argv[1], username="postgres", client_keys=[sys.argv[2]], known_hosts=sys.argv[3],
        config=None, agent_path=None, connect_timeout=5, login_timeout=5,
    ) as connection:
        print((await connection.run("id -un; hostname", check=True)).stdout, end="")
try:
    asyncio.run(main())
except (OSError, asyncssh.Error) as error:
    print(type(error).__name__)
"""
SEND = """
import socket, sys
sender = socket.socket(type=socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    sender.sendto(b"x", (sys.argv[1], 9))
"""
START_AND_WAIT = """
import sys
from pathlib import Path
from tests.lab.lab import Lab
lab = Lab.start(Path(sys.argv[1]))
pg1 = lab.database_host("pg1", "192.0.2.11")
pg1.initdb_primary()
pids = [lab.monitor.init_pid, pg1.init_pid, *(each.outer_pid for each in pg1.processes())]
print(*pids, flush=True)
sys.stdin.read()
"""
STAND_IN = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(os.getuid(), *sys.argv[1:], flush=True)
with open("/var/lib/failoverd/journal", "w") as journal:
    for number in range(5):
        journal.write(f"{number}\\n")
        journal.flush()
        os.fdatasync(journal.fileno())
signal.sigwait({signal.SIGTERM})
sys.exit(3)
"""
ANSWERING = """
import http.server
ANSWERS = {
    "/readyz": "ok",
    "/api/v1/clusters/main": '{"state": "watching"}',
    "/metrics": 'failoverd_state{cluster="main",state="watching"} 1.0\\n',
}
class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ANSWERS else 404)
        self.end_headers()
        self.wfile.write(ANSWERS.get(self.path, "no such page").encode())
http.server.HTTPServer(("127.0.0.1", 9187), Answering).serve_forever()
"""
KEY, KNOWN_HOSTS = "/etc/failoverd/id_ed25519", "/etc/failoverd/known_hosts"


def connect(source: Host, target: Host, port: int, timeout_s: float = 1) -> str:
    argv = [sys.executable, "-I", "-S", "-c", CONNECT, target.address, str(port), str(timeout_s)]
    return source.run_in_network(argv).strip()


def log_in(lab: Lab, target: Host, key: str = KEY, known_hosts: str = KNOWN_HOSTS) -> str:
    argv = [python_tree.PYTHON, "-c", LOG_IN, target.address, key, known_hosts]
    return lab.monitor.run(argv, user=UNPRIVILEGED).stdout


def answers(host: DatabaseHost) -> int:
    """pg_isready's exit status: 0 accepting, 1 rejecting, 2 no answer."""
    argv = [f"{BIN_DIR}/pg_isready", "-q", "-t", "1", "-h", "127.0.0.1"]
    return host.run(argv, check=False).returncode


def control_state(host: DatabaseHost) -> str:
    lines = host.run([f"{BIN_DIR}/pg_controldata", DATA_DIR]).stdout.splitlines()
    return next(line for line in lines if line.startswith("Database cluster state"))


def test_a_host_sees_neither_the_processes_nor_the_files_of_another(lab, tmp_path):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg2 = lab.database_host("pg2", "192.0.2.12")
    pg1.initdb_primary()
    (pg1.home / "secret").write_text("of pg1")
    assert "postgres" in pg1.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout
    for other in (pg2, lab.monitor, lab.app):
        assert "postgres" not in other.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout
        assert other.run(["find", "/", "-xdev", "-name", "secret"]).stdout == ""
        assert other.run(["test", "-e", tmp_path], check=False).returncode == 1
        assert other.run(["test", "-e", DATA_DIR], check=False).returncode == 1
    assert pg1.run(["cat", "/var/lib/postgresql/secret"]).stdout == "of pg1"
    assert [each.name for each in pg2.processes()] == ["sshd"]
    assert pg2.run(["hostname"]).stdout == "pg2\n"


def test_database_hosts_have_neither_the_checkout_nor_the_machines_home_directories(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    assert pg1.run(["ls", "-A", "/root", "/home", "/opt"]).stdout.split() == [
        "/home:", "/opt:", "/root:",
    ]  # fmt: skip
    assert pg1.run(["test", "-e", python_tree.CHECKOUT], check=False).returncode == 1


def test_the_machine_itself_is_not_on_the_wire(lab):
    before = run(["ip", "-brief", "addr"]).stdout
    pg1 = lab.database_host("pg1", "192.0.2.11")
    assert connect(lab.monitor, pg1, 22) == "connected"
    assert run(["ip", "-brief", "addr"]).stdout == before


def test_orphans_are_reaped_and_counted_as_children_of_the_hosts_first_process(lab):
    host = lab.database_host("pg1", "192.0.2.11")
    orphan = host.run(["sh", "-c", "sleep 60 </dev/null >/dev/null 2>&1 & echo $!"]).stdout.strip()
    (process,) = host.processes("sleep")
    assert (str(process.pid), process.parent) == (orphan, 1)
    host.run(["kill", "-9", orphan])
    wait_until(lambda: not host.processes("sleep"), 20, "the orphan is reaped")


def test_the_monitor_logs_in_as_postgres_by_its_key_as_a_user_that_is_not_root(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    assert log_in(lab, pg1) == "postgres\npg1\n"


def test_a_host_key_or_a_client_key_that_is_not_the_right_one_is_refused(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    script = "umask 077; ssh-keygen -q -t ed25519 -N '' -f /tmp/other; echo >/tmp/known_hosts"
    lab.monitor.run(["sh", "-c", script], user=UNPRIVILEGED)
    assert log_in(lab, pg1, key="/tmp/other") == "PermissionDenied\n"
    assert log_in(lab, pg1, known_hosts="/tmp/known_hosts") == "HostKeyNotVerifiable\n"


def test_a_standby_streams_and_a_synchronous_commit_waits_for_it(lab):
    pg1, pg2 = lab.pair()
    assert (pg1.in_recovery, pg2.in_recovery) == (False, True)
    assert pg1.sql("select application_name, sync_state from pg_stat_replication") == "pg2|sync"
    pg1.sql("insert into ledger values (1)")
    pg2.wait_for_sql("select id from ledger", "1")

    pg2.sigstop_all()
    psql = [f"{BIN_DIR}/psql", "-X", "-q", "-h", SOCKET_DIR, "-c", "insert into ledger values (2)"]
    commit = pg1.spawn(psql, user="postgres")
    pg1.wait_for_sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'", "1")
    assert commit.poll() is None
    pg2.sigcont_all()
    assert commit.communicate(timeout=30) == ("", None)
    assert commit.returncode == 0

    make_synchronous(pg1, "")
    pg2.kill9_all()
    pg1.sql("insert into ledger values (3)")


def test_a_killed_postmaster_takes_its_server_down_and_it_can_be_started_again(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg1.initdb_primary()
    pg1.sql("insert into ledger values (1)")
    pg1.kill9_postmaster()
    wait_until(lambda: not pg1.processes("postgres"), 20, "no process of the server is left")
    assert answers(pg1) == 2
    assert control_state(pg1).endswith("in production")
    pg1.start()
    assert pg1.sql("select id from ledger") == "1"


def test_a_stopped_server_has_a_control_file_that_says_so(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg1.initdb_primary()
    pg1.pg_ctl_stop("fast")
    assert pg1.postmaster is None
    assert control_state(pg1).endswith("shut down")


def test_a_frozen_server_accepts_connections_and_answers_none(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg1.initdb_primary()
    pg1.sigstop_all()
    assert connect(lab.monitor, pg1, 5432) == "connected"
    assert answers(pg1) == 2
    pg1.sigcont_all()
    wait_until(lambda: answers(pg1) == 0, 20, "the server answers again")


def test_dropped_packets_to_a_port_time_out_and_other_ports_answer(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg1.initdb_primary()
    lab.drop(lab.monitor, pg1, port=5432)
    assert connect(lab.monitor, pg1, 5432, 0.5) == "TimeoutError None"
    assert connect(lab.monitor, pg1, 22) == "connected"
    assert connect(lab.app, pg1, 5432) == "connected"
    lab.heal()
    assert connect(lab.monitor, pg1, 5432) == "connected"


def test_parted_hosts_hear_each_other_in_neither_direction(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg2 = lab.database_host("pg2", "192.0.2.12")
    lab.part(pg1, pg2)
    assert connect(pg1, pg2, 22, 0.5) == connect(pg2, pg1, 22, 0.5) == "TimeoutError None"
    assert connect(lab.monitor, pg1, 22) == connect(lab.monitor, pg2, 22) == "connected"


def test_a_host_whose_link_is_down_is_unreachable_until_it_is_up(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    lab.link_down(pg1)
    assert connect(lab.monitor, pg1, 22, 10) == "OSError 113"
    lab.link_up(pg1)
    wait_until(lambda: connect(lab.monitor, pg1, 22) == "connected", 20, "the host is reachable")


def test_a_share_of_packets_is_lost_at_random(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    lab.drop(lab.monitor, pg1, percent=30)
    argv = [sys.executable, "-I", "-S", "-c", SEND, pg1.address, "1000"]
    lab.monitor.run_in_network(argv)
    # Binomial: 300 expected, standard deviation 14.5.
    assert 200 < lab.network.dropped(pg1) < 400


def test_the_ledger_counts_and_finds_a_row_that_was_deleted(lab):
    pg1, pg2 = lab.pair()
    ledger = lab.app.start_ledger([pg1, pg2], writers=2)
    ledger.wait_for(1000)
    ledger.stop()
    account = ledger.check(pg1)
    assert account.acknowledged >= 1000
    assert account.lost == ()
    assert account.unexpected <= 2
    assert account.timelines == (1,)

    victim = ledger.acknowledgements()[500].id
    pg1.sql(f"delete from ledger where id = {victim}")
    assert ledger.check(pg1).lost == (victim,)


def test_the_ledger_measures_an_outage_and_follows_the_writable_server(lab):
    pg1, pg2 = lab.pair()
    ledger = lab.app.start_ledger([pg1, pg2])
    ledger.wait_for(600)
    pg1.kill9_all()
    pg2.sql("select pg_promote()")
    ledger.wait_for_node("pg2", 30)
    ledger.wait_for(600)
    account = ledger.check(pg2)
    assert account.lost == ()
    assert [(each.node, each.timeline) for each in account.stretches] == [("pg1", 1), ("pg2", 2)]
    assert 10 < account.outage_ms < 15_000


def test_a_run_with_too_few_acknowledgements_is_a_failed_run(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg1.initdb_primary()
    ledger = lab.app.start_ledger([pg1], rate=50)
    ledger.wait_for(20)
    with pytest.raises(AssertionError, match="too few"):
        ledger.check(pg1)


def test_a_lab_whose_process_is_killed_leaves_nothing_behind(tmp_path):
    argv = [python_tree.PYTHON, "-c", START_AND_WAIT, tmp_path]
    started = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=python_tree.CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with started:
        assert started.stdout is not None
        pids = started.stdout.readline().split()
        assert len(pids) > 5
        started.send_signal(signal.SIGKILL)
    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30, "all of it has ended"
    )


def test_without_root_the_lab_fails_and_says_why():
    os.seteuid(65534)
    try:
        with pytest.raises(LabUnavailableError, match="must run as root"):
            require_lab_machine()
    finally:
        os.seteuid(0)


def test_where_a_program_is_missing_the_lab_fails_and_names_it(monkeypatch):
    monkeypatch.setattr("tests.lab.machine.TOOLS", ("nft", "no-such-program"))
    with pytest.raises(LabUnavailableError, match=r"missing: no-such-program\. .*system-packages"):
        require_lab_machine()


@pytest.fixture
def failoverd_is(monkeypatch):
    """Let a program stand in for failoverd where the harness itself is tested."""

    def replace(program):
        command = [str(python_tree.PYTHON), "-c", program]
        monkeypatch.setattr(python_tree, "failoverd_command", lambda: command)

    return replace


def test_a_daemon_runs_unprivileged_and_signals_reach_it_alone(lab, failoverd_is):
    failoverd_is(STAND_IN)
    daemon = lab.monitor.start_daemon(wrapper=["strace", "-f", "-o", "/run/failoverd/trace"])
    said = f"{UNPRIVILEGED_ID} run -c /etc/failoverd/config.yaml\n"
    wait_until(lambda: daemon.log_text == said, 30, "it has started", evidence=daemon.tail)
    assert daemon.exit_status is None
    assert daemon.stop() == 3


def test_strace_kills_a_daemon_at_the_very_fdatasync_that_was_asked_for(lab, failoverd_is):
    failoverd_is(STAND_IN)
    inject = "inject=fdatasync:signal=SIGKILL:when=3"
    daemon = lab.monitor.start_daemon(
        wrapper=["strace", "-f", "-e", inject, "-o", "/run/failoverd/trace"]
    )
    assert daemon.wait() == -signal.SIGKILL
    assert (lab.monitor.state / "journal").read_text() == "0\n1\n2\n"
    daemon.kill()


def test_what_a_daemon_says_over_http_is_read_from_inside_the_monitors_network(lab, failoverd_is):
    failoverd_is(ANSWERING)
    assert lab.monitor.status() == {}
    lab.monitor.start_daemon()
    lab.monitor.wait_ready()
    assert lab.monitor.wait_for_state("watching", 15) == {"state": "watching"}
    assert lab.monitor.get("/api/v1/clusters/main") == {"state": "watching"}
    assert lab.monitor.metric("failoverd_state", state="watching") == 1
    assert lab.monitor.metric("failoverd_state", state="blocked") is None
    assert lab.monitor.fetch("/nothing") == (404, "no such page")


def test_waiting_in_vain_shows_the_daemons_log(lab, failoverd_is):
    failoverd_is(STAND_IN)
    daemon = lab.monitor.start_daemon()
    wait_until(lambda: daemon.log_text, 30, "it has started")
    with pytest.raises(AssertionError, match=r"(?s)in vain.*run -c /etc/failoverd"):
        lab.monitor.wait_until(lambda: False, 0.2, "in vain")
    daemon.kill()
    with pytest.raises(AssertionError, match="failoverd ended with -9"):
        lab.monitor.wait_ready()


def test_a_configuration_is_what_a_user_would_write_with_the_overrides_laid_over(lab):
    pg1 = lab.database_host("pg1", "192.0.2.11")
    pg2 = lab.database_host("pg2", "192.0.2.12")
    over = {"failover": {"cooldown": "1s"}, "nodes": {"pg2": {"priority": 7}}}
    lab.monitor.write_config([pg1, pg2], **over)
    text = lab.monitor.run(["cat", "/etc/failoverd/config.yaml"], user=UNPRIVILEGED).stdout
    cluster = yaml.safe_load(text)["clusters"]["main"]
    assert cluster["failover"] == {"cooldown": "1s"}
    assert cluster["nodes"] == {
        "pg1": {"host": "192.0.2.11"},
        "pg2": {"host": "192.0.2.12", "priority": 7},
    }
