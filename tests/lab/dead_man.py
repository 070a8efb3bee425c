"""The dead-man on a host as the daemon calls it, and an application there that it is to end."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from failoverd.host_program.program import program
from tests.lab.host import UNPRIVILEGED
from tests.lab.server import BIN_DIR, DATA_DIR, PORT, SOCKET_DIR, DatabaseHost
from tests.waiting import wait_until

TTL_S = 2.0
COMMITS = r"""
cd /
while :; do
  seq 1 100000 |
    sed 's|.*|insert into commits values (&);\n\\! read up _ </proc/uptime; echo $up|' |
    "$0" -X -q -v ON_ERROR_STOP=1 -h "$1" postgres 2>/dev/null
  echo gone
  sleep 0.02
done
"""


def uptime_s() -> float:
    """Of every host of the lab."""
    return float(Path("/proc/uptime").read_text().split()[0])


@dataclass
class Answer:
    exit_status: int
    fields: dict[str, str]

    @property
    def verdict(self) -> str:
        return self.fields.get("verdict", "")

    def number(self, name: str) -> float:
        return float(self.fields[name])


class DeadMan:
    """As the daemon calls it; directly on the host, or from the monitor over SSH."""

    def __init__(self, lab, host: DatabaseHost, *, ssh: bool = False) -> None:
        self.lab, self.host, self.ssh = lab, host, ssh
        self.identifier = host.sql("select system_identifier from pg_control_system()")
        self.boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.arming = ""
        self.renewed_s = 0.0

    def call(self, verb: str, **more: str) -> Answer:
        arguments = {
            "verb": verb, "nonce": secrets.token_hex(8), "data_dir": DATA_DIR, "bin_dir": BIN_DIR,
            "port": str(PORT), "socket_dir": SOCKET_DIR, "system_identifier": self.identifier,
            "boot_id": self.boot_id, "expires": str(int((uptime_s() + 2) * 100)),
            "epoch": "7", "incident": "7", **more,
        }  # fmt: skip
        text = program(arguments).decode()
        if self.ssh:
            words = ["ssh", "-o", "UserKnownHostsFile=/etc/failoverd/known_hosts"]
            words += ["-i", "/etc/failoverd/id_ed25519", f"postgres@{self.host.address}"]
            done = self.lab.monitor.run(
                [*words, "timeout -k 2 9 sh -s"], user=UNPRIVILEGED, input=text, check=False
            )
        else:
            done = self.host.run(["sh", "-s"], user="postgres", input=text, check=False)
        fields = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
        assert fields.get("nonce") == arguments["nonce"], done.stdout + done.stderr
        return Answer(done.returncode, fields)

    def arm(self, *, ttl_s: float = TTL_S, hold_s: float = 60.0, **more: str) -> Answer:
        sent_s = uptime_s()
        times = {"ttl": str(int(ttl_s * 100)), "hold": str(int(hold_s * 100))}
        sent = {"sent": str(int(sent_s * 100)), "standbys": "pg2"}
        answer = self.call("dead_man_arm", **times, **sent, **more)
        if answer.verdict == "armed":
            self.arming, self.renewed_s = answer.fields["arming"], sent_s
        return answer

    def renew(self, *, age_s: float = 0.0, **more: str) -> Answer:
        sent_s = uptime_s() - age_s
        right = {"arming": self.arming, "sent": str(int(sent_s * 100))}
        answer = self.call("dead_man_renew", **{**right, **more})
        if answer.verdict == "renewed":
            self.renewed_s = sent_s
        return answer

    def disarm(self, **more: str) -> Answer:
        return self.call("dead_man_disarm", arming=self.arming, **more)

    def status(self) -> Answer:
        return self.call("dead_man_status")

    @contextlib.contextmanager
    def renewing(self) -> Iterator[list[Answer]]:
        """As long as this lasts, twice a TTL and more."""
        ended, answers = threading.Event(), [self.renew()]

        def renew() -> None:
            while not ended.wait(0.4):
                answers.append(self.renew())

        thread = threading.Thread(target=renew)
        thread.start()
        try:
            yield answers
        finally:
            ended.set()
            thread.join()

    def watcher(self):
        """Its process; None: it has ended."""
        found = [p for p in self.host.processes() if "failoverd-dead-man" in p.command]
        alive = [process for process in found if process.state != "Z" and process.name == "sh"]
        return alive[0] if alive else None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.watcher().outer_pid, number)

    def wait_until_fired(self, timeout_s: float = 20) -> Answer:
        def gone() -> bool:
            answer = self.status()
            return answer.verdict == "fired" and bool(answer.fields.get("fired_all_gone_at_uptime"))

        wait_until(gone, timeout_s, "it has fired", evidence=lambda: str(self.status()))
        return self.status()

    def wait_until_over(self, timeout_s: float = 20) -> None:
        what = "its process has ended"
        wait_until(lambda: self.watcher() is None, timeout_s, what, evidence=self.evidence)

    def wait_until_past(self, instant_s: float) -> None:
        wait_until(lambda: uptime_s() > instant_s, 20, "that much time has passed")

    def stop_while_it_asks(self) -> None:
        """Between the end of its TTL and its firing, which is a second."""
        self.signal(signal.SIGSTOP)
        assert self.status().verdict != "fired", "not within the second: it was stopped too late"

    def evidence(self) -> str:
        return f"{self.status()}\n" + "\n".join(map(str, self.host.processes()))

    def asked(self) -> int:
        """How many WAL messages it has written."""
        path = f"{DATA_DIR}/pg_wal/" + self.host.sql("select pg_walfile_name(pg_current_wal_lsn())")
        done = self.host.run([f"{BIN_DIR}/pg_waldump", "-r", "LogicalMessage", path], check=False)
        return done.stdout.count('prefix "failoverd"')


@dataclass
class Application:
    """On the primary's own host: commits in a loop, connects again, and logs each answer."""

    log: Path

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().split("\n")[:-1]

    @property
    def answered_s(self) -> list[float]:
        """When each commit was acknowledged."""
        return [float(line) for line in self.lines if line != "gone"]

    @property
    def since_it_was_gone(self) -> list[str]:
        lines = self.lines
        return lines[lines.index("gone") :]

    @property
    def refused(self) -> int:
        return self.lines.count("gone")


def is_up(host: DatabaseHost) -> bool:
    return host.postmaster is not None and host.sql("select pg_is_in_recovery()") == "f"


def is_fenced(host: DatabaseHost) -> bool:
    guarded = (host.data / "standby.signal").exists() and (host.data / "failoverd.guard").exists()
    return guarded and not [p for p in host.processes("postgres") if p.state != "Z"]
