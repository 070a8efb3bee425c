"""Everything that readiness is judged by, gathered: each look with a limit of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from failoverd.core.arming import why_not
from failoverd.core.checks.reach import SLOW_LOGIN_S
from failoverd.core.events import Now
from failoverd.core.model import Look, NodeName, Outcome
from failoverd.core.objectives import Backlog, Means, Objective, objectives
from failoverd.core.outlook import outlook
from failoverd.core.policy import Policy
from failoverd.core.replaying import backlog_bytes
from failoverd.core.situation import Machine
from failoverd.core.survey import (
    HostStanding,
    Login,
    OwnStanding,
    RungTrial,
    ServerStanding,
    Survey,
)
from failoverd.daemon import clock
from failoverd.effect.rung import PowerOff, Rung, Stop
from failoverd.effect.world import Node
from failoverd.probe.host_standing import host_standing, own_standing
from failoverd.probe.server_standing import server_standing
from failoverd.transport.fence_agent import Power, power

SQL_S, HOST_S = 3.0, 8.0
AGAIN_S = 2.0
TRIES, TRIES_IN_SILENCE = 2, 3
"""A look that failed is made again, so that one stumble, perhaps of our own, is no failure."""
SILENCE = frozenset({Outcome.TIMED_OUT, Outcome.OUR_FAULT, Outcome.LOST, Outcome.UNKNOWN})


Standing = TypeVar("Standing", ServerStanding, HostStanding)


@dataclass(slots=True)
class Findings:
    """The latest of each node."""

    server_looks: dict[NodeName, Look] = field(default_factory=dict[NodeName, Look])
    servers: dict[NodeName, ServerStanding] = field(default_factory=dict[NodeName, ServerStanding])
    host_looks: dict[NodeName, Look] = field(default_factory=dict[NodeName, Look])
    hosts: dict[NodeName, HostStanding] = field(default_factory=dict[NodeName, HostStanding])
    rungs: dict[NodeName, tuple[RungTrial, ...]] = field(
        default_factory=dict[NodeName, tuple[RungTrial, ...]]
    )
    logins: dict[NodeName, Login] = field(default_factory=dict[NodeName, Login])
    own: OwnStanding = field(default_factory=OwnStanding)

    async def look(self, node: Node) -> None:
        """At the server and at its host, side by side."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._server(node))
            group.create_task(self._host(node))

    async def _server(self, node: Node) -> None:
        look, found = await _tried(lambda: server_standing(node.address, clock.monotonic, SQL_S))
        self.server_looks[node.name] = look
        if found is None:
            self.servers.pop(node.name, None)
        else:
            self.servers[node.name] = found

    async def _host(self, node: Node) -> None:
        asked = {**node.arguments, "address": node.address.host}

        async def ask() -> tuple[Look, HostStanding | None]:
            return await host_standing(node.host, asked, clock.monotonic, clock.wall, HOST_S)

        look, found = await _tried(ask)
        if found is not None and found.login_s > SLOW_LOGIN_S:
            # The first look makes the connection, too; and any look may have met a busy moment.
            _, again = await ask()
            found = found if again is None or again.login_s > found.login_s else again
        self.host_looks[node.name] = look
        if node.login is not None:
            self.logins[node.name] = await asyncio.to_thread(node.login)
        if found is None:
            self.hosts.pop(node.name, None)
        else:
            self.hosts[node.name] = found

    async def try_rungs(self, node: Node) -> None:
        """One after the other, and none of them does anything. `stop` needs its host alone."""
        trials = [await _trial(node, rung) for rung in node.rungs if not isinstance(rung, Stop)]
        self.rungs[node.name] = tuple(trials)

    async def look_at_ourselves(self, state_dir: Path, *, in_daemon: bool) -> None:
        self.own = await own_standing(state_dir, in_daemon=in_daemon)


async def _tried(
    look_at: Callable[[], Awaitable[tuple[Look, Standing | None]]],
) -> tuple[Look, Standing | None]:
    """The last of a few looks, the first that finds anything."""
    tries = 1
    while True:
        look, found = await look_at()
        wanted = TRIES_IN_SILENCE if look.outcome in SILENCE else TRIES
        if found is not None or tries >= wanted:
            return look, found
        tries += 1
        await asyncio.sleep(AGAIN_S)


async def _trial(node: Node, rung: Rung) -> RungTrial:
    if not isinstance(rung, PowerOff):
        return RungTrial(node.name, rung.name, None, _UNTRIED[rung.name])
    found, run, _ = await power(rung.agent, node.name, clock.monotonic)
    if found is Power.UNKNOWN:
        said = run.output.strip().rsplit("\n", 1)[-1] or "it said nothing"
        return RungTrial(node.name, rung.name, False, said)
    return RungTrial(node.name, rung.name, True, f"it says that its host is {found}")


_UNTRIED = {"command": "your own, not tried", "dead_man": "see dead_man", "stop": "see ssh_login"}


def survey_of(found: Findings, m: Machine, now: Now, policy: Policy, means: Means) -> Survey:
    """What the watch sees this moment, beside what was looked at for readiness."""
    seen = Survey(
        at=now.wall,
        view=m.view,
        memory=m.memory,
        policy=policy,
        server_looks=dict(found.server_looks),
        servers=dict(found.servers),
        host_looks=dict(found.host_looks),
        hosts=dict(found.hosts),
        logins=dict(found.logins),
        rungs=tuple(trial for trials in found.rungs.values() for trial in trials),
        targets=m.targets_seen,
        own=found.own,
        dead_man=None if policy.dead_man is None else why_not(m, now, policy),
        obstacles=outlook(m, now, policy).obstacles,
        means=means,
    )
    return replace(seen, objectives=objectives_now(m, policy, means))


def objectives_now(m: Machine, policy: Policy, means: Means) -> tuple[Objective, ...]:
    """With the standby that has the least to catch up with."""
    backlogs = [
        Backlog(
            max(0, m.memory.primary_lsn - server.received_lsn),
            backlog_bytes(server) or 0,
        )
        for name in policy.nodes
        if (server := m.view.report(name).server) is not None
        and server.in_recovery
        and server.received_lsn is not None
        and m.memory.primary_lsn is not None
        and not policy.nodes[name].never
    ]
    least = min(backlogs, key=lambda one: one.missing_bytes, default=Backlog())
    return objectives(policy, means, least)
