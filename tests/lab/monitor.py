"""The host that failoverd runs on: all it has of the others is address, key and password."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.lab import python_tree
from tests.lab.host import UNPRIVILEGED, UNPRIVILEGED_ID, Host
from tests.lab.machine import ENVIRONMENT, run
from tests.lab.server import (
    DATA_DIR,
    MONITOR_PASSWORD,
    MONITOR_ROLE,
    PORT,
    SERVER_LOG,
    SOCKET_DIR,
    DatabaseHost,
    tail,
)
from tests.waiting import NotYetError, in_vain, wait_until

CLUSTER = "main"
CONFIG = "/etc/failoverd/config.yaml"
CONTROL_SOCKET = "/run/failoverd/control.sock"
STATE_DIR = "/var/lib/failoverd"
LISTEN_ADDRESS, LISTEN_PORT = "127.0.0.1", 9187
FETCH = Path(__file__).with_name("fetch.py")
# After the wrapper, so that the number is failoverd's own and not strace's.
RECORD_PID = 'echo $$ >/run/failoverd/daemon.pid; exec "$@"'

Found = TypeVar("Found")


class Unanswered(dict[str, Any]):
    """Where a document was asked for and the daemon did not answer: nothing is known."""

    def __missing__(self, key: str) -> Any:
        raise NotYetError(f"the daemon does not answer: its {key!r} is not known")


class Daemon:
    """One process of `failoverd run`, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], host: Host, log: Path) -> None:
        self._process = process
        self._host = host
        self.log = log
        pid_file = host.directory / "run" / "daemon.pid"
        wait_until(
            lambda: pid_file.exists() and pid_file.read_text().endswith("\n"),
            30,
            "failoverd is started",
            evidence=self.tail,
        )
        self.pid = int(pid_file.read_text())
        """As the monitor's host counts."""

    @property
    def exit_status(self) -> int | None:
        """None while it runs; -9 when it was killed by SIGKILL."""
        return self._process.poll()

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 60) -> str:
        return tail(self.log, lines)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to failoverd itself. It must be alive."""
        found = [process for process in self._host.processes() if process.pid == self.pid]
        assert found, f"failoverd has ended ({self.exit_status})\n{self.tail()}"
        os.kill(found[0].outer_pid, number)
        if number is signal.SIGSTOP:
            stands = Path(f"/proc/{found[0].outer_pid}/stat")
            wait_until(
                lambda: stands.read_text().rpartition(") ")[2][0] in "Tt",
                20,
                "failoverd stands still",
            )
        if number is signal.SIGCONT:
            # nsenter stops itself when the program that it waits for is stopped.
            self._process.send_signal(number)

    def wait(self, timeout_s: float = 30) -> int:
        """The exit status, when it ends by itself."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise in_vain(timeout_s, "failoverd has ended", self.tail()) from None

    def stop(self, timeout_s: float = 30) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """SIGKILL, when it has not ended yet; gone on return."""
        if self.exit_status is None:
            self.signal(signal.SIGKILL)
            self.wait(10)


