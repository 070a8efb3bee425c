"""PgBouncer of the distribution as operators run it: on a host of its own, before the servers."""

from __future__ import annotations

import signal
from typing import Any

from tests.lab.host import Host, signal_all, wait_until_listening
from tests.lab.lab import Lab
from tests.lab.machine import run
from tests.lab.server import (
    APPLICATION_PASSWORD,
    APPLICATION_ROLE,
    DATABASE,
    PORT,
    SSHD,
    give_to_postgres,
)
from tests.waiting import wait_until

ADDRESS = "192.0.2.61"
DIRECTORY = "/etc/pooler"
ADMIN, ADMIN_PASSWORD = "failoverd_admin", "the pooler's word"
SETTINGS = """
%include {directory}/databases.ini
[pgbouncer]
listen_addr = *
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {directory}/users
admin_users = {admin}
pool_mode = {mode}
server_login_retry = 1
logfile = {directory}/log
pidfile = {directory}/pid
"""
USERS = f'"{ADMIN}" "{ADMIN_PASSWORD}"\n"{APPLICATION_ROLE}" "{APPLICATION_PASSWORD}"\n'


class Pooler(Host):
    """It begins with nobody to send its clients to; its file is written over SSH."""

    def __init__(self, lab: Lab, *, mode: str = "transaction") -> None:
        self.folder, self.ssh = lab.directory / "pooler-files", lab.directory / "pooler-ssh"
        self.home = lab.directory / "pooler-home"
        for path in (self.folder, self.ssh, self.home):
            path.mkdir()
            give_to_postgres(path)
        writable = {DIRECTORY: self.folder, "/etc/ssh": self.ssh, "/var/lib/postgresql": self.home}
        super().__init__("pooler", ADDRESS, lab.directory / "pooler", writable=writable)
        lab.keep(self)
        lab.network.connect(self)
        settings = SETTINGS.format(directory=DIRECTORY, port=PORT, admin=ADMIN, mode=mode)
        for name, text in (("settings", settings), ("users", USERS), ("databases.ini", "")):
            (self.folder / name).write_text(text)
            give_to_postgres(self.folder / name)
        self._start_sshd(lab)

    def _start_sshd(self, lab: Lab) -> None:
        key = self.ssh / "ssh_host_ed25519_key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key])
        (self.ssh / "sshd_config").write_text(SSHD)
        authorized = self.home / ".ssh" / "authorized_keys"
        authorized.parent.mkdir(mode=0o700)
        authorized.write_text(lab.monitor.public_key)
        authorized.chmod(0o600)
        for path in (authorized.parent, authorized):
            give_to_postgres(path)
        self.run(["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
        wait_until_listening(self, 22)
        lab.monitor.trust(self)  # type: ignore[arg-type]

    @property
    def known_hosts_line(self) -> str:
        public = (self.ssh / "ssh_host_ed25519_key.pub").read_text().split()
        return f"{self.address} {public[0]} {public[1]}\n"

    def start(self) -> None:
        self.run(["/usr/sbin/pgbouncer", "-q", "-d", f"{DIRECTORY}/settings"], user="postgres")
        wait_until_listening(self, PORT)

    def kill(self) -> None:
        signal_all(self, "pgbouncer", signal.SIGKILL)
        wait_until(lambda: not self.processes("pgbouncer"), 20, "PgBouncer is gone")
        (self.folder / "pid").unlink(missing_ok=True)

    def console(self, command: str) -> str:
        """As an operator types it."""
        words = ["psql", "-X", "-A", "-t", "-h", ADDRESS, "-p", str(PORT), "-U", ADMIN]
        return self.run(
            [*words, "-d", "pgbouncer", "-c", command], env={"PGPASSWORD": ADMIN_PASSWORD}
        ).stdout

    @property
    def paused(self) -> bool:
        rows = [row.split("|") for row in self.console("SHOW DATABASES").splitlines()]
        return any(row[0] == DATABASE and row[-2] == "1" for row in rows)

    @property
    def databases(self) -> str:
        return (self.folder / "databases.ini").read_text()


def target(lab: Lab, **more: Any) -> dict[str, Any]:
    """As it is configured."""
    lab.monitor.private_file("pooler", ADMIN_PASSWORD + "\n")
    return {
        "pgbouncer": {
            "host": ADDRESS,
            "port": PORT,
            "user": ADMIN,
            "password": {"file": "/etc/failoverd/pooler"},
            "sslmode": "disable",
            "databases": {DATABASE: f"dbname={DATABASE}"},
            "file": f"{DIRECTORY}/databases.ini",
            **more,
        }
    }
