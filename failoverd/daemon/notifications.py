"""Tells people, off the path of everything else: kept on the disk until it is told.

Each who is told has a queue and a task of its own, so that one that does not answer keeps
nobody from hearing.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from failoverd.config.notify import Notify, NotifyCommand, Webhook
from failoverd.config.secrets import SecretMissing, reveal
from failoverd.daemon import clock
from failoverd.daemon.spool import Spool
from failoverd.observability import log
from failoverd.observability.metrics import Metrics
from failoverd.observability.notices import Notice
from failoverd.transport.fence_agent import ENVIRONMENT
from failoverd.transport.process import run_program
from failoverd.transport.webhook import post

FIRST_AGAIN_S, LONGEST_AGAIN_S = 1.0, 300.0
GIVEN_UP_AFTER_S = 24 * 3600.0
SAID = 200


class Notifications:
    """Of one daemon."""

    def __init__(self, told: Sequence[Notify], directory: Path, metrics: Metrics) -> None:
        self._told = {one.called: one for one in told}
        self._spool = Spool(directory / "notifications")
        self._metrics = metrics
        self._new = {name: asyncio.Event() for name in self._told}
        self._number = int(clock.wall() * 1e6)
        self._thread = ThreadPoolExecutor(1, "notify")
        for name in self._told:
            metrics.notifying(name)

    def note(self, notice: Notice) -> None:
        """Never waits: it is written down by a thread, and told from there."""
        loop = asyncio.get_running_loop()
        for name in self._told:
            self._number += 1
            written = loop.run_in_executor(
                self._thread, self._spool.add, name, self._number, clock.wall(),
                {"id": self._number, **notice.document},
            )  # fmt: skip
            written.add_done_callback(functools.partial(self._noted, name))

    def _noted(self, name: str, done: asyncio.Future[int]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            log.logger().error(f"a notice for {name} could not be kept: {error}")
            return
        for _ in range(done.result()):
            self._metrics.notified(name, "dropped")
        self._new[name].set()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, one in self._told.items():
                group.create_task(self._tell(name, one))

    def close(self) -> None:
        """What was noted is on the disk, for the next start."""
        self._thread.shutdown()

    async def _tell(self, name: str, one: Notify) -> None:
        again_s = FIRST_AGAIN_S
        while True:
            try:
                done = await self._tell_next(name, one, first_try=again_s == FIRST_AGAIN_S)
            except OSError as error:
                log.logger().error(f"notices for {name} cannot be read: {error}")
                done = False
            if done:
                if again_s != FIRST_AGAIN_S:
                    log.logger().info(f"{name} can be told again")
                again_s = FIRST_AGAIN_S
                continue
            await asyncio.sleep(again_s)
            again_s = min(again_s * 2, LONGEST_AGAIN_S)

    async def _tell_next(self, name: str, one: Notify, *, first_try: bool) -> bool:
        """Wait for a notice and tell it. False: it is to be tried again."""
        self._new[name].clear()
        waiting = await asyncio.to_thread(self._spool.first, name)
        count = await asyncio.to_thread(self._spool.waiting, name)
        self._metrics.notices_queued(name, count)
        if waiting is None:
            await self._new[name].wait()
            return True
        why = await _send(one, waiting.document)
        if why and clock.wall() - waiting.noted_at < GIVEN_UP_AFTER_S:
            self._metrics.notified(name, "failed")
            if first_try:
                log.logger().warning(f"{name} could not be told, it is tried again: {why}")
            return False
        if why:
            log.logger().error(f"{name} could not be told for a day, a notice is lost: {why}")
        self._metrics.notified(name, "given_up" if why else "told")
        await asyncio.to_thread(waiting.file.unlink, missing_ok=True)
        return True


async def _send(one: Notify, document: dict[str, object]) -> str:
    """Why it was not told; empty: it was."""
    body = json.dumps(document).encode()
    if one.webhook is not None:
        return await _post(one.webhook, body)
    assert one.command is not None
    return await _run(one.command, body, document)


async def _post(webhook: Webhook, body: bytes) -> str:
    try:
        url = webhook.url if webhook.url_secret is None else reveal(webhook.url_secret)
        secret = None if webhook.secret is None else reveal(webhook.secret)
    except SecretMissing as error:
        return str(error)
    assert url is not None
    return await post(url, body, secret, webhook.timeout)


async def _run(command: NotifyCommand, body: bytes, document: dict[str, object]) -> str:
    told = {
        f"FAILOVERD_{key.upper()}": str(document.get(key) or "")
        for key in ("kind", "cluster", "sentence", "incident")
    }
    try:
        async with asyncio.timeout(command.timeout):
            done = await run_program(
                command.argv, stdin=body, environment={**ENVIRONMENT, **told}, with_errors=True
            )
    except TimeoutError:
        return f"no end within {command.timeout:g} s: it was killed"
    except OSError as error:
        return f"it could not be run: {error.strerror}"
    if done.exit_status == 0:
        return ""
    return f"it ended with {done.exit_status}: {' '.join(done.output.split())[:SAID]}"
