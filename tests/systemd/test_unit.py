"""The unit that is shipped, under a real systemd, with the sandbox that it asks for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.machine import CHECKOUT, booted

UNIT = CHECKOUT / "systemd" / "failoverd.service"
CONFIG = """\
clusters:
  main:
    nodes:
      pg1: {host: 192.0.2.11}
      pg2: {host: 192.0.2.12}
    postgres: {bin_dir: /usr/bin, data_dir: /data}
    sql: {password: {credential: password}}
    ssh:
      key_file: /run/credentials/failoverd.service/ssh_key
      known_hosts: /etc/failoverd/known_hosts
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
def test_usr2_pauses_it_and_a_restart_keeps_that(started):
    started.run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "failoverd")
    started.wait_for("StatusText", lambda text: "paused" in text)
    started.run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", "failoverd")
    started.wait_for("StatusText", lambda text: "paused" not in text)


@pytest.mark.systemd
def test_reload_fails_with_the_mistake_and_goes_on_with_the_old_configuration(started):
    started.run("systemctl", "reload", "failoverd")
    write_config(started, CONFIG + "    detection: {intervall: 1s}\n")
    assert started.run("systemctl", "reload", "failoverd", check=False).returncode != 0
    assert "did you mean interval?" in started.journal()
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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_is_well_formed_and_its_sandbox_tight(tmp_path):
    unit = tmp_path / "failoverd.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/failoverd", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout
