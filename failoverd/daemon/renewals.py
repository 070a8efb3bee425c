"""Renew the dead-man on the primary's host, once a second, in a task of its own.

Never behind a poll, and never through the journal: a renewal decides nothing. It claims to be as
old as the last answer of that host, so that what is sent to a host that does not answer any more
prolongs nothing, however often it is sent and however late it arrives.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping

from failoverd.core.arming import renewed
from failoverd.core.dead_man import Arming, DeadMan, Reading, sent_by_host_clock
from failoverd.core.events import DeadManLost
from failoverd.core.model import Instant, NodeName, Outcome
from failoverd.core.renewal import Kept, acknowledged, counted_on, kept_of, sent
from failoverd.core.situation import Machine
from failoverd.daemon import clock
from failoverd.effect.dead_man import centiseconds, life, reading
from failoverd.effect.world import ACT_LIFETIME_S, EXIT_STALE_EPOCH, Node, why
from failoverd.transport.host import HostAnswer

RENEW_EVERY_S = 1.0
RENEW_LIMIT_S = 2.0
EXIT_NOT_DONE = 11


class Renewal(enum.StrEnum):
    """What became of one."""

    ACKNOWLEDGED = "acknowledged"
    UNANSWERED = "unanswered"
    REFUSED = "refused"


class Renewals:
    """Of one cluster."""

    def __init__(
        self,
        nodes: Mapping[NodeName, Node],
        present: Callable[[], Machine],
        owner: Callable[[], str],
        may_act: Callable[[], bool],
        lost: Callable[[DeadManLost], None],
        told: Callable[[Renewal, str], None],
    ) -> None:
        self.nodes = nodes
        self._present = present
        self._owner = owner
        self._may_act = may_act
        self._lost = lost
        self._told = told
        self._kept: Kept | None = None

    @property
    def dead_man(self) -> DeadMan | None:
        """What may be counted on: armed, by this process, and neither disarmed nor lost since."""
        arming = self._present().dead_man
        return counted_on(self._kept_of(arming), arming)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            beat = clock.monotonic() + RENEW_EVERY_S
            arming = renewed(self._present()) if self._may_act() else None
            kept = self._kept_of(arming)
            if kept is not None and kept.arming.node in self.nodes:
                await self._renew(kept)
            await asyncio.sleep(max(0.0, beat - clock.monotonic()))

    def _kept_of(self, arming: Arming | None) -> Kept | None:
        found = kept_of(self._kept, arming)
        self._kept = self._kept if found is None else found
        return found

    def _present_kept(self) -> Kept | None:
        return self._kept

    async def _renew(self, kept: Kept) -> None:
        claimed, node = kept.latest, self.nodes[kept.arming.node]
        self._kept = sent(kept)
        asked_at = clock.boottime()
        answer = await node.host.call(
            "dead_man_renew", self._arguments(kept, node, asked_at), timeout_s=RENEW_LIMIT_S
        )
        answered_at = clock.boottime()
        present = self._present_kept()
        if present is None or present.arming.name != kept.arming.name:
            return
        self._after(present, claimed, answer, reading(answer, asked_at, answered_at))

    def _arguments(self, kept: Kept, node: Node, now: Instant) -> dict[str, str]:
        """It expires by the host's clock, as far as that is known here, and never too late."""
        claimed, epoch = kept.latest, str(kept.arming.epoch)
        expires_at = Instant(now + ACT_LIFETIME_S)
        expires = sent_by_host_clock(claimed.uptime_s, claimed.answered_at, expires_at)
        return {
            **node.arguments,
            "system_identifier": self._present().memory.system_identifier or "",
            "owner": self._owner(),
            "epoch": epoch,
            "arming": kept.arming.name,
            "boot_id": claimed.boot_id,
            "expires": str(expires),
            "sent": centiseconds(claimed.uptime_s),
        }

    def _after(
        self, kept: Kept, claimed: Reading, answer: HostAnswer, latest: Reading | None
    ) -> None:
        if answer.done and latest is not None and life(answer) == kept.arming.armed_for:
            self._kept = acknowledged(kept, claimed, latest)
            self._told(Renewal.ACKNOWLEDGED, "")
        elif answer.outcome is Outcome.OK and answer.exit_status in _ENDED:
            self._told(Renewal.REFUSED, why(answer))
            self._lost(DeadManLost(kept.arming.name, why(answer)))
        else:
            self._told(Renewal.UNANSWERED, why(answer))


_ENDED = (EXIT_NOT_DONE, EXIT_STALE_EPOCH)
"""What was armed does not watch any more, or belongs to another daemon."""
