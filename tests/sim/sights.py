"""Since when each daemon could see each node, by what is true: sampled ten times a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from failoverd.core.model import SILENT, NodeName, Outcome
from tests.sim.world import World

Pair = tuple[str, NodeName]
"""A daemon, and the node that it looks at."""


@dataclass(slots=True)
class Sights:
    """Each: when it was so last."""

    world: World
    silent_at: dict[Pair, float] = field(default_factory=dict[Pair, float])
    spoke_at: dict[Pair, float] = field(default_factory=dict[Pair, float])
    ok_at: dict[Pair, float] = field(default_factory=dict[Pair, float])
    bad_at: dict[Pair, float] = field(default_factory=dict[Pair, float])
    boots: dict[Pair, int] = field(default_factory=dict[Pair, int])
    """The boot in which it was seen well last."""
    died_at: dict[NodeName, float] = field(default_factory=dict[NodeName, float])

    def sample(
        self,
        name: str,
        outcomes: Mapping[NodeName, Outcome],
        saw_well: set[NodeName],
        *,
        alive: bool,
    ) -> None:
        now = self.world.now
        for node, host in self.world.hosts.items():
            key, outcome = (name, node), outcomes[node]
            if outcome in SILENT:
                self.silent_at[key] = now
            else:
                self.spoke_at[key] = now
            well = outcome is Outcome.OK
            if well:
                self.ok_at[key] = now
                self.boots[key] = host.boot
            if not well or host.disk_full or host.ssh_broken or not alive:
                self.bad_at[key] = now
            elif not host.server.recovery:
                saw_well.add(node)
