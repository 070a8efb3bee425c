"""A slow link to the primary: a relay on its host holds back what comes and what goes.

This kernel has no sch_netem. A redirection in the packet filter of the primary's host leads
what the monitor sends to a relay, so addresses and ports stay what they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.lab.cluster import Watched
from tests.lab.machine import ENVIRONMENT
from tests.lab.server import PORT

RELAY = Path(__file__).with_name("relay.py")
RELAYED = {PORT: 15432, 22: 10022}
TABLE = "slow"


class SlowLink:
    def __init__(self, there_s: float) -> None:
        self._there_s = there_s
        self._relay: subprocess.Popen[bytes] | None = None

    def begin(self, w: Watched) -> None:
        pairs = [f"{relay}:{port}" for port, relay in RELAYED.items()]
        enter = ["nsenter", "--target", str(w.pg1.init_pid), "--net", "--"]
        relay = [os.path.realpath(sys.executable), "-I", "-S", RELAY, str(self._there_s), *pairs]
        self._relay = subprocess.Popen(
            [*enter, *relay],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(ENVIRONMENT), cwd="/",
        )  # fmt: skip
        assert self._relay.stdout is not None
        assert self._relay.stdout.readline() == b"ready\n"
        rules = [f"add table ip {TABLE}"]
        rules.append(f"add chain ip {TABLE} in {{ type nat hook prerouting priority -100; }}")
        for port, relay in RELAYED.items():
            words = f"ip saddr {w.lab.monitor.address} tcp dport {port} redirect to :{relay}"
            rules.append(f"add rule ip {TABLE} in {words}")
        w.pg1.run_in_network(["nft", "-f", "-"], input="\n".join(rules) + "\n")
        # Only new connections are led to the relay.
        for port in RELAYED:
            w.lab.network.cut_sessions(w.lab.monitor, w.pg1, port)

    def end(self, w: Watched) -> None:
        w.pg1.run_in_network(["nft", "delete", "table", "ip", TABLE])
        assert self._relay is not None
        self._relay.communicate(timeout=10)
