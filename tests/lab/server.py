"""A database host: PostgreSQL of the distribution (15) under `postgres`, and a real sshd."""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from failoverd.config.grants import OLDEST_MAJOR, grants
from tests.lab.host import (
    MACHINE,
    Host,
    Process,
    signal_all,
    wait_for_processes,
    wait_until_listening,
)
from tests.lab.machine import BIN_DIR, run
from tests.lab.network import NETWORK
from tests.waiting import NotYetError, wait_until

PORT = 5432
HOME = "/var/lib/postgresql"
DATA_DIR = f"{HOME}/15/main"
SOCKET_DIR = "/run/postgresql"
SERVER_LOG = f"{DATA_DIR}/log/postgresql.log"
START_LOG = f"{HOME}/start.log"

MONITOR_ROLE, MONITOR_PASSWORD = "failoverd", "the monitor's word"
REPLICATION_ROLE, REPLICATION_PASSWORD = "replicator", "the replicator's word"
APPLICATION_ROLE, APPLICATION_PASSWORD = "application", "the application's word"
DATABASE = "postgres"

NO_CONNECTION = 2
"""Of psql: there is no server, or it went away. Source: psql(1), "Exit Status"."""

TEMPLATE_PREFIX = "failoverd-lab-template-"
"""Followed by the number of the process that made it, so that a killed run's is found."""

