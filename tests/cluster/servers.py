"""Real servers for tests: one data directory a major version, copied for each test.

`Server` and what can be done with one are failoverd.demo.postgres; here is what only tests
need: trust on loopback, standbys of a server, and a host on which to ask about it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from failoverd.core.model import HostFacts, Instant, NodeName
from failoverd.demo import postgres, unprivileged
from failoverd.demo.postgres import Binaries, Server
from failoverd.transport.host import Host, HostAnswer, host_facts
from failoverd.transport.local import LocalHost

TRUST = "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
CALL_LIMIT_S = 30.0
A_MINUTE_EACH = {"fast_seconds": "60", "immediate_seconds": "60"}
"""What a stop gives SIGINT and SIGQUIT: who waits for them has not answered by the limit."""
CLONED_AT_ONCE = 3


def monotonic() -> Instant:
    return Instant(time.monotonic())


MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 << 30


def fast_place() -> Path:
    """In memory where there is room: no machine is cut off here, and a sync may take a second."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
            return MEMORY
    return Path("/tmp")


@contextlib.contextmanager
def short_directory(below: Path = Path("/tmp")) -> Iterator[Path]:
    """Open to everybody, and short: Unix sockets are made in it."""
    with tempfile.TemporaryDirectory(prefix="fo-", dir=below) as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@dataclass(frozen=True, slots=True)
class Ground:
    """Binaries of one major version, how to run them, and an empty cluster to copy."""

    binaries: Binaries
    become: tuple[str, ...]
    template: Path

    def server(self, name: str, place: Path, **settings: str) -> Server:
        """Not started, and without data."""
        (port,) = postgres.free_ports(1)
        home = place / name
        home.mkdir(mode=0o755)
        if self.become:
            unprivileged.give_away(home)
        return Server(name, self.binaries, home, port, home, self.become, settings)


def lay_ground(binaries: Binaries, place: Path, programs: Path) -> Ground:
    """`programs`: where those are copied that not everybody may read; in memory none may run."""
    become: tuple[str, ...] = ()
    if unprivileged.needed():
        become = unprivileged.setuid_prefix() or ()
        binaries = unprivileged.readable_copy(binaries, programs / "binaries")
    ground = Ground(binaries, become, place / "template" / "data")
    template = ground.server("template", place)
    postgres.initdb(template)
    hba = template.data_dir / "pg_hba.conf"
    hba.write_text(TRUST + hba.read_text())
    return ground


def start_primary(ground: Ground, place: Path, name: str = "pg1", **settings: str) -> Server:
    server = ground.server(name, place, **settings)
    subprocess.run(["cp", "-a", ground.template, server.data_dir], check=True, timeout=60)
    postgres.write_settings(server)
    postgres.start(server)
    return server


def start_standby(
    ground: Ground, place: Path, primary: Server, name: str = "pg2", **settings: str
) -> Server:
    """Streaming when this returns."""
    server = ground.server(name, place, **settings)
    follow(primary, server, place)
    return server


def follow(primary: Server, server: Server, place: Path) -> None:
    """Make a server without data a standby; streaming when this returns."""
    passfile = place / "pgpass"
    passfile.touch(mode=0o600)
    postgres.clone(primary, server, user=postgres.SUPERUSER, passfile=passfile)
    postgres.start(server)
    postgres.wait_until_streaming(primary, server)


@contextlib.contextmanager
def cluster(ground: Ground, *standbys: str, **settings: str) -> Iterator[Cluster]:
    """A primary pg1 and that many standbys, for all cases of a file; each takes its own."""
    settings = {"max_wal_senders": "30", "wal_keep_size": "256MB", **settings}
    with short_directory() as place, contextlib.ExitStack() as ends:
        pg1 = start_primary(ground, place, **settings)
        ends.callback(end, pg1)
        them = {name: ground.server(name, place, **settings) for name in standbys}
        for standby in them.values():
            ends.callback(end, standby)
        with ThreadPoolExecutor(CLONED_AT_ONCE) as pool:
            list(pool.map(lambda standby: follow(pg1, standby, place), them.values()))
        yield Cluster(pg1, them)


