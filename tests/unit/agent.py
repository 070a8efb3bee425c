"""Who asks an agent check, as HAProxy does."""

from __future__ import annotations

import asyncio

from tests.waiting import in_vain


async def word(port, timeout_s=20):
    """What is answered on this port, once somebody listens there."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.01)
                    continue
                said = await reader.read()
                writer.close()
                return said
    except TimeoutError:
        raise in_vain(timeout_s, "somebody listens") from None
