"""HAProxy of the distribution, on a host of its own."""

from __future__ import annotations

import signal

from tests.lab.host import Host, signal_all, wait_until_listening
from tests.lab.lab import Lab
from tests.lab.server import PORT
from tests.waiting import wait_until

ADDRESS = "192.0.2.51"
API_PORT = 9999
AGENT_PORTS = {"pg1": 9201, "pg2": 9202}
CONFIGURATION = """
global
  stats socket ipv4@0.0.0.0:{api} level admin
  pidfile /run/haproxy.pid
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 0.0.0.0:{port}
  option tcpka
{servers}
"""


class Balancer(Host):
    """Its servers begin in maintenance: after a restart it sends nobody anywhere until told."""

    def __init__(self, lab: Lab, *, agent: bool = False) -> None:
        super().__init__("proxy", ADDRESS, lab.directory / "proxy")
        lab.keep(self)
        lab.network.connect(self)
        check = "agent-check agent-inter 200ms agent-addr 192.0.2.1 agent-port {port}"
        servers = "\n".join(
            f"  server {one.name} {one.address}:{PORT} disabled "
            + (check.format(port=AGENT_PORTS[one.name]) if agent else "")
            for one in lab.servers
        )
        text = CONFIGURATION.format(api=API_PORT, port=PORT, servers=servers)
        self.run(["sh", "-c", "cat >/etc/haproxy.cfg"], input=text)

    def start(self) -> None:
        self.run(["haproxy", "-D", "-f", "/etc/haproxy.cfg"])
        wait_until_listening(self, API_PORT)

    def kill(self) -> None:
        signal_all(self, "haproxy", signal.SIGKILL)
        wait_until(lambda: not self.processes("haproxy"), 20, "HAProxy is gone")


def target(**more: object) -> dict[str, object]:
    """As it is configured."""
    return {"haproxy": {"host": ADDRESS, "port": API_PORT, "backend": "postgres", **more}}
