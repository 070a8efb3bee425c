"""What many clusters cost in one daemon: CPU, memory, descriptors, and polls that come late.

A few pairs of real PostgreSQL servers stand for many: each cluster reaches one of them, by TCP and
SSH, at addresses of its own out of 127.0.0.0/8. The daemon has one core, the servers the others.
A front (bench/front.py) spares the servers: with `--direct` there is none.

    python -m bench.scale [--loads 1@1s,100@1s/10s] [--seconds 30] [--write docs/scale.md]
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import yaml

from failoverd.config.load import load as configured
from failoverd.daemon.nodes import nodes_of
from failoverd.demo import pair as pairs
from failoverd.demo import postgres, unprivileged
from failoverd.demo.pair import MONITOR, Pair
from failoverd.demo.watched import samples_of
from failoverd.host_program.program import program

ROOT = Path(__file__).parents[1]
LATE_S = 0.05
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class Ground:
    """What the clusters are watched on."""

    place: Path
    pairs: tuple[Pair, ...]
    victim: Pair
    """Of a cluster of its own, on hosts that act."""
    ssh_port: int


@contextlib.contextmanager
def ground(count: int, connections: int, *, direct: bool) -> Iterator[Ground]:
    with contextlib.ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="failoverd-scale-", dir="/tmp"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        become = unprivileged.namespace_prefix() if unprivileged.needed() else ()
        assert become is not None, "run it as a user that is not root"
        port = stack.enter_context(hosts(place))
        running = []
        for number in range(count + 1):
            home = place / f"{number}"
            home.mkdir()
            pair = pairs.bring_up(home, postgres.find(), become, lambda _: None)
            stack.callback(pairs.take_down, pair)
            for server in pair.servers:
                host_state_of(server).mkdir()
                if direct and number < count:
                    for_many(server, connections)
            postgres.sql(pair.primary, f"ALTER ROLE {MONITOR} CONNECTION LIMIT -1;")
            running.append(pair)
        victim = running.pop()
        (place / "real").write_text("\n".join(str(one.port) for one in victim.servers))
        yield Ground(place, tuple(running), victim, port)


@contextlib.contextmanager
def front(g: Ground, load: Load) -> Iterator[None]:
    """At the addresses of all clusters, before the servers of each pair."""
    asked = [
        {
            "port": server.port,
            "socket": str(server.socket_dir),
            "user": MONITOR,
            "password": pair.password_file.read_text().strip(),
            "addresses": [
                address(number, which) for number in range(first, load.clusters, len(g.pairs))
            ],
        }
        for first, pair in enumerate(g.pairs)
        for which, server in enumerate(pair.servers, 1)
    ]
    file = g.place / "front.json"
    file.write_text(json.dumps(asked))
    with beside("bench.front", file):
        yield


def address(number: int, which: int) -> str:
    """Of a node: that of cluster `number` which is its first, or its second."""
    return f"127.{1 + number // 200}.{1 + number % 200}.{which}"


def host_state_of(server: postgres.Server) -> Path:
    return server.directory / "host-state"


def for_many(server: postgres.Server, connections: int) -> None:
    """It listens at every address, and lets in whoever comes."""
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write(f"listen_addresses = '*'\nmax_connections = {connections}\n")
    postgres.stop(server)
    postgres.start(server)


def record(g: Ground, file: Path) -> None:
    """What the host program says of each server, by the verbs of a calm cluster."""
    nonce = "0" * 32
    for name, section in list(configured(file).clusters.items())[: len(g.pairs)]:
        for node in nodes_of(name, section).values():
            for verb in ("status", "readiness"):
                asked = {**node.arguments, "address": node.address.host, "verb": verb}
                text = program({**asked, "nonce": nonce})
                done = subprocess.run(["sh", "-s"], input=text, capture_output=True, check=True)
                said = done.stdout.decode().replace(nonce, "@nonce@")
                (g.place / f"{verb}-{node.address.port}").write_text(said)


@contextlib.contextmanager
def hosts(place: Path) -> Iterator[int]:
    """They answer by SSH, at every address."""
    for name in ("host_key", "client_key"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(place / name)
        key.write_public_key(place / f"{name}.pub")
        (place / name).chmod(0o600)
    (port,) = postgres.free_ports(1)
    public = (place / "host_key.pub").read_text()
    (place / "known_hosts").write_text(f"[127.*]:{port} {public}")
    with beside("bench.hosts", place, port):
        yield port


@contextlib.contextmanager
def beside(module: str, *arguments: object) -> Iterator[None]:
    """A process of the ground, once it is ready."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", f"{module} did not come up"
            yield
        finally:
            process.terminate()


def configuration(g: Ground, load: Load, port: int) -> Path:
    """Cluster n is at 127.1+n/200.1+n%200.{1,2}, on one of the pairs; the last is the victim."""
    place = Path(tempfile.mkdtemp(prefix="run-", dir=g.place))
    clusters = {
        f"c{number:04}": cluster(g, g.pairs[number % len(g.pairs)], number, load)
        for number in range(load.clusters - (load.clusters > 1))
    }
    if load.clusters > 1:
        clusters["victim"] = {
            **cluster(g, g.victim, None, load),
            "failover": {"mode": "automatic"},
        }
    daemon = {
        "listen": f"127.0.0.1:{port}",
        "control_socket": str(place / "control.sock"),
        "state_dir": str(place / "state"),
        "log": {"level": "warning"},
    }
    (place / "state").mkdir()
    file = place / "config.yaml"
    file.write_text(yaml.safe_dump({"clusters": clusters, "daemon": daemon}, sort_keys=False))
    return file


def cluster(g: Ground, pair: Pair, number: int | None, load: Load) -> dict[str, Any]:
    become = pair.primary.become
    return {
        "nodes": {
            server.name: {
                "host": "127.0.0.1" if number is None else address(number, which),
                "postgres": {
                    "port": server.port,
                    "data_dir": str(server.data_dir),
                    "socket_dir": str(server.socket_dir),
                    "host_state_dir": str(host_state_of(server)),
                },
            }
            for which, server in enumerate(pair.servers, 1)
        },
        "postgres": {
            "bin_dir": str(pair.primary.binaries.directory),
            **({"become": list(become)} if become else {}),
        },
        "sql": {"user": MONITOR, "password_file": str(pair.password_file), "sslmode": "disable"},
        "ssh": {
            "user": getpass.getuser(),
            "port": g.ssh_port,
            "key_file": str(g.place / "client_key"),
            "known_hosts": str(g.place / "known_hosts"),
        },
        "detection": {"interval": load.interval, "fresh_interval": load.fresh_interval},
        "failover": {"mode": "observe"},
    }


@dataclass(frozen=True, slots=True)
class Load:
    """So many clusters, each polled so often."""

    clusters: int
    interval: str
    fresh_interval: str

    @classmethod
    def parse(cls, text: str) -> Load:
        """`100@1s/10s`: a hundred, each second, a fresh connection every ten."""
        clusters, _, rest = text.partition("@")
        interval, _, fresh = rest.partition("/")
        return cls(int(clusters), interval or "1s", fresh or interval or "1s")

    def __str__(self) -> str:
        return f"{self.clusters} | {self.interval} | {self.fresh_interval}"


@dataclass(frozen=True, slots=True)
class Reading:
    """Of the daemon's process, at a moment."""

    at: float
    cpu_s: float
    below: tuple[tuple[float, float], ...]
    """The histogram of lateness: upper bounds, with how many rounds stayed below."""

    @property
    def rounds(self) -> float:
        return self.below[-1][1]

    @property
    def late(self) -> float:
        return self.rounds - next(value for bound, value in self.below if bound == LATE_S)


