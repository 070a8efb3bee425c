"""Which daemon acts on one cluster: this one alone, or whichever holds the lease in etcd.

With etcd, the transaction that compares the holder and writes the machine *is* the journal write:
it refuses whoever has lost the lease, and hands the next holder the step at which the last one
stopped. Nobody else's clock is compared with ours, and what etcd does not answer is not so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from failoverd.core.leadership import Term, owner
from failoverd.core.model import DaemonReport, NodeReport
from failoverd.core.situation import Machine
from failoverd.daemon.journal import Journal
from failoverd.daemon.terms import Held, Terms
from failoverd.record.record import Record


class NotLeading(Exception):  # noqa: N818 - what happened
    """Another daemon may hold the leadership: nothing was journaled for this one."""


@dataclass(frozen=True, slots=True)
class Leads:
    """This daemon may act from now on, and goes on from here."""

    machine: Machine | None
    """What the holder before it has journaled last; None: nobody has."""


@dataclass(frozen=True, slots=True)
class Follows:
    """Another daemon may act, or none."""

    machine: Machine | None
    """As whoever leads has journaled it; None: nothing new."""


Turned = Leads | Follows


@dataclass(frozen=True, slots=True)
class Standing:
    """What is shown of it."""

    kind: str
    leads: bool
    leader: str = ""
    """Name of the daemon that leads; empty: none is known."""
    address: str = ""
    """Where that one's page is."""
    term: int = 0
    failing: str = ""
    """Why etcd cannot be used; empty: it can."""
    others: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """In words for people; empty for a daemon alone."""
        if self.kind == "none":
            return ""
        if self.failing:
            acts = "nothing is done automatically, and the cluster goes on by itself"
            return f"etcd cannot be used ({self.failing}): {acts}"
        if self.leads:
            beside = f"; beside it watch {', '.join(self.others)}" if self.others else ""
            return f"this daemon leads (term {self.term}){beside}"
        if not self.leader:
            return "no daemon leads: nothing is done automatically"
        where = f" ({self.address})" if self.address else ""
        return f"{self.leader}{where} leads; this daemon only watches"


def leadership_document(standing: Standing) -> dict[str, Any]:
    """As the API has it."""
    return {**dataclasses.asdict(standing), "sentence": standing.sentence}


class Leadership(Protocol):
    """As a supervisor asks for it."""

    @property
    def owner(self) -> str:
        """What this daemon calls itself on the hosts."""
        ...

    @property
    def standing(self) -> Standing: ...

    @property
    def others(self) -> Mapping[str, DaemonReport]:
        """What other daemons say of the primary."""
        ...

    def may_act(self) -> bool: ...

    def accept(self) -> bool:
        """Take up what `Leads` has offered; False: it is over already."""
        ...

    async def append(self, record: Record) -> None:
        """On return it is durable, and this daemon may act on it.

        Raises JournalFailed or NotLeading.
        """
        ...

    def looked(self, primary: NodeReport, *, blind: bool) -> None:
        """Tell the others. `blind`: nothing is reached from here, or nothing can be journaled."""
        ...

    async def run(self, tell: Callable[[Turned], None]) -> None:
        """Until cancelled; may be run again. `tell` is told of each turn."""
        ...

    async def leave(self) -> None:
        """Let another daemon lead this cluster at once."""
        ...


class Alone:
    """No other daemon: this one always acts."""

    def __init__(self, journal: Journal, cluster: str) -> None:
        self._journal = journal
        held = Terms(journal.directory).of(cluster)
        # A later term than any it had with others: what they shared is its own again.
        last = Held(journal.identity, Term(0)) if held is None else held
        self.owner = owner(last.group, Term(last.term + 1) if last.term else Term(0))
        self.standing = Standing("none", leads=True)
        self.others: Mapping[str, DaemonReport] = {}

    def may_act(self) -> bool:
        return True

    def accept(self) -> bool:
        return True

    async def append(self, record: Record) -> None:
        await self._journal.append(record)

    def looked(self, primary: NodeReport, *, blind: bool) -> None:
        """Nobody listens."""

    async def run(self, tell: Callable[[Turned], None]) -> None:
        """Nothing turns."""

    async def leave(self) -> None:
        """There is nobody to leave it to."""
