"""A real Prometheus beside the daemon, with the rules that are shipped."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import Self
from urllib.parse import urlencode

from tests.lab.host import UNPRIVILEGED, signal_all
from tests.lab.monitor import LISTEN_ADDRESS, LISTEN_PORT, Monitor
from tests.monitored import RULES

PORT = 9090
CONFIG = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: failoverd
    static_configs: [{{targets: ["{LISTEN_ADDRESS}:{LISTEN_PORT}"]}}]
rule_files: [/etc/failoverd/failoverd.rules.yml]
"""
ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"


def hurried(rules: str) -> str:
    """The same rules for whoever cannot wait for minutes: nothing but the durations differs."""
    return re.sub(r"\[\d+m\]", "[15s]", re.sub(r"\bfor: \w+", "for: 1s", rules))


class Prometheus:
    """A context manager: it leaves nothing behind."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        monitor.private_file("prometheus.yml", CONFIG)
        monitor.private_file("failoverd.rules.yml", hurried(RULES.read_text()))
        self._process: subprocess.Popen[str] = monitor.spawn(
            [
                "prometheus",
                "--config.file=/etc/failoverd/prometheus.yml",
                "--storage.tsdb.path=/var/lib/failoverd/prometheus",
                f"--web.listen-address=127.0.0.1:{PORT}",
                "--log.level=error",
            ],
            user=UNPRIVILEGED,
        )
        monitor.wait_until(self._scrapes, 30, "Prometheus scrapes failoverd", interval_s=0.3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        signal_all(self._monitor, "prometheus", signal.SIGKILL)
        self._process.communicate()

    def ask(self, path: str) -> dict:
        """The data of its API's answer; empty where there is none."""
        try:
            url = f"http://127.0.0.1:{PORT}/api/v1/{path}"
            said = self._monitor.run_in_network([sys.executable, "-I", "-c", ASK, url])
        except AssertionError:
            return {}
        return json.loads(said)["data"]

    def _scrapes(self) -> bool:
        found = self.ask("query?query=failoverd_build_info")
        return bool(found.get("result"))

    def drawn(self, query: str) -> list[dict[str, str]]:
        """The labels of each series that a panel of a dashboard would draw of the last minutes."""
        now = time.time()
        asked = {"query": query, "start": now - 300, "end": now, "step": 1}
        return [one["metric"] for one in self.ask(f"query_range?{urlencode(asked)}")["result"]]

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {
            one["labels"]["alertname"]
            for one in self.ask("alerts").get("alerts", [])
            if one["state"] == "firing"
        }