@dataclass(frozen=True, slots=True)
class Cluster:
    pg1: Server
    standbys: Mapping[str, Server]

    def __getitem__(self, name: str) -> Server:
        return self.standbys[name]


RETRIES_SOON = {"wal_retrieve_retry_interval": "200ms"}
"""For those who only wait until a standby goes on: 5 s by default."""


def end(server: Server) -> None:
    postgres.kill(server)
    shutil.rmtree(server.directory, ignore_errors=True)


def binaries_by_major() -> list[Binaries]:
    return list(postgres.find_all())


@dataclass(frozen=True, slots=True)
class Asked:
    """A server's host, and what it must be told about the server. `act` is with good right."""

    host: Host
    arguments: Mapping[str, str]

    async def call(self, verb: str, **more: str) -> HostAnswer:
        return await self.host.call(verb, {**self.arguments, **more}, timeout_s=CALL_LIMIT_S)

    async def facts(self) -> HostFacts:
        answer = await self.call("status", system_identifier="")
        found = host_facts(answer, monotonic())
        assert found is not None, answer.run.output
        return found

    async def act(self, verb: str, **more: str) -> HostAnswer:
        facts = await self.facts()
        right = {
            "system_identifier": facts.system_identifier,
            "boot_id": facts.boot_id,
            "expires": str(int((facts.uptime_s + CALL_LIMIT_S) * 100)),
            "epoch": "7",
            "incident": "7",
        }
        return await self.call(verb, **{**right, **more})

    def over(self, host: Host) -> Asked:
        return replace(self, host=host)


def ask_about(server: Server, host: Host | None = None) -> Asked:
    arguments = {
        "data_dir": str(server.data_dir),
        "bin_dir": str(server.binaries.directory),
        "port": str(server.port),
        "socket_dir": str(server.socket_dir),
        "superuser": postgres.SUPERUSER,
        "become": " ".join(server.become),
        "state_dir": str(server.directory / "host-state"),
    }
    return Asked(host or LocalHost(NodeName(server.name), monotonic), arguments)


def keeps_committing(server: Server) -> subprocess.Popen[bytes]:
    """One backend that commits for as long as it lives, whatever becomes of its postmaster."""
    postgres.sql(server, "create table if not exists busy (n bigint);")
    psql = server.binaries.directory / "psql"
    client = subprocess.Popen(
        [psql, "-X", "-q", "-h", server.socket_dir, "-p", str(server.port), "-U", "postgres"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=postgres.clean_environment(),
    )
    assert client.stdin is not None
    client.stdin.write(
        b"do $$ begin for n in 1..100000 loop insert into busy values (n);"
        # Computes between its commits: asleep it would notice that its postmaster is gone.
        b" commit; perform count(*) from generate_series(1, 100000); end loop; end $$;\n"
    )
    client.stdin.flush()
    postgres.wait_for(lambda: rows(server) > 0, "the busy backend commits")
    return client


def silence(server: Server) -> None:
    """What PostgreSQL does by itself is stopped: from now on only sessions write WAL."""
    alone = "('background writer', 'checkpointer', 'autovacuum launcher')"
    asked = f"select pid from pg_stat_activity where backend_type in {alone};"
    for pid in postgres.sql(server, asked).split():
        os.kill(int(pid), signal.SIGSTOP)


def rows(server: Server) -> int:
    return int(postgres.sql(server, "select count(*) from busy;"))


def wait_until(condition, what: str, timeout_s: float = 30) -> None:
    postgres.wait_for(condition, what, timeout_s=timeout_s)


def in_recovery(server: Server) -> bool:
    return postgres.sql(server, "select pg_is_in_recovery();") == "t"


def state_letter(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
