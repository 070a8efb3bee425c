"""The lease of one daemon in etcd: granted, renewed once a second, and counted with care."""

from __future__ import annotations

import asyncio
import contextlib

from failoverd.core.leadership import BEAT_S
from failoverd.core.model import Instant
from failoverd.daemon import clock
from failoverd.transport.etcd import LEASE_NOT_FOUND, EtcdClient, EtcdFailed

RENEW_LIMIT_S = 2.0
GIVE_BACK_LIMIT_S = 1.0


class LeaseKept:
    """Of this process. Every key of this daemon hangs on it, and goes with it."""

    def __init__(self, client: EtcdClient, ttl_s: float) -> None:
        self._client = client
        self._asked_s = ttl_s
        self.id = 0
        """0: none is held."""
        self.renewed_at = Instant(0.0)
        """When the last renewal that was granted was sent, by `clock.boottime`."""
        self.ttl_s = ttl_s
        self.failing = "etcd was not asked yet"
        """Why it is not renewed; empty: it is."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            beat = clock.monotonic() + BEAT_S
            await self._renew()
            await asyncio.sleep(max(0.0, beat - clock.monotonic()))

    async def _renew(self) -> None:
        sent_at, left_s = clock.boottime(), 0.0
        try:
            if self.id:
                left_s = await self._client.keep_alive(self.id, RENEW_LIMIT_S)
                if left_s <= 0.0:
                    self.id = 0
            if not self.id:
                sent_at = clock.boottime()
                granted = await self._client.grant(self._asked_s, RENEW_LIMIT_S)
                self.id, left_s = granted.lease, granted.ttl_s
        except EtcdFailed as failed:
            self.failing = str(failed)
            if LEASE_NOT_FOUND in self.failing:
                self.id = 0
            return
        # A store that gives more than was asked for is not made use of: it may restart.
        self.renewed_at, self.ttl_s, self.failing = sent_at, min(left_s, self._asked_s), ""

    async def give_back(self) -> None:
        """Another daemon need not wait for it to end. Where that fails, it ends by itself."""
        lease, self.id = self.id, 0
        if lease:
            with contextlib.suppress(EtcdFailed):
                await self._client.revoke(lease, GIVE_BACK_LIMIT_S)
