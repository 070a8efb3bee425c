"""What the demo runs on: the directory, the servers, the daemon and the writer, as processes."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from failoverd.demo import pair as servers
from failoverd.demo import postgres, unprivileged, watched, writer
from failoverd.demo.configuration import write_configuration
from failoverd.demo.pair import Pair
from failoverd.demo.postgres import Binaries
from failoverd.demo.screen import Colour, Screen
from failoverd.demo.watched import Daemon


@dataclass(frozen=True, slots=True)
class Footing:
    """Whose binaries run, and as whom."""

    binaries: Binaries
    become: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs."""

    directory: Path
    pair: Pair
    daemon: Daemon
    application: subprocess.Popen[bytes]
    account: Path

    @property
    def acknowledgements(self) -> tuple[writer.Acknowledgement, ...]:
        return writer.acknowledgements(self.account)


def short_directory() -> Path:
    """Short, since the path of a Unix socket may have no more than 107 bytes."""
    usual = Path(tempfile.gettempdir())
    parent = usual if len(str(usual)) <= 40 else Path("/tmp")
    return Path(tempfile.mkdtemp(prefix="failoverd-demo-", dir=parent))


def clear_up(place: Path) -> None:
    """Data and passwords go, logs and reports stay."""
    for data in place.glob("*/data"):
        shutil.rmtree(data, ignore_errors=True)
    for name in ("pgpass", "monitor-password", "stop"):
        (place / name).unlink(missing_ok=True)
    shutil.rmtree(place / "binaries", ignore_errors=True)


def footing(place: Path, directory: Path | None) -> Footing:
    binaries = postgres.find(directory)
    if not unprivileged.needed():
        return Footing(binaries)
    become = unprivileged.setuid_prefix()
    if become is None:
        raise PermissionError(
            "PostgreSQL does not run as root, and neither a user namespace nor another user "
            "is to be had here; run the demo as a user that is not root"
        )
    place.chmod(0o755)
    return Footing(unprivileged.readable_copy(binaries, place / "binaries"), become)


def set_the_stage(
    place: Path, ground: Footing, running: contextlib.ExitStack, screen: Screen
) -> Stage:
    """Both servers, the daemon and the writer. Whatever was started is stopped by `running`."""
    binaries = ground.binaries
    screen.say(f"PostgreSQL {binaries.version} from {binaries.directory}", Colour.DIM)
    give_away = unprivileged.give_away if ground.become else _leave
    pair = servers.bring_up(place, binaries, ground.become, give_away)
    running.callback(servers.take_down, pair)
    screen.say(
        f"{pair.primary.name} (port {pair.primary.port}) is the primary, {pair.standby.name} "
        f"(port {pair.standby.port}) its synchronous standby: a commit is acknowledged\n"
        "once both have it, so none that was acknowledged may be lost."
    )
    (port,) = postgres.free_ports(1)
    configuration = write_configuration(place, pair, port)
    daemon = watched.start(configuration, port, place / "daemon.log")
    running.callback(daemon.stop)
    screen.say(f"failoverd run -c {configuration}   (process {daemon.process.pid})")
    account = place / "acknowledged"
    process = subprocess.Popen(
        writer.command_line(
            binaries.directory / "psql",
            (
                (pair.primary.name, pair.primary.port),
                (pair.standby.name, pair.standby.port),
            ),
            servers.APPLICATION,
            account,
        ),
        stdin=subprocess.PIPE,
        env={**postgres.clean_environment(), "PGPASSFILE": str(pair.passfile)},
        start_new_session=True,
    )
    running.callback(end_writer, process)
    return Stage(place, pair, daemon, process, account)


def _leave(_: Path) -> None:
    """Who owns it already is right."""


def end_writer(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def say_what_is_left(stage: Stage, screen: Screen) -> None:
    """A script that stops all of it, and where to look until then."""
    stop = stage.directory / "stop"
    data_dirs = " ".join(f"'{server.data_dir}'" for server in stage.pair.servers)
    stop.write_text(
        "#!/bin/sh\n"
        "# Stops the daemon and both servers of this demo, and removes their data.\n"
        f"kill -TERM {stage.daemon.process.pid} 2>/dev/null\n"
        f"for data in {data_dirs}; do\n"
        '  pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || continue\n'
        '  [ "$(readlink "/proc/$pid/cwd")" = "$data" ] && kill -QUIT "$pid"\n'
        "done\n"
        "sleep 1\n"
        f"rm -rf {data_dirs} '{stage.directory}/pgpass' '{stage.directory}/monitor-password'\n"
    )
    stop.chmod(0o755)
    psql = stage.pair.standby.binaries.directory / "psql"
    standby = stage.pair.standby
    config = stage.directory / "config.yaml"
    screen.say("The daemon and the new primary are left running:", Colour.BOLD)
    screen.say(f"  failoverd status -c {config}")
    screen.say(f"  curl {stage.daemon.url}/metrics")
    screen.say(f"  {psql} -h {standby.socket_dir} -p {standby.port} -U {postgres.SUPERUSER}")
    screen.say(f"  {stop}   stops all of it")
