"""Relays TCP connections, each way with a delay: `relay.py SECONDS LISTEN:TO ...`.

Run by the harness in a host's network; ends with its standard input. Only the standard library.
"""

import asyncio
import sys


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Delayed, not slowed down: what follows does not wait for what went before."""
    clock = asyncio.get_running_loop()
    pending: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await pending.get()
            await asyncio.sleep(max(0.0, due - clock.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()

    delivering = asyncio.create_task(deliver())
    try:
        data = b"anything"
        while data:
            data = await reader.read(65536)
            pending.put_nowait((clock.time() + delay_s, data))
        await delivering
    except OSError:
        pass
    finally:
        delivering.cancel()
        writer.close()


async def relay(
    client: asyncio.StreamReader, to_client: asyncio.StreamWriter, port: int, delay_s: float
) -> None:
    try:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        to_client.close()
        return
    await asyncio.gather(carry(client, to_server, delay_s), carry(server, to_client, delay_s))


async def main() -> None:
    delay_s = float(sys.argv[1])
    for pair in sys.argv[2:]:
        listen, to = map(int, pair.split(":"))
        await asyncio.start_server(
            lambda r, w, port=to: relay(r, w, port, delay_s),
            "0.0.0.0",
            listen,
        )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
