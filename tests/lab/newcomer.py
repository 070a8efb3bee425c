"""Two fresh hosts, and somebody who has root's login there, the README, and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import python_tree
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import PATH
from tests.lab.network import NETWORK
from tests.lab.server import (
    APPLICATION_ROLE,
    MONITOR_ROLE,
    REPLICATION_ROLE,
    SSHD,
    DatabaseHost,
    tail,
)
from tests.waiting import wait_until

DEBIANS_HBA = f"""
local all all peer
host all all 127.0.0.1/32 scram-sha-256
host all {APPLICATION_ROLE} {NETWORK} scram-sha-256
host replication {REPLICATION_ROLE} {NETWORK} scram-sha-256
"""
FIX = re.compile(r"^ +fix: (?P<words>.*?)(?:   # (?P<note>.*))?$")
THERE = re.compile(r"on (?P<host>\w+) as (?P<user>root|postgres)\b")


class FreshHost(DatabaseHost):
    """It knows nothing of failoverd; an administrator may log in as root."""

    def start_sshd(self, public_key: str) -> None:
        self.let_in("root", public_key)
        super().start_sshd("")
        (self.home / ".ssh" / "authorized_keys").unlink()
        (self.home / ".ssh").rmdir()

    def run_sshd(self) -> None:
        (self.ssh / "sshd_config").write_text(SSHD.replace("RootLogin no", "RootLogin yes"))
        super().run_sshd()


@dataclass(frozen=True)
class Fix:
    """A line that `failoverd check` has printed, and where it says to paste it."""

    words: str
    host: str
    """Empty: where the check was made."""
    user: str


def fixes(said: str, word: str) -> list[Fix]:
    """Those of the checks that came to `word` (FAIL, warn)."""
    found, wanted = [], False
    for line in said.splitlines():
        fix = FIX.match(line)
        if fix is None:
            wanted = line.startswith(word)
        elif wanted:
            there = THERE.match(fix["note"] or "")
            host, user = (there["host"], there["user"]) if there else ("", "root")
            found.append(Fix(fix["words"], host, user))
    return list(dict.fromkeys(found))


class Newcomer:
    """Root at a shell of the monitoring host, who may log in as root on the others."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.monitor = lab.monitor
        lab.database_host("pg1", "192.0.2.11", FreshHost)
        lab.database_host("pg2", "192.0.2.12", FreshHost)
        self._fresh_pair()
        self._only_roots_own_login_is_there()
        self.log = self.monitor.directory / "log" / "newcomer.log"
        self._stays: subprocess.Popen[bytes] | None = None

    def host(self, name: str) -> DatabaseHost:
        return next(one for one in self.lab.servers if one.name == name)

    def _fresh_pair(self) -> None:
        pg1, pg2 = self.host("pg1"), self.host("pg2")
        pg1.initdb_primary()
        pg1.sql(f"drop owned by {MONITOR_ROLE}; drop role {MONITOR_ROLE}")
        (pg1.data / "pg_hba.conf").write_text(DEBIANS_HBA)
        pg1.reload()
        pg2.clone_from(pg1)

    def _only_roots_own_login_is_there(self) -> None:
        """What the lab has prepared for failoverd is gone."""
        etc = self.monitor.etc
        script = "umask 077; mkdir -p /root/.ssh; cat >/root/.ssh/$0"
        for name in ("id_ed25519", "known_hosts"):
            self.monitor.run(["sh", "-ec", script, name], input=(etc / name).read_text())
        for file in etc.iterdir():
            file.unlink()

    def types(
        self, text: str, on: Host | None = None, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Commands as they are written, in a shell that ends at the first failure."""
        return (on or self.monitor).run(
            ["sh", "-ec", text], user=user, check=False, env=self._environment, timeout_s=100
        )

    def leaves_running(self, text: str) -> None:
        """In a terminal of its own."""
        with self.log.open("wb") as output:
            self._stays = subprocess.Popen(
                self.monitor.argv(["sh", "-ec", text]),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**self.monitor.environment("root"), **self._environment}, cwd="/",
            )  # fmt: skip
        self.lab.keep(self)

    def sees(self, predicate: Callable[[], object], what: str) -> None:
        """Within half a minute; else what the terminal shows is told."""
        wait_until(predicate, 30, what, evidence=lambda: tail(self.log, 80), interval_s=0.1)

    def stop(self) -> None:
        """With the lab."""
        if self._stays is not None:
            self._stays.kill()
            self._stays.wait(10)

    @property
    def _environment(self) -> dict[str, str]:
        programs = [str(python_tree.FAILOVERD.parent), f"/usr/lib/postgresql/15/bin:{PATH}"]
        return {**python_tree.ENVIRONMENT, "PATH": ":".join(programs)}


def written(directory: Path, name: str, text: str) -> None:
    """For whoever wants to show it."""
    (directory / name).write_text(text)
