"""The unit that is shipped, under a real systemd, with the sandbox that it asks for."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.machine import CHECKOUT, INTERPRETER, booted
from tests.waiting import wait_until

CONFIG = """\
clusters:
  main:
    nodes:
      pg1: {host: 192.0.2.11}
      pg2: {host: 192.0.2.12}
    postgres: {bin_dir: /usr/bin, data_dir: /data}
    sql: {password_file: /etc/failoverd/password}
    ssh: {key_file: /etc/failoverd/id_ed25519, known_hosts: /etc/failoverd/known_hosts}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with booted(tmp_path_factory.mktemp("systemd")) as running:
        etc = running.root / "etc" / "failoverd"
        etc.mkdir(exist_ok=True)
        etc.chmod(0o755)
        for name, text, mode in (
            ("password", "secret\n", 0o600),
            ("known_hosts", "", 0o644),
            ("config.yaml", CONFIG, 0o644),
        ):
            (etc / name).write_text(text)
            (etc / name).chmod(mode)
        key = etc / "id_ed25519"
        key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        running.run("systemctl", "daemon-reload")
        yield running


def write_config(machine, text):
    (Path(machine.root) / "etc/failoverd/config.yaml").write_text(text)


@pytest.fixture
def started(machine):
    write_config(machine, CONFIG)
    machine.run("systemctl", "reset-failed", "failoverd", check=False)
    machine.run("systemctl", "start", "failoverd")
    yield machine
    machine.run("systemctl", "stop", "failoverd")


@pytest.mark.systemd
def test_start_returns_when_it_is_ready_and_says_what_it_does(started):
    assert started.show("ActiveState") == "active"
    assert "main: starting" in started.wait_for("StatusText", lambda text: "main:" in text)


@pytest.mark.systemd
def test_it_waits_for_the_network_and_the_clock(started):
    assert {"network-online.target", "time-sync.target"} <= set(started.show("After").split())
    assert "network-online.target" in started.show("Wants").split()


@pytest.mark.systemd
def test_secrets_that_are_roots_alone_are_read_at_the_paths_that_are_documented(started):
    details = json.dumps(_details_of_nodes(started))
    assert "Permission" not in details
    assert "No such file" not in details
    for path in ("/etc/failoverd/password", "/etc/failoverd/id_ed25519"):
        assert oct((Path(started.root) / path[1:]).stat().st_mode & 0o777) == "0o600"


def _details_of_nodes(machine):
    """What each node's looks came to, once each has been looked at."""
    found = []

    def details():
        found.append(json.loads(machine.run("failoverd", "status", "--json").stdout))
        told = [(n["detail"], n["host_detail"]) for n in found[-1]["nodes"].values()]
        return told if all(sql and host for sql, host in told) else []

    what = "each node was looked at"
    return wait_until(details, 60, what, evidence=lambda: str(found[-1]), interval_s=0.2)


@pytest.mark.systemd
def test_usr2_pauses_it_and_a_restart_keeps_that(started):
    started.run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "failoverd")
    started.wait_for("StatusText", lambda text: "paused" in text)
    started.run("systemctl", "restart", "failoverd")
    started.wait_for("StatusText", lambda text: "paused" in text)
    started.run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "failoverd")
    started.wait_for("StatusText", lambda text: "paused" not in text)


@pytest.mark.systemd
def test_reload_fails_with_the_mistake_and_goes_on_with_the_old_configuration(started):
    started.run("systemctl", "reload", "failoverd")
    write_config(started, CONFIG + "    detection: {intervall: 1s}\n")
    assert started.run("systemctl", "reload", "failoverd", check=False).returncode != 0
    started.wait_for_line("did you mean interval?")
    assert started.show("ActiveState") == "active"


@pytest.mark.systemd
def test_it_is_restarted_when_it_dies_and_not_when_its_configuration_is_wrong(started):
    started.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "failoverd")
    started.wait_for("NRestarts", lambda count: count == "1")
    started.wait_for("ActiveState", lambda state: state == "active")
    started.run("systemctl", "stop", "failoverd")
    assert started.show("Result") == "success"
    write_config(started, "clusters: {}\n")
    assert started.run("systemctl", "start", "failoverd", check=False).returncode != 0
    assert started.show("ExecMainStatus") == "78"
    assert started.show("ActiveState") == "failed"


