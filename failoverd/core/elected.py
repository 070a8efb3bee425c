"""What an election comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from failoverd.core.lsn import Lsn
from failoverd.core.model import NodeName, WalLoss


@dataclass(frozen=True, slots=True)
class Election:
    """Who takes over, and why not each of the others."""

    candidate: NodeName | None
    position: Lsn | None
    loss: WalLoss | None
    refused: Mapping[NodeName, str]

    @property
    def sentence(self) -> str:
        refusals = "; ".join(f"{node}: {why}" for node, why in sorted(self.refused.items()))
        if self.candidate is None:
            return f"no standby can take over ({refusals or 'none is known'})"
        chosen = f"{self.candidate} at {self.position}"
        return f"{chosen} (refused: {refusals})" if refusals else chosen
