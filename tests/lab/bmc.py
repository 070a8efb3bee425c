"""A baseboard management controller for one host: OpenIPMI's simulator, on a wire of its own.

`off` is SIGKILL to everything that the host runs, and its cable out; `on` is the cable in and
sshd started, as a machine that boots does. PostgreSQL is started by nobody.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import ENVIRONMENT
from tests.lab.server import DatabaseHost
from tests.waiting import wait_until

USER, PASSWORD = "admin", "its-own-word"
PORT = 623
LAN = """\
name "bmc"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{chassis} 0x20"
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
EMULATION = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""
CHASSIS = """\
#!/bin/sh
# Told: the controller's address, then `get power` or `set power 0|1`.
case "$2 $3 $4" in
'get power '*) printf 'power:%s\\n' "$(cat {state})" ;;
'set power 0')
    {cable} down
    while :; do
        left=
        for process in /proc/[0-9]*; do
            [ "$(readlink "$process/ns/pid")" = 'pid:[{namespace}]' ] || continue
            pid=${{process#/proc/}}
            case $pid in {init}) continue ;; esac
            case $(cut -d ' ' -f 3 "$process/stat" 2>/dev/null) in Z | '') continue ;; esac
            left=yes
            kill -9 "$pid"
        done
        [ -n "$left" ] || break
    done
    echo 0 >{state}
    ;;
'set power 1')
    {cable} up
    {boot} >/dev/null 2>&1 </dev/null
    echo 1 >{state}
    ;;
esac
"""
# fence_ipmilan against the simulator; `cipher` spares it 12 s of trying.
OPTIONS = {
    "lanplus": True, "cipher": 3, "username": USER, "power_wait": 0,
    "power_timeout": 2, "shell_timeout": 2, "login_timeout": 2,
}  # fmt: skip


class Controller(Host):
    """The controller's address is on the lab's wire; its processes are the machine's."""

    def __init__(self, lab: Lab, target: DatabaseHost, address: str) -> None:
        directory = lab.directory / f"bmc-{target.name}"
        super().__init__(f"bmc-{target.name}", address, directory)
        self._state = directory / "power"
        self._state.write_text("1\n")
        self._files(lab, target)
        lab.network.connect(self)
        self._simulator = self._start()

    @property
    def is_on(self) -> bool:
        """What the controller says of its host."""
        return self._state.read_text().strip() == "1"

    def _files(self, lab: Lab, target: DatabaseHost) -> None:
        chassis = self.directory / "chassis"
        boot = target.argv(["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
        told = {
            "state": shlex.quote(str(self._state)),
            "cable": shlex.join(lab.network.cable_command(target)),
            "namespace": Path(f"/proc/{target.init_pid}/ns/pid").stat().st_ino,
            "init": target.init_pid,
            "boot": shlex.join(str(word) for word in boot),
        }
        chassis.write_text(CHASSIS.format(**told))
        chassis.chmod(0o755)
        lan = {"address": self.address, "port": PORT, "user": USER, "password": PASSWORD}
        (self.directory / "lan.conf").write_text(LAN.format(chassis=chassis, **lan))
        (self.directory / "emulation").write_text(EMULATION)
        (self.directory / "state").mkdir()

    def _start(self) -> subprocess.Popen[bytes]:
        files = ["-c", self.directory / "lan.conf", "-f", self.directory / "emulation"]
        simulator = ["ipmi_sim", *files, "-s", self.directory / "state", "-n"]
        enter = ["nsenter", "--target", str(self.init_pid), "--net", "--"]
        log = self.directory / "simulator.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*enter, *map(str, simulator)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(ENVIRONMENT),
            )
        listens = ["ss", "--udp", "--listening", "--numeric", "--no-header", f"sport = :{PORT}"]
        wait_until(
            lambda: self.run_in_network(listens) != "",
            10,
            f"{self.name} listens",
            evidence=lambda: log.read_text(errors="replace"),
        )
        return process

    def die(self) -> None:
        """The controller itself answers nobody any more."""
        self._simulator.kill()
        self._simulator.wait()

    def turn_on(self) -> None:
        """As somebody does it at the machine."""
        subprocess.run(
            [self.directory / "chassis", "0x20", "set", "power", "1"],
            check=True, timeout=30, env=dict(ENVIRONMENT),
        )  # fmt: skip

    def stop(self) -> None:
        self.die()
        super().stop()


def ladder(address: str, **more: Any) -> dict[str, Any]:
    """`stop`, then fence_ipmilan for the one host that has a controller."""
    agent = {
        "path": "/usr/sbin/fence_ipmilan",
        "options": {**OPTIONS, "ip": address},
        "secrets": {"password": {"file": "/etc/failoverd/bmc"}},
        "timeout": "10s",
        **more,
    }
    return {"ladder": ["stop", {"agent": agent}]}
