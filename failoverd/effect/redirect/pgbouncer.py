"""PgBouncer: PAUSE, a new line for each database, RELOAD, RESUME; KILL where PAUSE has no end.

Never left paused: whatever happens in between, RESUME is tried, and a database that is paused is
no way to the primary, so that it is tried again. Source: PgBouncer, "Admin console".
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from failoverd.core.model import Epoch, NodeName
from failoverd.core.target import TargetReport
from failoverd.effect.redirect.attempt import Attempt, NotLed, expiring
from failoverd.effect.way import PgBouncer
from failoverd.transport.host import HostAnswer
from failoverd.transport.pgbouncer import Console, Said

MARK = "; written by failoverd: its databases are led to the primary (docs/redirect.md)"
END_KILLED_S = 2.0


async def look(way: PgBouncer, a: Attempt) -> TargetReport:
    """Where its databases lead, paused or not: to pause them is an operator's right."""
    began = a.world.monotonic()
    try:
        async with Console(way.admin, way.timeout_s) as console:
            rows = (await _run(console, "SHOW DATABASES", a)).rows
    except OSError as error:
        raise NotLed(_unreachable(error)) from None
    found = {row.get("name", ""): row for row in rows}
    lacking = [name for name in way.databases if name not in found]
    if lacking:
        said = f"it has no database {' and '.join(lacking)}: does it include {way.file}?"
        return a.seen(began, frozenset(), said)
    places = {
        name: (found[name].get("host", ""), found[name].get("port", "")) for name in way.databases
    }
    nodes = {(host, str(port)): node for node, (host, port) in way.addresses.items()}
    points_at = {nodes[place] for place in places.values() if place in nodes}
    strange = any(place not in nodes for place in places.values())
    paused = [name for name in way.databases if found[name].get("paused") == "1"]
    said = ", ".join(f"{name} at {host}:{port}" for name, (host, port) in places.items())
    waits = f"; paused: {' and '.join(paused)}" if paused else ""
    where = frozenset() if strange else frozenset(points_at)
    return a.seen(began, where, f"{said}{waits}", paused=bool(paused))


async def lead(way: PgBouncer, primary: NodeName, epoch: Epoch, a: Attempt) -> None:
    """The file first: a PgBouncer that starts meanwhile reads it."""
    try:
        await write(way, primary, epoch, a)
    except NotLed:
        await _resume(way, a)
        raise
    try:
        await _pause(way, a, kill=True)
        async with Console(way.admin, way.timeout_s) as console:
            await _run(console, "RELOAD", a)
    except OSError as error:
        raise NotLed(_unreachable(error)) from None
    finally:
        await _resume(way, a)


async def close(way: PgBouncer, a: Attempt) -> str:
    """Clients wait, and keep their sessions. Transactions that do not end are left alone."""
    try:
        await _pause(way, a, kill=False)
    except BaseException as error:
        await _resume(way, a)
        if isinstance(error, OSError):
            raise NotLed(_unreachable(error)) from None
        raise
    return f"{' and '.join(way.databases)}: clients wait"


async def _pause(way: PgBouncer, a: Attempt, *, kill: bool) -> None:
    """All of them within one limit; after it sessions are ended, or it was in vain."""
    until = a.world.monotonic() + way.pause_timeout_s
    async with Console(way.admin, way.timeout_s) as console:
        for name in way.databases:
            limit_s = max(0.05, until - a.world.monotonic())
            try:
                await _run(console, f'PAUSE "{name}"', a, limit_s, ignore=("no such database",))
            except TimeoutError:
                if not kill:
                    raise NotLed(f"transactions of {name} did not end in time") from None
                async with Console(way.admin, way.timeout_s) as other:
                    await _run(other, f'KILL "{name}"', a)
                await console.outcome(END_KILLED_S)


async def _resume(way: PgBouncer, a: Attempt) -> None:
    """In whatever state it is. Raises NotLed where it may be left paused: then it comes again."""
    try:
        async with Console(way.admin, way.timeout_s) as console:
            for name in way.databases:
                await _run(console, f'RESUME "{name}"', a, ignore=("not paused",))
    except OSError as error:
        raise NotLed(f"{_unreachable(error)}: it may be paused") from None


async def _run(
    console: Console,
    command: str,
    a: Attempt,
    limit_s: float | None = None,
    ignore: Sequence[str] = (),
) -> Said:
    began = a.world.monotonic()
    try:
        said = await console.run(command, limit_s)
    except TimeoutError:
        a.note(command, "no end in time", began)
        raise
    shown = "\n".join(" ".join(f"{k}={v}" for k, v in row.items()) for row in said.rows)
    a.note(command, said.error or shown or "done", began)
    if said.error and not any(words in said.error for words in ignore):
        raise NotLed(f"{command}: {said.error}")
    return said


def _unreachable(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "its console does not answer in time"
    return f"its console cannot be reached: {error.strerror or error}"


async def write(way: PgBouncer, primary: NodeName, epoch: Epoch, a: Attempt) -> None:
    """The file alone: what its PgBouncer reads when it starts."""
    wanted = lines(way, primary)
    known = {"port": "0", "file": way.file}
    read = await _call(way, {**known, "mode": "read"}, a)
    there = _content(read)
    if there == wanted:
        return
    written = {
        **known,
        "mode": "write",
        "lines": wanted,
        "system_identifier": a.world.memory.system_identifier or "",
        "owner": a.world.owner,
        "epoch": str(epoch),
        "boot_id": read.field("boot_id"),
        "expires": expiring(read),
    }
    await _call(way, written, a)


def _content(read: HostAnswer) -> str:
    try:
        return base64.b64decode(read.field("content_b64")).decode(errors="replace")
    except ValueError:
        raise NotLed("what its host says of the file cannot be read") from None


async def _call(way: PgBouncer, arguments: dict[str, str], a: Attempt) -> HostAnswer:
    answer = await way.host.call("databases", arguments, timeout_s=way.timeout_s)
    a.runs.append(answer.run)
    if not answer.done:
        why = answer.field("reason") or f"its host does not answer ({answer.outcome})"
        raise NotLed(f"{way.file} could not be written: {why}")
    return answer


def lines(way: PgBouncer, primary: NodeName) -> str:
    """The whole file."""
    host, port = way.addresses[primary]
    rows = [
        f"{name} = {' '.join(f'host={host} port={port} {words}'.split())}"
        for name, words in sorted(way.databases.items())
    ]
    return "\n".join([MARK, "[databases]", *rows, ""])
