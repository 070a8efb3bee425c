"""Renewals of a dead-man in virtual time, as daemon/renewals.py sends them.

What is claimed, and what may be counted on, is core/renewal.py's, as in production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from failoverd.core.arming import renewed
from failoverd.core.dead_man import DeadMan, Reading, sent_by_host_clock
from failoverd.core.events import DeadManLost
from failoverd.core.model import Instant
from failoverd.core.renewal import Kept, acknowledged, counted_on, kept_of, sent
from failoverd.daemon.renewals import RENEW_EVERY_S, RENEW_LIMIT_S
from failoverd.effect.world import ACT_LIFETIME_S
from tests.sim.act import NOT_DONE, STALE_EPOCH, Act
from tests.sim.kernel import Steps
from tests.sim.reach import Heard, call

if TYPE_CHECKING:
    from tests.sim.daemon import Daemon


class Renewing:
    """Of one life of a daemon: another one knows nothing of it."""

    def __init__(self) -> None:
        self.kept: Kept | None = None

    def counted_on(self, d: Daemon) -> DeadMan | None:
        return counted_on(self._known(d), d.machine.dead_man)

    def _known(self, d: Daemon) -> Kept | None:
        found = kept_of(self.kept, d.machine.dead_man)
        self.kept = self.kept if found is None else found
        return found

    def run(self, d: Daemon) -> Steps:
        while True:
            beat = d.world.now + RENEW_EVERY_S
            if (
                d.may_act
                and renewed(d.machine) is not None
                and (kept := self._known(d)) is not None
            ):
                yield from self._renew(d, kept)
            yield max(0.001, beat - d.world.now)

    def _renew(self, d: Daemon, kept: Kept) -> Steps:
        claimed, node = kept.latest, kept.arming.node
        self.kept = sent(kept)
        asked_at = Instant(d.monotonic())
        expires = sent_by_host_clock(
            claimed.uptime_s, claimed.answered_at, Instant(asked_at + ACT_LIFETIME_S)
        )
        act = Act(
            "dead_man_renew", owner=d.owner, epoch=kept.arming.epoch, boot=claimed.boot_id,
            expires=expires / 100, arming=kept.arming.name, sent=int(claimed.uptime_s * 100) / 100,
        )  # fmt: skip
        heard: Heard = yield from call(d.world, d.name, node, act, RENEW_LIMIT_S)
        answered_at = Instant(d.monotonic())
        present = self.kept
        if present is None or present.arming.name != kept.arming.name:
            return
        answer = heard.answer
        if answer is None:
            return
        if heard.done and answer.fields["armed_for"] == kept.arming.armed_for:
            uptime_s = answer.fields["uptime"]
            assert isinstance(uptime_s, float)
            latest = Reading(claimed.boot_id, uptime_s, asked_at, answered_at)
            self.kept = acknowledged(present, claimed, latest)
        elif answer.status in (NOT_DONE, STALE_EPOCH):
            d.happens(DeadManLost(kept.arming.name, answer.reason))