SETTINGS = {
    "listen_addresses": "*",
    "unix_socket_directories": SOCKET_DIR,
    "shared_buffers": "16MB",
    "wal_log_hints": "on",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "logging_collector": "on",
    "log_filename": "postgresql.log",
    "log_line_prefix": "%m [%p] %a ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
HBA = f"""
local all all peer
host all all 127.0.0.1/32 scram-sha-256
host all all {NETWORK} scram-sha-256
host replication {REPLICATION_ROLE} {NETWORK} scram-sha-256
"""


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# A line of single-user mode ends a statement. The monitor has what `failoverd grants` gives.
ROLES = f"""
{grants(OLDEST_MAJOR, MONITOR_ROLE)}
ALTER ROLE {MONITOR_ROLE} PASSWORD {quoted(MONITOR_PASSWORD)}
CREATE ROLE {REPLICATION_ROLE} LOGIN REPLICATION PASSWORD {quoted(REPLICATION_PASSWORD)}
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO {REPLICATION_ROLE}
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO {REPLICATION_ROLE}
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO {REPLICATION_ROLE}
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO {REPLICATION_ROLE}
CREATE ROLE {APPLICATION_ROLE} LOGIN PASSWORD {quoted(APPLICATION_PASSWORD)}
CREATE TABLE ledger (id bigint PRIMARY KEY)
ALTER TABLE ledger OWNER TO {APPLICATION_ROLE}
"""
SSHD = """
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PrintMotd no
AuthorizedKeysFile .ssh/authorized_keys
"""


@functools.cache
def template(bin_dir: str, tree: Path, read_only: tuple[Path, ...]) -> Path:
    """A fresh cluster with roles, table and access rules, made once by this process.

    Removed when the process ends; what a killed one left is removed here.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{TEMPLATE_PREFIX}*"):
        if not Path("/proc", old.name.removeprefix(TEMPLATE_PREFIX).partition("-")[0]).exists():
            shutil.rmtree(old, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{TEMPLATE_PREFIX}{os.getpid()}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    home = directory / "home"
    home.mkdir()
    give_to_postgres(home)
    inside = f"{HOME}/main"
    seen = {"read_only": read_only, "writable": {HOME: home}, "tree": tree}
    with Host("template", "", directory, **seen) as host:
        initdb = [f"{bin_dir}/initdb", "--no-sync", "-k"]
        host.run(
            [*initdb, "--locale=C.UTF-8", "-E", "UTF8", "-U", "postgres", "-D", inside],
            user="postgres",
        )
        single = [f"{bin_dir}/postgres", "--single", "-D", inside, "-c", "log_min_messages=error"]
        # Before 14 it would be md5, which the access rules refuse.
        single += ["-c", "password_encryption=scram-sha-256", DATABASE]
        said = host.run(single, user="postgres", input=ROLES)
    if "ERROR" in said.stdout + said.stderr:
        raise AssertionError(f"the lab's roles were refused:\n{said.stdout}{said.stderr}")
    data = home / "main"
    (data / "pg_hba.conf").write_text(HBA)
    return data


def give_to_postgres(path: Path) -> None:
    account = pwd.getpwnam("postgres")
    os.chown(path, account.pw_uid, account.pw_gid)


class DatabaseHost(Host):
    port = PORT
    data_dir = DATA_DIR
    bin_dir = BIN_DIR
    tree = MACHINE
    socket_dir = SOCKET_DIR
    server_log = SERVER_LOG
    read_only: Sequence[Path] = ()
    """What else of the machine it has, at its own path."""

    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.home = directory / "home"
        self.ssh = directory / "ssh"
        for path in (self.home, self.ssh):
            path.mkdir(parents=True)
        give_to_postgres(self.home)
        writable = {HOME: self.home, "/etc/ssh": self.ssh}
        super().__init__(
            name, address, directory, read_only=self.read_only, writable=writable, tree=self.tree
        )
        self.run(["install", "-d", "-o", "postgres", "-g", "postgres", "-m", "2775", SOCKET_DIR])

    # The host's sshd

    def start_sshd(self, public_key: str) -> None:
        """Let the owner of `public_key` log in as `postgres`."""
        key = self.ssh / "ssh_host_ed25519_key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key])
        (self.ssh / "sshd_config").write_text(SSHD)
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700)
        authorized = folder / "authorized_keys"
        authorized.write_text(public_key)
        authorized.chmod(0o600)
        for path in (folder, authorized):
            give_to_postgres(path)
        self.run_sshd()

    def run_sshd(self) -> None:
        """Listening on return: it goes into the background before it does."""
        self.run(["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
        wait_until_listening(self, 22)

    def let_in(self, user: str, public_key: str) -> None:
        """The owner of `public_key` may log in as `user`, too."""
        home = self.environment(user)["HOME"]
        self.run(["install", "-d", "-o", user, "-g", user, "-m", "700", home, f"{home}/.ssh"])
        script = 'umask 077; cat >"$HOME/.ssh/authorized_keys"'
        self.run(["sh", "-c", script], user=user, input=public_key)

    def may_sudo(self, line: str) -> None:
        """The host's only rule for sudo; empty: nobody may."""
        file = "/etc/sudoers.d/lab"
        self.run(["sh", "-c", f"umask 227; rm -f {file}; cat >{file}"], input=f"{line}\n")

    @property
    def known_hosts_line(self) -> str:
        public = (self.ssh / "ssh_host_ed25519_key.pub").read_text().split()
        return f"{self.address} {public[0]} {public[1]}\n"

    # Its server

    def data_from_inside(self, link: str) -> str:
        """What a symbolic link in the data directory holds."""
        return self.run(["readlink", f"{DATA_DIR}/{link}"]).stdout.strip()

    @property
    def data(self) -> Path:
        """The data directory as the harness sees it from outside."""
        return self.home / Path(DATA_DIR).relative_to(HOME)

    def initdb_primary(self, settings: Mapping[str, str] | None = None) -> None:
        """A running primary with the lab's roles. All such primaries have one system identifier."""
        self.data.parent.mkdir(mode=0o700, exist_ok=True)
        give_to_postgres(self.data.parent)
        run(
            [
                "cp",
                "-a",
                "--reflink=auto",
                template(self.bin_dir, self.tree, tuple(self.read_only)),
                self.data,
            ]
        )
        self.configure({**SETTINGS, "cluster_name": self.name, **(settings or {})})
        self.start()

    def clone_from(
        self,
        upstream: DatabaseHost,
        *,
        slot: str | None = None,
        application_name: str | None = None,
        settings: Mapping[str, str] | None = None,
        start: bool = True,
    ) -> None:
        """A standby of `upstream`, streaming on return. `slot`: its name (made); None: no slot."""
        conninfo = (
            f"host={upstream.address} port={PORT} user={REPLICATION_ROLE} "
            f"application_name={application_name or self.name}"
        )
        command = [
            f"{self.bin_dir}/pg_basebackup",
            "-D",
            DATA_DIR,
            "-R",
            "-X",
            "stream",
            "-d",
            conninfo,
        ]
        if slot is not None:
            command += ["-C", "-S", slot]
        password = {"PGPASSWORD": REPLICATION_PASSWORD}
        self.run([*command, "-c", "fast", "--no-sync"], user="postgres", env=password)
        shutil.rmtree(self.data / "log", ignore_errors=True)
        self.configure({"cluster_name": self.name, **(settings or {})})
        if start:
            self.start()
            self.wait_until_streaming()

    def configure(self, settings: Mapping[str, str]) -> None:
        """Append to postgresql.conf; in force from the next start or `reload`."""
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {quoted(value)}\n" for name, value in settings.items())

    def reload(self) -> None:
        self.pg_ctl("reload")

    def start(self) -> None:
        self.pg_ctl("start", "-w", "-t", "30", "-s", "-l", START_LOG)

    def pg_ctl_stop(self, mode: str = "fast", timeout_s: int = 30) -> None:
        """As an administrator stops it, who then walks away."""
        self.pg_ctl("stop", "-m", mode, "-w", "-t", str(timeout_s), "-s")

    def pg_ctl(self, *words: str) -> None:
        # Its own output goes to a file: a started server must not hold our pipe open.
        script = '"$@" >"$HOME/pg_ctl.log" 2>&1 </dev/null'
        command = ["sh", "-c", script, "sh", f"{self.bin_dir}/pg_ctl", *words[:1], "-D", DATA_DIR]
        done = self.run([*command, *words[1:]], user="postgres", check=False)
        if done.returncode != 0:
            logs = [
                self.home / "pg_ctl.log",
                self.home / "start.log",
                self.data / "log/postgresql.log",
            ]
            tails = "\n".join(tail(path) for path in logs)
            raise AssertionError(f"pg_ctl {' '.join(words)} on {self.name} failed:\n{tails}")

    def sql(self, statement: str, *, timeout_s: float = 30) -> str:
        """What psql prints, unaligned, as the superuser over the local socket."""
        command = [f"{self.bin_dir}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", SOCKET_DIR, "-p", str(PORT), DATABASE]
        done = self.run(command, user="postgres", input=statement, timeout_s=timeout_s, check=False)
        if done.returncode == NO_CONNECTION:
            raise NotYetError(f"{self.name}: {done.stderr}")
        assert done.returncode == 0, f"{self.name}: {statement}\n{done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def wait_until_streaming(self, timeout_s: float = 30) -> None:
        wait_until(
            lambda: self.sql("select status from pg_stat_wal_receiver") == "streaming",
            timeout_s,
            f"{self.name} streams",
            evidence=lambda: tail(self.data / "log/postgresql.log"),
        )

    def wait_for_sql(self, statement: str, answer: str, timeout_s: float = 30) -> None:
        answers = ["nothing yet"]

        def comes() -> bool:
            answers.append(self.sql(statement))
            return answers[-1] == answer

        what = f"{statement!r} answers {answer!r} on {self.name}"
        wait_until(comes, timeout_s, what, evidence=lambda: f"but {answers[-1]!r}")

    @property
    def in_recovery(self) -> bool:
        return self.sql("select pg_is_in_recovery()") == "t"

    @property
    def timeline(self) -> int:
        """Of the WAL that is being written (primary only)."""
        return int(self.sql("select pg_walfile_name(pg_current_wal_lsn())")[:8], 16)

    @property
    def server_log_text(self) -> str:
        path = self.data / "log/postgresql.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # What can happen to it

    @property
    def postmaster(self) -> Process | None:
        """The server's first process, while it lives."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):  # none, or one that is being written
            return None
        alive = (process for process in self.processes("postgres") if process.state != "Z")
        return next((process for process in alive if process.pid == pid), None)

    def kill9_postmaster(self) -> None:
        """SIGKILL to the postmaster alone: its children notice, and end by themselves."""
        postmaster = self.postmaster
        assert postmaster is not None, f"no postmaster runs on {self.name}"
        os.kill(postmaster.outer_pid, signal.SIGKILL)

    def kill9_all(self) -> None:
        """SIGKILL to every process of the server."""
        signal_all(self, "postgres", signal.SIGKILL)
        wait_until(lambda: not self.processes("postgres"), 20, f"{self.name} has no server left")

    def sigstop_all(self) -> None:
        """Freeze every process of the server: ports stay open, nobody answers."""

        def stopped() -> bool:
            signal_all(self, "postgres", signal.SIGSTOP)
            return {process.state for process in self.processes("postgres")} <= {"T", "Z"}

        wait_until(stopped, 20, f"the server of {self.name} is frozen")

    def sigstop_postmaster(self) -> None:
        """Freeze the postmaster alone: no new connection, while running sessions go on."""
        postmaster = self.postmaster
        assert postmaster is not None, f"no postmaster runs on {self.name}"
        os.kill(postmaster.outer_pid, signal.SIGSTOP)

    def sigstop_replay(self) -> None:
        """Freeze the process that replays: who is asked to promote does not get to it."""
        pid = int(self.sql("select pid from pg_stat_activity where backend_type = 'startup'"))
        (replays,) = [one for one in self.processes("postgres") if one.pid == pid]
        os.kill(replays.outer_pid, signal.SIGSTOP)

    def sigcont_all(self) -> None:
        signal_all(self, "postgres", signal.SIGCONT)
        wait_for_processes(self, "postgres", "RSDIZ", 20)


def tail(path: Path, lines: int = 30) -> str:
    if not path.exists():
        return f"(no {path.name})"
    last = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"--- {path.name}", *last])
