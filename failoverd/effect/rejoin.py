"""Bring a fenced node back as a standby: it is back when both ends say that it streams.

Its primary is prepared, what does it is started on the host, and is then looked at. Each call
takes one step and answers at once; what runs for minutes belongs to the host (see
host_program/rejoin_run.sh). Whoever asks again finds what was done.
"""

from __future__ import annotations

from failoverd.config.secrets import SecretMissing
from failoverd.core.effects import Checkpoint, Rejoin
from failoverd.core.events import (
    REJOIN_FAILED,
    EffectFailed,
)
from failoverd.core.model import Outcome
from failoverd.core.schedule import Checkpointed, Rejoined, Rejoining
from failoverd.effect.replication import conninfo, passfile_line, setting, slot_name
from failoverd.effect.retained import gone
from failoverd.effect.world import Node, Runs, World, act_now, ask, note_clock, why
from failoverd.transport.host import HostAnswer

STATUS_LIMIT_S = 10.0
SOURCE_LIMIT_S = 40.0
STREAMS_WITHIN_S = 60
"""Of its start: several times wal_retrieve_retry_interval. Then it is copied anew."""
STARTS_WITHIN_S = 10
EXIT_ALIVE = 13

RECEIVES = """
select pg_is_in_recovery() as in_recovery,
       coalesce((select status from pg_stat_wal_receiver), '') as status,
       coalesce((select received_tli from pg_stat_wal_receiver), 0) as timeline
"""
SENDS = """
select exists (select from pg_stat_replication
                where application_name = $1 and state = 'streaming') as sends,
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int as timeline
 where not pg_is_in_recovery()
"""
DOING = {
    "begun": "it is being looked at",
    "recovering": "what it had written is replayed, as a standby of nobody",
    "rewinding": "it is being rewound",
    "copying": "it is being copied anew",
    "swapping": "the copy is being put in place",
    "starting": "it is being started as a standby",
    "started": "it was started as a standby and does not stream yet",
    "failed": "it did not succeed, and ends",
}


async def rejoin(effect: Rejoin, world: World) -> Rejoining | Rejoined | EffectFailed:
    """One step further, or how far it is."""
    runs = Runs()
    node = world.nodes[effect.node]
    seen = runs.add(
        await node.host.call("rejoin_status", world.arguments(node), timeout_s=STATUS_LIMIT_S)
    )
    if not seen.done:
        return EffectFailed("no_answer", runs.evidence(f"{node.name}: its host: {why(seen)}"))
    phase, running = seen.field("phase"), seen.field("running") == "yes"
    of_this = seen.field("source") == effect.primary
    if running or (of_this and phase == "begun" and _seconds(seen) < STARTS_WITHIN_S):
        return Rejoining(True, runs.evidence(_progress(node, seen)))
    if effect.begun and phase == "failed":
        return EffectFailed(REJOIN_FAILED, runs.evidence(_failure(node, seen)))
    if phase == "started" and of_this:
        return await _streams(effect, world, node, seen, runs)
    if phase == "none" and not effect.copied and await _both_say_so(effect, world, node):
        # It was finished, and nobody heard of that; or somebody else has brought it back.
        return await _finish(effect, world, node, runs)
    return await _start(effect, world, node, "copy" if effect.copied else "auto", runs)


def _seconds(answer: HostAnswer) -> int:
    """In this phase; a boot in between is long ago."""
    said = answer.number("seconds")
    return STREAMS_WITHIN_S + 1 if said is None else said


def _progress(node: Node, seen: HostAnswer) -> str:
    doing = DOING.get(seen.field("phase"), seen.field("phase"))
    copied, total = seen.number("copied_kb"), seen.number("total_kb")
    share = f" ({copied} of {total} kB)" if copied is not None and total else ""
    return f"{node.name} is rejoining: {doing}{share}"


def _failure(node: Node, seen: HostAnswer) -> str:
    return f"{node.name} could not be brought back and stays fenced: {seen.field('failure')}"


async def _start(
    effect: Rejoin, world: World, node: Node, method: str, runs: Runs
) -> Rejoining | EffectFailed:
    replication = node.replication
    if replication is None:
        return EffectFailed(REJOIN_FAILED, runs.evidence("no replication credentials are known"))
    source = world.nodes[effect.primary]
    slot = slot_name(node.name)
    ready = await act_now(
        world, source, "rejoin_source", effect.epoch, {"slot": slot}, SOURCE_LIMIT_S, runs
    )
    if not ready.done:
        sentence = f"{node.name} waits for {source.name}: {why(ready)}"
        return Rejoining(False, runs.evidence(sentence))
    await _read_clock(world, node, runs)
    try:
        password = replication.password()
    except SecretMissing as error:
        return EffectFailed("no_password", runs.evidence(f"the replication password: {error}"))
    arguments = _arguments(effect, world, node, method, ready, password)
    started = await act_now(
        world, node, "rejoin_start", effect.epoch, arguments, world.limits.freeze_s + 10, runs
    )
    if started.exit_status == EXIT_ALIVE and started.outcome is Outcome.OK:
        return EffectFailed(REJOIN_FAILED, runs.evidence(f"{node.name}: {why(started)}"))
    if not started.done:
        return EffectFailed("not_started", runs.evidence(f"{node.name}: {why(started)}"))
    return Rejoining(True, runs.evidence(_progress(node, started)))