class Monitor(Host):
    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.etc, self.state = directory / "etc", directory / "state"
        writable = {
            "/etc/failoverd": self.etc,
            STATE_DIR: self.state,
            "/run/failoverd": directory / "run",
        }
        for path in (*writable.values(), directory / "log"):
            path.mkdir(parents=True)
            path.chmod(0o750)
            os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        self._daemons: list[Daemon] = []
        self._fetcher: subprocess.Popen[str] | None = None
        self._fetch = FETCH
        super().__init__(name, address, directory, read_only=python_tree.trees(), writable=writable)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self._key])
        self._private("password", MONITOR_PASSWORD + "\n")
        self._private("known_hosts", "")
        os.chown(self._key, UNPRIVILEGED_ID, UNPRIVILEGED_ID)

    @property
    def _key(self) -> Path:
        return self.etc / "id_ed25519"

    @property
    def public_key(self) -> str:
        return self._key.with_suffix(".pub").read_text()

    def _private(self, name: str, text: str) -> None:
        path = self.etc / name
        path.touch(mode=0o600)
        path.write_text(text)
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID)

    def private_file(self, name: str, text: str, *, mode: int = 0o600) -> None:
        """/etc/failoverd/NAME, which only the daemon's user may touch."""
        self._private(name, text)
        (self.etc / name).chmod(mode)

    def trust(self, host: DatabaseHost) -> None:
        """Put the host's key into known_hosts."""
        known = self.etc / "known_hosts"
        known.write_text(known.read_text() + host.known_hosts_line)

    # Configuration

    @property
    def daemons(self) -> list[Daemon]:
        """All that were started here, the latest last."""
        return self._daemons

    def write_config(
        self,
        servers: Iterable[DatabaseHost],
        /,
        *,
        daemon: Mapping[str, Any] | None = None,
        file: str = "config.yaml",
        more: Mapping[str, Iterable[DatabaseHost]] | None = None,
        **cluster: Any,
    ) -> str:
        """Write config.yaml; its path on the monitor's host.

        Each keyword is a section of the cluster that is laid over what is there, key by key
        (`failover={"cooldown": "0s"}`); `daemon` likewise over the daemon's section. `more`: of
        other clusters, by name, with the same sections.
        """
        own = {
            "listen": f"{LISTEN_ADDRESS}:{LISTEN_PORT}",
            "control_socket": CONTROL_SOCKET,
            "state_dir": STATE_DIR,
            "log": {"format": "json", "level": "info"},
        }
        document = {
            "clusters": {
                name: merged(_cluster(nodes), cluster)
                for name, nodes in {CLUSTER: servers, **(more or {})}.items()
            },
            "daemon": merged(own, daemon or {}),
        }
        self._private(file, yaml.safe_dump(document, sort_keys=False))
        return f"/etc/failoverd/{file}"

    # The daemon

    def start_daemon(
        self, config: str = CONFIG, *, wrapper: Sequence[str] = (), words: Sequence[str] = ()
    ) -> Daemon:
        """`failoverd run`; `wrapper`: words before it, such as `strace -f -o FILE`."""
        (self.directory / "run" / "daemon.pid").unlink(missing_ok=True)
        log = self.directory / "log" / f"daemon-{len(self._daemons) + 1}.log"
        command = [*wrapper, "sh", "-c", RECORD_PID, "sh"]
        command += [*python_tree.failoverd_command(), "run", "-c", config, *words]
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.argv(command, UNPRIVILEGED),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self.environment(UNPRIVILEGED), **python_tree.ENVIRONMENT},
                cwd="/",
            )
        try:
            daemon = Daemon(process, self, log)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self._daemons.append(daemon)
        return daemon

    def failoverd(
        self, *words: str, check: bool = True, timeout_s: float = 60, config: str = CONFIG
    ) -> subprocess.CompletedProcess[str]:
        """The command line, as the same user as the daemon."""
        environment = {**python_tree.ENVIRONMENT, "FAILOVERD_CONFIG": config}
        command = [*python_tree.failoverd_command(), *words]
        return self.run(
            command, user=UNPRIVILEGED, check=check, timeout_s=timeout_s, env=environment
        )

    def ssh(self, host: DatabaseHost, *words: str) -> subprocess.CompletedProcess[str]:
        """What whoever has the daemon's key can make of it, as `postgres`."""
        options = ["-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/etc/failoverd/known_hosts"]
        command = ["ssh", *options, "-i", "/etc/failoverd/id_ed25519", f"postgres@{host.address}"]
        return self.run([*command, *words], user=UNPRIVILEGED, check=False)

    # What the daemon says over HTTP

    def fetch(self, path: str) -> tuple[int, str]:
        """Status (0: no answer) and body of `GET path`, asked from the monitor's own network."""
        fetcher = self._fetcher
        if fetcher is None or fetcher.poll() is not None:
            command = ["nsenter", "--target", str(self.init_pid), "--net", "--", sys.executable]
            command += ["-I", "-S", str(self._fetch), LISTEN_ADDRESS, str(LISTEN_PORT), "10"]
            fetcher = self._fetcher = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=dict(ENVIRONMENT),
            )  # fmt: skip
        assert fetcher.stdin is not None
        assert fetcher.stdout is not None
        fetcher.stdin.write(path + "\n")
        fetcher.stdin.flush()
        answer = json.loads(fetcher.stdout.readline())
        return answer["status"], answer["body"]

    def fetch_with(self, program: Path = FETCH) -> None:
        """Ask with another program of the same lines from now on."""
        fetcher, self._fetcher, self._fetch = self._fetcher, None, program
        if fetcher is not None:
            fetcher.communicate()

    def get(self, path: str) -> Any:
        """The JSON document at `path`."""
        return json.loads(self._found(path))

    def _found(self, path: str) -> str:
        status, body = self.fetch(path)
        if status == 0:
            raise NotYetError(f"GET {path}: {body}\n{self.evidence()}")
        assert status == 200, f"GET {path}: {status} {body}\n{self.evidence()}"
        return body

    def status(self, cluster: str = CLUSTER) -> dict[str, Any]:
        """The cluster's status document; empty while the daemon does not answer."""
        status, body = self.fetch(f"/api/v1/clusters/{cluster}")
        document = json.loads(body) if status == 200 else None
        return document if isinstance(document, dict) else Unanswered()

    def metrics(self) -> str:
        return self._found("/metrics")

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of the sample that has that name and (at least) those labels; None: none."""
        for family in text_string_to_metric_families(self.metrics()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    # Waiting

    def wait_until(
        self,
        predicate: Callable[[], Found],
        timeout_s: float,
        what: str,
        *,
        interval_s: float = 0.05,
    ) -> Found:
        """The first true answer; else a failure that shows the status and the daemon's log."""
        return wait_until(predicate, timeout_s, what, evidence=self.evidence, interval_s=interval_s)

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Until `/readyz` says so."""

        def ready() -> bool:
            daemon = self._daemons[-1]
            ended = daemon.exit_status
            assert ended is None, f"failoverd ended with {ended}\n{daemon.tail()}"
            return self.fetch("/readyz")[0] == 200

        self.wait_until(ready, timeout_s, "failoverd is ready")

    def wait_for_state(self, state: str, timeout_s: float) -> dict[str, Any]:
        """The status document, once the cluster is in `state`."""
        self.wait_until(
            lambda: self.status().get("state") == state, timeout_s, f"the cluster is {state}"
        )
        return self.status()

    def evidence(self) -> str:
        """What a failed test shows: the status and the end of the daemon's log."""
        logs = [daemon.tail() for daemon in self._daemons]
        return "\n".join(["--- status", json.dumps(self.status(), indent=1), *logs])

    def stop(self) -> None:
        fetcher, self._fetcher = self._fetcher, None
        super().stop()
        for daemon in self._daemons:
            daemon.wait(10)
        if fetcher is not None:
            fetcher.communicate()


def _cluster(nodes: Iterable[DatabaseHost]) -> dict[str, Any]:
    nodes = list(nodes)
    return {
        "nodes": {node.name: {"host": node.address} for node in nodes},
        "postgres": {
            "port": PORT,
            "bin_dir": nodes[0].bin_dir,
            "data_dir": DATA_DIR,
            "socket_dir": SOCKET_DIR,
            "server_log": SERVER_LOG,
        },
        "sql": {
            "user": MONITOR_ROLE,
            "password_file": "/etc/failoverd/password",
            "sslmode": "disable",
        },
        "ssh": {
            "user": "postgres",
            "key_file": "/etc/failoverd/id_ed25519",
            "known_hosts": "/etc/failoverd/known_hosts",
        },
    }


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, mapping by mapping; anything else replaces."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
