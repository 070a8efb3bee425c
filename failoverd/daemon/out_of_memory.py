"""A daemon without memory ends at once: what starts it again has some.

An orderly end needs memory, too: asyncio ends its executor from a new thread, and the start of
a thread that finds none waits for ever. Source: CPython, Lib/asyncio/base_events.py
(shutdown_default_executor), Lib/threading.py (Thread.start). What counts is in the journal.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine

EXIT_STATUS = 71
"""EX_OSERR. Source: sysexits(3)."""
SAID = b"failoverd is out of memory, and ends to be started again\n"


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(MemoryError) is not None
    return isinstance(error, MemoryError)


async def ends_at_once(life: Coroutine[None, None, None]) -> None:
    """Run it; where memory ends it, nothing else of this process runs any more."""
    try:
        await life
    except BaseException as error:
        if is_out_of_memory(error):
            os.write(2, SAID)
            os._exit(EXIT_STATUS)
        raise