@dataclass(frozen=True, slots=True)
class Span:
    """Between two readings."""

    core: float
    """Share of one core."""
    rounds_a_second: float
    late: float
    """Share of the rounds that began more than 50 ms after their time."""
    most_s: float
    """Lateness that 99 % of them stayed below, by the histogram's buckets."""


def span(first: Reading, last: Reading) -> Span:
    counted = [
        (bound, value - old)
        for (bound, value), (_, old) in zip(last.below, first.below, strict=True)
    ]
    rounds, lasted = max(1.0, counted[-1][1]), last.at - first.at
    most_s = next(bound for bound, value in counted if value >= 0.99 * counted[-1][1])
    cpu_s = last.cpu_s - first.cpu_s
    return Span(cpu_s / lasted, rounds / lasted, (last.late - first.late) / rounds, most_s)


@dataclass(slots=True)
class Daemon:
    """`failoverd run`, on a core of its own where there are several."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str, timeout_s: float = 60) -> str:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return str(answer.read().decode())

    def ready(self) -> bool:
        with contextlib.suppress(OSError, urllib.error.HTTPError):
            return bool(json.loads(self.get("/readyz"))["ok"])
        return False

    def cpu_s(self) -> float:
        """Without what it has started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, fields[11:13])) / TICKS

    def rss_mb(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_KB / 1024

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def read(self, *, begins: bool) -> Reading:
        """Of this one metric: all of them, for a thousand clusters, would be most of the span."""
        cpu_s, at = self.cpu_s(), time.monotonic()
        found = [
            (float(one.labels["le"]), one.value)
            for one in samples_of(self.get(f"/metrics?name[]={LATE}"))
            if one.name == LATE
        ]
        if begins:
            cpu_s, at = self.cpu_s(), time.monotonic()
        return Reading(at, cpu_s, tuple(found))

    def over(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> Span:
        first = self.read(begins=True)
        meanwhile()
        time.sleep(seconds)
        return span(first, self.read(begins=False))


@contextlib.contextmanager
def daemon(file: Path, port: int) -> Iterator[Daemon]:
    log = file.parent / "daemon.log"
    core = str(max(os.sched_getaffinity(0)))
    command = ["taskset", "-c", core, sys.executable, "-c", WITHOUT_RICH, "run", "-c", file]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            yield Daemon(process, port, log)
        finally:
            process.terminate()
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()


LATE = "failoverd_round_late_seconds_bucket"
WITHOUT_RICH = "import sys; sys.modules['rich'] = None; from failoverd.__main__ import main; main()"
"""structlog imports it where it is there, which is in this checkout, and in no installation."""


@dataclass(frozen=True, slots=True)
class Cost:
    load: Load
    begun_s: float | None
    """From the start of the process until every cluster is watched; none: not all were."""
    calm: Span
    beside: Span | None
    """While one of them hangs and is failed over."""
    rss_mb: float
    descriptors: int

    def row(self) -> str:
        calm = self.calm
        beside = "-" if self.beside is None else f"{self.beside.late:.1%}"
        ms = 1000 * calm.core / calm.rounds_a_second
        begun = "not all" if self.begun_s is None else f"{self.begun_s:.1f}"
        return (
            f"| {self.load} | {calm.core:.2f} | {ms:.2f} | {calm.rounds_a_second:.0f} |"
            f" {calm.late:.1%} | {calm.most_s:g} | {beside} | {self.rss_mb:.0f} |"
            f" {self.descriptors} | {begun} |"
        )


def measured(g: Ground, load: Load, given: argparse.Namespace) -> Cost:
    (port,) = postgres.free_ports(1)
    file = configuration(g, load, port)
    beside = None
    with contextlib.ExitStack() as stack:
        if not given.direct:
            stack.enter_context(front(g, load))
        record(g, file)
        began = time.monotonic()
        d = stack.enter_context(daemon(file, port))
        begun_s = watched_after(d, began, given.patience)
        time.sleep(given.settle)
        calm = d.over(given.seconds)
        rss_mb, descriptors = d.rss_mb(), d.descriptors()
        if load.clusters > 1:
            beside = d.over(15, lambda: fails(g.victim))
            victim = json.loads(d.get("/api/v1/clusters/victim"))
            print(f"the one that hung: {victim['sentence']}", flush=True)
    return Cost(load, begun_s, calm, beside, rss_mb, descriptors)


def watched_after(d: Daemon, began: float, patience_s: float) -> float | None:
    while (waited := time.monotonic() - began) < patience_s:
        if d.ready():
            return time.monotonic() - began
        time.sleep(0.1)
    print(f"not all are watched after {waited:.0f} s: {d.log}", flush=True)
    return None


def fails(pair: Pair) -> None:
    """It hangs, and is failed over a few seconds later."""
    postgres.signal_all(pair.primary, signal.SIGSTOP)


def mend(pair: Pair) -> None:
    """For the next run: the servers as they were, in effect."""
    for server in pair.servers:
        postgres.kill(server)
        for name in ("standby.signal", "failoverd.guard"):
            (server.data_dir / name).unlink(missing_ok=True)
    shutil.rmtree(pair.standby.data_dir)
    shutil.rmtree(host_state_of(pair.standby))
    host_state_of(pair.standby).mkdir()
    shutil.rmtree(host_state_of(pair.primary))
    host_state_of(pair.primary).mkdir()
    postgres.start(pair.primary)
    postgres.clone(pair.primary, pair.standby, user=pairs.REPLICATOR, passfile=pair.passfile)
    postgres.start(pair.standby)
    postgres.wait_until_streaming(pair.primary, pair.standby)


HEAD = """\
| clusters | interval | fresh | share of a core | ms a round | rounds a second | late > 50 ms \
| 99 % below (s) | late beside a failover | RSS (MB) | descriptors | all watched after (s) |
|---|---|---|---|---|---|---|---|---|---|---|---|"""
BEGIN, END = "<!-- scale: begin -->", "<!-- scale: end -->"


def imports() -> list[str]:
    """What the daemon imports, by package: milliseconds of its own modules."""
    code = "import sys; sys.modules['rich'] = None; import failoverd.daemon.service"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    taken: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdecimal():
            name = rest.rpartition("|")[2].strip()
            taken[name.partition(".")[0]] += int(own)
    whole = sum(taken.values()) / 1000
    most = ", ".join(f"{name} {us / 1000:.0f}" for name, us in taken.most_common(10))
    return [f"Imports: {whole:.0f} ms in all; by package: {most}."]


def stamp(given: argparse.Namespace) -> str:
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    today, load = datetime.now(UTC).date().isoformat(), os.getloadavg()[0]
    return (
        f"{today}, {commit}, {os.cpu_count()} cores, one of them the daemon's; {given.pairs} pairs;"
        f" load in the end {load:.0f}. {given.note}".rstrip()
    )


def write(page: Path, lines: Sequence[str]) -> None:
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text("\n".join([f"{before}{BEGIN}", *lines, END]) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--loads", default="1@1s,10@1s,100@1s/10s,300@1s/10s,1000@1s/10s,1000@5s/30s"
    )
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--settle", type=float, default=15)
    parser.add_argument("--patience", type=float, default=300)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--direct", action="store_true", help="no front before the servers")
    parser.add_argument("--note", default="")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    loads = [Load.parse(one) for one in given.loads.split(",")]
    most = max(load.clusters for load in loads)
    compileall.compile_dir(ROOT / "failoverd", quiet=1)  # as an installation is
    rows = [HEAD]
    print(HEAD, flush=True)
    with ground(given.pairs, most // given.pairs * 2 + 100, direct=given.direct) as g:
        for before, load in zip([None, *loads], loads, strict=False):
            if before is not None and before.clusters > 1:
                mend(g.victim)
            rows.append(measured(g, load, given).row())
            print(rows[-1], flush=True)
            if given.write is not None:
                write(given.write, [stamp(given), "", *rows, "", *imports()])


if __name__ == "__main__":
    main()
