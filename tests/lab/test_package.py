"""The Debian package on a machine that has nothing but the distribution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from failoverd import __version__
from tests.lab.clean_root import clean_root
from tests.lab.cluster import watched
from tests.lab.python_tree import CHECKOUT
from tests.lab.service_monitor import FAST_WATCHDOG, ServiceMonitor
from tests.written import block

pytestmark = [pytest.mark.lab, pytest.mark.systemd, pytest.mark.campaign, pytest.mark.timeout(900)]


def build(to):
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        [CHECKOUT / "packaging/build", to],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in sorted(to.iterdir())}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    place = tmp_path_factory.mktemp("dist")
    build(place)
    return place


class PackagedMonitor(ServiceMonitor):
    shown = {}  # noqa: RUF012 - nothing of this machine

    @property
    def lower(self):
        return str(clean_root())

    def _install(self):
        own = self._root / "etc/systemd/system/failoverd.service.d"
        own.mkdir()
        (own / "lab.conf").write_text(FAST_WATCHDOG)

    def dpkg(self, *words):
        return self.run(["dpkg", *words], timeout_s=180).stdout

    def bring(self, package: Path) -> str:
        inside = self._root / "root/dist" / package.name
        inside.parent.mkdir(exist_ok=True)
        inside.write_bytes(package.read_bytes())
        return f"/root/dist/{package.name}"


def newer(package, to):
    """The same package under a higher version."""
    subprocess.run(["dpkg-deb", "-R", package, to / "tree"], check=True)
    control = to / "tree/DEBIAN/control"
    control.write_text(
        control.read_text().replace(f"Version: {__version__}", f"Version: {__version__}+1")
    )
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", to / "tree", to / "newer.deb"],
        check=True, capture_output=True,
    )  # fmt: skip
    return to / "newer.deb"


def test_the_package_carries_a_failover_through_survives_its_watchdog_and_upgrades(
    lab, built, tmp_path
):
    (package,) = built.glob("*.deb")
    monitor = lab.watched_from(PackagedMonitor)
    monitor.bring(package)
    install = block("install.md", "apt-get install", __file__)
    monitor.run(["sh", "-ec", f"cd /root\n{install}"], timeout_s=180)
    assert monitor.failoverd("--version").stdout == f"failoverd, version {__version__}\n"
    assert monitor.run(["getent", "group", "failoverd"]).stdout
    assert monitor.run(["test", "-r", "/usr/share/failoverd/config.yaml"]).returncode == 0
    w = watched(lab)
    exposure = monitor.run(["systemd-analyze", "security", "--threshold=20", "failoverd"])
    assert "OK" in exposure.stdout

    monitor.stall()
    w.pg1.kill9_all()
    w.wait_until_failed_over(90)
    assert monitor.show("NRestarts") == "1"
    w.ledger.wait_for(600)
    assert w.ledger.check(w.pg2).lost == ()

    incidents = monitor.failoverd("history").stdout
    before = monitor.show("MainPID")
    monitor.dpkg("-i", monitor.bring(newer(package, tmp_path)))
    assert monitor.show("ActiveState") == "active"
    assert monitor.show("MainPID") != before
    lab.monitor.wait_ready()
    assert monitor.failoverd("history").stdout == incidents

    monitor.dpkg("--remove", "failoverd")
    assert monitor.run(["test", "-e", "/var/lib/failoverd/journal.sqlite3"]).returncode == 0
    assert monitor.run(["test", "-e", "/usr/lib/failoverd"], check=False).returncode == 1
    monitor.dpkg("--purge", "failoverd")
    assert monitor.run(["ls", "-A", "/etc/failoverd"]).stdout == ""
    assert monitor.run(["test", "-e", "/var/lib/failoverd"], check=False).returncode == 1


def test_two_builds_of_the_package_have_the_same_bytes(built, tmp_path):
    assert build(tmp_path) == {path.name: path.read_bytes() for path in sorted(built.iterdir())}


IN_A_COPY_OF_THIS_MACHINE = """
mount -t tmpfs tmpfs "$0"
cd "$0"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" root
for name in proc dev sys; do mount --rbind "/$name" "root/$name"; done
exec chroot root sh -ec "$1"
"""


def in_a_copy_of_this_machine(place, commands):
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", IN_A_COPY_OF_THIS_MACHINE, place, commands],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_page_says_for_other_systems_installs_the_service(tmp_path):
    commands = block("install.md", "python3 -m venv /opt/failoverd", __file__)
    after = "failoverd --version; getent group failoverd; systemd-analyze verify failoverd.service"
    said = in_a_copy_of_this_machine(tmp_path, f"cd {CHECKOUT}\n{commands}{after}")
    assert f"failoverd, version {__version__}\nfailoverd:x:" in said
    assert not Path("/opt/failoverd/bin").exists()


def test_the_steps_of_the_containerfile_make_a_daemon_of_a_user_of_its_own(tmp_path):
    """Without an engine, and over this machine's system in place of the image's."""
    text = (CHECKOUT / "packaging/Containerfile").read_text().replace("\\\n", " ")
    steps = [line.partition(" ")[::2] for line in text.splitlines() if line[:1].isupper()]
    said = dict(steps)
    assert set(said) == {
        "FROM", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    (entry,), (command,) = json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"])
    as_it = f"setpriv --reuid={said['USER']} --regid={said['USER']} --clear-groups"
    lines = [f"mkdir /source; cp -r {CHECKOUT}/[!.]* /source"]
    lines += [step for kind, step in steps if kind == "RUN"]
    lines += [f"export {said['ENV']}", f"test -d {said['VOLUME']}"]
    lines += [f"{as_it} test -w {said['VOLUME']}", f"{as_it} {entry} --version"]
    lines += [f"{as_it} {entry} {command} 2>&1 || echo ended with $?"]
    out = in_a_copy_of_this_machine(tmp_path, "\n".join(lines))
    assert f"failoverd, version {__version__}\n" in out
    assert "/etc/failoverd/config.yaml" in out
    assert out.endswith("ended with 78\n")


@pytest.mark.parametrize("installer", ["uv", "pipx"])
def test_the_wheel_is_installed_into_an_environment_of_its_own(built, tmp_path, installer):
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "tools", with_pip=True)
    tools = tmp_path / "tools/bin"
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tmp_path),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"), "UV_PYTHON": sys.executable,
        "UV_SYSTEM_CERTS": "1",
        "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"),
        **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))},
    }  # fmt: skip

    def run(*command):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(str(tools / "pip"), "install", "--quiet", installer)
    run(*(["uv", "tool", "install"] if installer == "uv" else ["pipx", "install"]), str(wheel))
    said = run(str(tmp_path / "bin/failoverd"), "--version")
    assert said == f"failoverd, version {__version__}\n"
    missing = subprocess.run(
        [tmp_path / "bin/failoverd", "-c", tmp_path / "none.yaml", "check"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert missing.returncode == 78, missing.stderr
