"""Hosts, at thousands of addresses: each says what the host program said once of a real one.

Thousands of real looks at one machine would be the machine's work, not the daemon's. The way is
that of a real host: a handshake, a key, a session, a program on its standard input. What is said
carries the nonce that was sent, and the processes of now. At the hosts of the one cluster that
is failed over the program that was sent is run.

    python -m bench.hosts PLACE PORT    # PLACE: host_key, client_key.pub, VERB-PORT files, real
"""

from __future__ import annotations

import asyncio
import gc
import re
import resource
import sys
from pathlib import Path

import asyncssh

EXIT_NOT_KNOWN = 11
ASKED = re.compile(r"^FD_(nonce|port|verb)=[\"']?([^\"'\n]*)", re.MULTILINE)
PROCESSES = re.compile(r"(process=.*\n)+")
POSTMASTER = re.compile(r"^postmaster_pid=(\d+)", re.MULTILINE)


def answered(place: Path, asked: str) -> tuple[str, int]:
    """To the program that was sent: by its verb, and by the port of its server."""
    said = dict(ASKED.findall(asked))
    try:
        text = (place / f"{said['verb']}-{said['port']}").read_text()
    except OSError:
        return "", EXIT_NOT_KNOWN
    found = POSTMASTER.search(text)
    if found is not None:
        pid = found[1]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        processes = "".join(f"process={one} S\n" for one in [pid, *children])
        text = PROCESSES.sub(processes, text, count=1)
    return text.replace("@nonce@", said["nonce"]), 0


async def ran(program: str) -> tuple[str, int]:
    shell = await asyncio.create_subprocess_exec(
        "sh", "-s", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await shell.communicate(program.encode())
    return said.decode(), shell.returncode or 0


def is_real(place: Path, asked: str) -> bool:
    """By the port of its server."""
    port = dict(ASKED.findall(asked)).get("port")
    return port in (place / "real").read_text().split()


async def serve(place: Path, port: int) -> None:
    async def session(process: asyncssh.SSHServerProcess[str]) -> None:
        program = await process.stdin.read()
        real = is_real(place, program)
        text, status = await ran(program) if real else answered(place, program)
        process.stdout.write(text)
        process.exit(status)

    await asyncssh.listen(
        "0.0.0.0",
        port,
        server_host_keys=[str(place / "host_key")],
        authorized_client_keys=str(place / "client_key.pub"),
        process_factory=session,
        compression_algs=None,
        backlog=1000,
    )
    print("ready", flush=True)
    gc.freeze()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