@pytest.mark.systemd
def test_it_is_restarted_when_it_reaches_its_memory_limit(started):
    before = started.show("MainPID")
    leave_no_memory(started, before)
    # It ends of it, or hangs in the start of a thread, and then its watchdog ends it.
    started.wait_for("NRestarts", lambda count: int(count) >= 1, within_s=60)
    give_memory_back(started)
    started.wait_for("MainPID", lambda pid: pid not in ("0", before))
    started.wait_for("ActiveState", lambda state: state == "active")
    assert "main: starting" in started.wait_for("StatusText", lambda text: "main:" in text)


MANY_CONNECTIONS = """
import contextlib, socket
open_ones = []
with contextlib.suppress(OSError):
    for _ in range(900):
        one = socket.create_connection(("127.0.0.1", 9187), 5)
        one.sendall(b"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        open_ones.append(one)
"""


def has_memory_controller(machine):
    return machine.show("MemoryCurrent").isdecimal()


def leave_no_memory(machine, pid):
    """The unit's own limit, or, in a container that has no memory controller, of its addresses.

    At the first the kernel kills it; at the second an allocation fails, and it ends by itself.
    """
    if has_memory_controller(machine):
        machine.run("systemctl", "set-property", "--runtime", "failoverd", "MemoryMax=8M")
        return
    # As its own user, which needs no rights beyond.
    owner = machine.run("stat", "-c", "--reuid=%u --regid=%g", f"/proc/{pid}").stdout.split()
    limit = ["prlimit", "--pid", pid, "--as=4096:4096"]
    machine.run("setpriv", *owner, "--clear-groups", "--", *limit)
    # What it has already may last it for long: somebody asks for more than that.
    machine.run(INTERPRETER, "-c", MANY_CONNECTIONS)


def give_memory_back(machine):
    if has_memory_controller(machine):
        machine.run("systemctl", "set-property", "--runtime", "failoverd", "MemoryMax=1G")


@pytest.mark.systemd
def test_members_of_the_group_may_use_the_socket_and_nobody_else(started):
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534"]
    member = started.run(*as_nobody, "--groups=failoverd", "--", "failoverd", "status")
    assert "main" in member.stdout
    other = started.run(*as_nobody, "--clear-groups", "--", "failoverd", "status", check=False)
    assert other.returncode == 3


@pytest.mark.systemd
def test_usr1_that_cannot_be_followed_is_refused_in_the_journal_and_ends_nothing(started):
    before = started.show("MainPID")
    started.run("systemctl", "kill", "--kill-whom=main", "-s", "USR1", "failoverd")
    started.wait_for_line("SIGUSR1 was refused")
    assert started.show("MainPID") == before


OWN_PLACES = """\
daemon:
  listen: 127.0.0.1:9188
  state_dir: /var/lib/failoverd/second
  control_socket: /run/failoverd-second/control.sock
"""


@pytest.mark.systemd
def test_a_second_daemon_runs_beside_it_from_the_template(started):
    etc = Path(started.root) / "etc/failoverd"
    text = CONFIG.replace("/etc/failoverd/password", "/etc/failoverd/second.password")
    (etc / "second.yaml").write_text(
        text.replace("/etc/failoverd/id_ed25519", "/etc/failoverd/second.key") + OWN_PLACES
    )
    shutil.copy(etc / "password", etc / "second.password")
    shutil.copy(etc / "id_ed25519", etc / "second.key")
    started.run("systemctl", "start", "failoverd@second")
    for config in ("config", "second"):
        started.run("failoverd", "-c", f"/etc/failoverd/{config}.yaml", "status")
    started.run("systemctl", "reload", "failoverd@second")
    started.run("systemctl", "stop", "failoverd@second")
    assert started.show("ActiveState") == "active"
    started.run("test", "-e", "/run/failoverd/control.sock")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("name", ["failoverd.service", "failoverd@.service"])
def test_the_unit_is_well_formed_and_its_sandbox_tight(tmp_path, name):
    unit = tmp_path / name
    text = (CHECKOUT / "systemd" / name).read_text()
    unit.write_text(
        text.replace("=failoverd run", "=/bin/true").replace("=failoverd ", "=/bin/true ")
    )
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


def test_both_units_have_the_same_sandbox():
    one, template = (
        {
            line.partition("=")[0]: line
            for line in (CHECKOUT / "systemd" / name).read_text().splitlines()
            if "failoverd" not in line and not line.startswith(("#", "Description="))
        }
        for name in ("failoverd.service", "failoverd@.service")
    )
    assert one == template
