"""A primary and its synchronous standby on loopback, as a DBA would set them up; and the faults."""

from __future__ import annotations

import enum
import os
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from failoverd.config.grants import grants
from failoverd.demo import postgres
from failoverd.demo.postgres import Binaries, Server
from failoverd.demo.writer import TABLE

MONITOR = "failoverd"
APPLICATION = "application"
REPLICATOR = "replicator"


class Fault(enum.StrEnum):
    CRASH = "crash"
    HANG = "hang"
    STOP = "stop"


FAULT_SENTENCES = {
    Fault.CRASH: "SIGKILL to the postmaster of the primary",
    Fault.HANG: "SIGSTOP to every process of the primary: it keeps its port and says nothing",
    Fault.STOP: "pg_ctl stop -m fast on the primary: somebody stops it and walks away",
}


@dataclass(frozen=True, slots=True)
class Pair:
    primary: Server
    standby: Server
    passfile: Path
    """libpq's format; for the standby's replication and for the writer."""
    password_file: Path
    """The monitoring role's password alone, for failoverd."""

    @property
    def servers(self) -> tuple[Server, Server]:
        return (self.primary, self.standby)


def bring_up(
    directory: Path,
    binaries: Binaries,
    become: tuple[str, ...],
    give_away: Callable[[Path], None],
) -> Pair:
    """Both servers, running and streaming, with roles and a table. `give_away`: see `become`."""
    ports = postgres.free_ports(2)
    servers = []
    for name, port in zip(("pg1", "pg2"), ports, strict=True):
        home = directory / name
        home.mkdir(mode=0o700)
        give_away(home)
        servers.append(Server(name, binaries, home, port, home, become))
    passwords = {user: secrets.token_urlsafe(18) for user in (MONITOR, APPLICATION, REPLICATOR)}
    pair = Pair(
        servers[0],
        servers[1],
        passfile=_private_file(
            directory / "pgpass",
            "".join(f"127.0.0.1:*:*:{user}:{word}\n" for user, word in passwords.items()),
        ),
        password_file=_private_file(directory / "monitor-password", passwords[MONITOR] + "\n"),
    )
    give_away(pair.passfile)
    try:
        _set_up(pair, passwords)
    except BaseException:
        take_down(pair)
        raise
    return pair


def _private_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _set_up(pair: Pair, passwords: dict[str, str]) -> None:
    postgres.initdb(pair.primary)
    postgres.start(pair.primary)
    postgres.sql(
        pair.primary,
        f"""
        {grants(pair.primary.binaries.major, MONITOR, password=passwords[MONITOR])}
        CREATE ROLE {REPLICATOR} LOGIN REPLICATION
            PASSWORD {postgres.quoted(passwords[REPLICATOR])};
        CREATE ROLE {APPLICATION} LOGIN PASSWORD {postgres.quoted(passwords[APPLICATION])};
        CREATE TABLE {TABLE} (
            n bigint PRIMARY KEY,
            written_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        ALTER TABLE {TABLE} OWNER TO {APPLICATION};
        """,
    )
    postgres.clone(pair.primary, pair.standby, user=REPLICATOR, passfile=pair.passfile)
    postgres.start(pair.standby)
    postgres.wait_until_streaming(pair.primary, pair.standby)
    # After the clone, so that the promoted standby does not wait for itself.
    synchronous = f"ALTER SYSTEM SET synchronous_standby_names = {pair.standby.name};"
    postgres.sql(pair.primary, synchronous)
    postgres.sql(pair.primary, "SELECT pg_reload_conf();")
    postgres.wait_for(
        lambda: (
            postgres.sql(
                pair.primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync';"
            )
            == "1"
        ),
        "a synchronous standby",
    )


def inject(pair: Pair, fault: Fault) -> None:
    """Do this to the primary, now. `stop` returns when it has stopped, the others at once."""
    match fault:
        case Fault.CRASH:
            postmaster = postgres.postmaster_pid(pair.primary)
            if postmaster is None:
                raise postgres.PostgresFailed("the primary has no postmaster to kill")
            os.kill(postmaster, signal.SIGKILL)
        case Fault.HANG:
            postgres.signal_all(pair.primary, signal.SIGSTOP)
        case Fault.STOP:
            postgres.stop(pair.primary, "fast")


def take_down(pair: Pair) -> None:
    """Nothing of either server is left running."""
    for server in reversed(pair.servers):
        postgres.kill(server)


def timeline(server: Server) -> int:
    """The timeline that a primary writes now; its control file lags behind a promotion."""
    segment = postgres.sql(server, "SELECT pg_walfile_name(pg_current_wal_lsn());")
    return int(segment[:8], 16)


def committed(server: Server) -> frozenset[int]:
    """The numbers that are in the demo's table."""
    return frozenset(map(int, postgres.sql(server, f"SELECT n FROM {TABLE};").split()))
