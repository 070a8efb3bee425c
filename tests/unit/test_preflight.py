"""What becomes of the watch where a check of readiness breaks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from failoverd.core.objectives import Means
from failoverd.daemon.pace import Pace
from failoverd.daemon.preflight import Preflight


class Breaks:
    """A cluster that cannot even be looked at."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def nodes(self):
        raise self.error


def preflight(error, failed):
    return Preflight(Breaks(error), Means, Path("/nowhere"), lambda *_: None, failed, Pace())


async def test_a_check_that_breaks_is_told_and_ends_nothing():
    told: asyncio.Queue[Exception] = asyncio.Queue()
    running = asyncio.create_task(preflight(KeyError("a bug"), told.put_nowait).run())
    assert isinstance(await told.get(), KeyError)
    assert not running.done()
    running.cancel()


@pytest.mark.parametrize(
    "error", [MemoryError(), ExceptionGroup("looks", [ExceptionGroup("one", [MemoryError()])])]
)
async def test_without_memory_the_daemon_ends_so_that_it_is_started_again(error):
    with pytest.raises((MemoryError, ExceptionGroup)):
        await preflight(error, lambda _: None).run()


def test_out_of_memory_it_ends_without_the_orderly_end_that_would_need_some():
    """Nothing that runs at the end of a process runs: the start of a thread would wait for ever."""
    program = """
import asyncio, atexit
from failoverd.daemon.out_of_memory import ends_at_once
atexit.register(print, "an orderly end")
async def life():
    async with asyncio.TaskGroup() as group:
        group.create_task(fails())
async def fails():
    raise MemoryError
asyncio.run(ends_at_once(life()))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (71, "")
    assert "out of memory" in ended.stderr