async def _read_clock(world: World, node: Node, runs: Runs) -> None:
    """By a verb that answers, too, while the data directory is just being replaced."""
    asked_at = world.monotonic()
    seen = await node.host.call("rejoin_status", world.arguments(node), timeout_s=STATUS_LIMIT_S)
    note_clock(world, node, runs.add(seen), asked_at)


def _arguments(
    effect: Rejoin,
    world: World,
    node: Node,
    method: str,
    ready: HostAnswer,
    password: str | None,
) -> dict[str, str]:
    assert node.replication is not None
    source = world.nodes[effect.primary]
    options = node.replication.to(source.address.host, source.address.port)
    # The database is for the synchronization of failover slots, from PostgreSQL 17 on.
    own = {**options, "dbname": node.replication.database, "application_name": node.name}
    if password is not None:
        own["password"] = password
    reads = {**options, "dbname": node.replication.database, "connect_timeout": "10"}
    lines = (
        setting("primary_conninfo", conninfo(own)),
        setting("primary_slot_name", slot_name(node.name)),
    )
    return {
        "method": method,
        "source": effect.primary,
        "history": " ".join(ready.fields.get("history", ())),
        "timeline": ready.field("timeline"),
        "total": ready.field("size_kb"),
        "tablespaces": ready.field("tablespaces"),
        "limit": str(int(world.limits.rejoin_s)),
        "source_conninfo": conninfo({**reads, "application_name": "failoverd"}),
        "secret_passfile": "" if password is None else passfile_line(password),
        "secret_settings": "\n".join(lines),
        "forward": " ".join(node.arguments),
    }


async def _streams(
    effect: Rejoin, world: World, node: Node, seen: HostAnswer, runs: Runs
) -> Rejoining | Rejoined | EffectFailed:
    """Else, after a while, what did it did not do."""
    source = world.nodes[effect.primary]
    if await _both_say_so(effect, world, node):
        return await _finish(effect, world, node, runs)
    method = seen.field("method")
    hopeless = method != "copy" and await gone(world, node, source, runs) is not None
    if _seconds(seen) <= STREAMS_WITHIN_S and not hopeless:
        return Rejoining(True, runs.evidence(_progress(node, seen)))
    if method == "copy":
        sentence = f"{node.name} was copied anew and does not stream from {source.name}"
        return EffectFailed(REJOIN_FAILED, runs.evidence(sentence))
    return await _start(effect, world, node, "copy", runs)


async def _both_say_so(effect: Rejoin, world: World, node: Node) -> bool:
    """It streams: both ends, and the timeline."""
    source, timeout_s = world.nodes[effect.primary], world.poll_timeout_s
    receives = await ask(world, node, RECEIVES, timeout_s=timeout_s)
    sends = await ask(world, source, SENDS, str(node.name), timeout_s=timeout_s)
    return bool(
        receives.ok
        and sends.ok
        and receives.row["in_recovery"]
        and receives.row["status"] == "streaming"
        and sends.row["sends"]
        and receives.row["timeline"] == sends.row["timeline"]
    )


async def _finish(
    effect: Rejoin, world: World, node: Node, runs: Runs
) -> Rejoining | Rejoined | EffectFailed:
    done = await act_now(
        world, node, "rejoin_finish", effect.epoch, {}, world.limits.freeze_s, runs
    )
    if not done.done:
        return EffectFailed("not_finished", runs.evidence(f"{node.name}: {why(done)}"))
    how = HOW.get(done.field("method"), "it was started as a standby")
    kept = done.field("kept")
    aside = (
        f"; the old data directory lies in {kept}: remove it when it is not needed" if kept else ""
    )
    sentence = f"{node.name} is back as a standby of {effect.primary} and streams: {how}{aside}"
    return Rejoined(runs.evidence(sentence))


HOW = {
    "follow": "nothing had to be rewound",
    "rewind": "it was rewound",
    "copy": "it was copied anew",
}


async def checkpoint(effect: Checkpoint, world: World) -> Checkpointed | EffectFailed:
    """What is dirty now is on disk when this answers."""
    runs = Runs()
    node, limit_s = world.nodes[effect.node], world.limits.checkpoint_s
    more = {"seconds": str(int(limit_s))}
    done = await act_now(
        world, node, "checkpoint_now", effect.epoch, more, limit_s + STATUS_LIMIT_S, runs
    )
    if not done.done:
        return EffectFailed("no_checkpoint", runs.evidence(why(done)))
    return Checkpointed(runs.evidence(f"{node.name} has made a checkpoint: its stop will be short"))
