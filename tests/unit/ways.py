"""Small fakes that keep the promises of what the applications go by."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from failoverd.core.effects import Redirect
from failoverd.core.memory import Memory
from failoverd.core.model import (
    ClusterView,
    CommandRun,
    Epoch,
    Instant,
    NodeName,
    Outcome,
    SystemIdentifier,
)
from failoverd.core.policy import StepLimits, TargetName
from failoverd.effect.redirect.target import redirect
from failoverd.effect.world import Node, World
from failoverd.transport.host import HostAnswer
from failoverd.transport.postgres import SqlAddress
from tests.unit.vocabulary import PG1, PG2

HOSTS = {PG1: "192.0.2.11", PG2: "192.0.2.12"}
WAY = TargetName("way")
COLUMNS = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state"
    " srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl"
    " srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
)


def monotonic() -> Instant:
    return Instant(time.monotonic())


def address(host: str) -> SqlAddress:
    return SqlAddress(host, 5432, "u", "d", lambda: None)


@dataclass
class FakeHost:
    """A database host that has the address or not, or does not answer."""

    node: NodeName
    has: bool = False
    answers: bool = True
    keeps: bool = False
    """It may not take the address away."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, verb, arguments, *, timeout_s):
        self.asked.append((arguments["mode"], arguments.get("ask", "")))
        run = CommandRun(self.node, verb, "", 0.0, 0)
        if not self.answers:
            return HostAnswer(Outcome.TIMED_OUT, None, {}, run)
        if arguments["mode"] == "remove" and self.keeps:
            return HostAnswer(Outcome.OK, 11, {"reason": ("it is still here",)}, run)
        self.has = {"add": True, "remove": False}.get(arguments["mode"], self.has)
        said = {"verdict": ("here" if self.has else "absent",)}
        return HostAnswer(Outcome.OK, 0, {**said, "boot_id": ("b",), "uptime": ("5.0",)}, run)

    async def close(self):
        pass


def world(way, hosts=None) -> World:
    hosts = hosts or {name: FakeHost(name) for name in HOSTS}
    nodes = {name: Node(name, hosts[name], address(HOSTS[name]), {}) for name in HOSTS}
    memory = Memory(primary=PG2, system_identifier=SystemIdentifier("7"))
    return World(
        nodes=nodes,
        memory=memory,
        view=ClusterView({}),
        limits=StepLimits(),
        monotonic=monotonic,
        boottime=monotonic,
        poll_timeout_s=1.0,
        owner="us",
        targets={WAY: way},
        cluster="main",
    )


async def led(way, hosts=None):
    return await redirect(Redirect(PG2, WAY, Epoch(3), 1), world(way, hosts))
