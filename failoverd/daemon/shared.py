"""What all clusters of one daemon share, so that none of them takes more than its part."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from failoverd.config.models import Configuration
from failoverd.daemon import clock
from failoverd.daemon.loop_lag import LoopLag
from failoverd.daemon.pace import Pace
from failoverd.transport.ssh_lines import SshLines

DESCRIPTORS = 512
"""For the daemon itself, its ports, its journal and whoever asks."""
DESCRIPTORS_A_NODE = 4
"""A held session, a fresh one, a login, and one more."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One of each."""

    lag: LoopLag
    pace: Pace
    lines: SshLines

    @classmethod
    def of(cls, configuration: Configuration) -> Shared:
        lines = SshLines(clock.monotonic, configuration.daemon.ssh_connections)
        shared = cls(LoopLag(), Pace(), lines)
        shared.watch(configuration)
        return shared

    def watch(self, configuration: Configuration) -> None:
        """These clusters, and no others."""
        self.pace.nodes = sum(len(one.nodes) for one in configuration.clusters.values())
        make_room_for(self.pace.nodes)


def make_room_for(nodes: int) -> None:
    """Raise the limit of descriptors to what they may need, as far as may be. See setrlimit(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS + DESCRIPTORS_A_NODE * nodes
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
