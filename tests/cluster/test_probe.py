"""Looks at real servers that hang, refuse and come back: bounded, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import signal
from pathlib import Path

import pytest

from failoverd.core.model import ClusterView, NodeName, NodeReport, Outcome
from failoverd.daemon.clock import monotonic
from failoverd.demo import postgres
from failoverd.effect.world import Node
from failoverd.probe.node import Attention, NodeProbe
from failoverd.transport.local import LocalHost
from failoverd.transport.postgres import SqlAddress, connect
from tests.waiting import until

PATIENCE_S = 3.0
"""Enough for whoever answers at all."""


def node(pair, server) -> Node:
    password = pair.password_file.read_text().strip()
    name = NodeName(server.name)
    arguments = {
        "data_dir": str(server.data_dir),
        "bin_dir": str(server.binaries.directory),
        "port": str(server.port),
        "socket_dir": str(server.socket_dir),
        "superuser": "postgres",
        "become": " ".join(server.become),
        "state_dir": str(server.directory / "host"),
        "server_log": str(server.log),
    }
    address = SqlAddress(
        "127.0.0.1", server.port, "failoverd", "postgres", lambda: password, "disable"
    )
    return Node(name, LocalHost(name, monotonic), address, arguments)


def probe(of: Node) -> NodeProbe:
    return NodeProbe(of.name, of.address, of.host, of.arguments, monotonic, lambda: None)


def attention(**over) -> Attention:
    usual = {
        "is_primary": True,
        "in_doubt": False,
        "host": True,
        "fresh": True,
        "write_check": True,
        "primary_address": None,
        "timeout_s": PATIENCE_S,
    }
    return Attention(**{**usual, **over})


async def look(one: NodeProbe, **over):
    return await one.round(attention(**over), lambda: None, lambda _: 0.0)


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_round_tells_everything_of_a_primary_and_of_a_standby(pair):
    primary, standby = (probe(node(pair, server)) for server in pair.servers)
    one, two = await look(primary), await look(standby, is_primary=False)
    assert one.held.ok and one.fresh.ok and one.write.ok and one.host.look.ok
    assert one.server is not None and not one.server.in_recovery
    assert one.server.timeline == 1 and one.server.written_lsn is not None
    assert [sender.application_name for sender in one.server.senders] == ["pg2"]
    assert two.server is not None and two.server.in_recovery
    assert two.server.receiver is not None and two.server.receiver.status == "streaming"
    assert two.server.receiver.sender_port == pair.primary.port
    assert two.server.system_identifier == one.server.system_identifier
    assert one.host.facts is not None
    assert one.server.backend_pid in {pid for pid, _ in one.host.facts.processes}
    assert ClusterView({one.name: one, two.name: two}).report(one.name).writable
    await asyncio.gather(primary.close(), standby.close())


async def test_a_standby_that_a_restore_has_left_a_recovery_target_says_so(pair):
    _, standby = pair.servers
    postgres.sql(standby, "alter system set recovery_target_time = '2040-01-01';")
    postgres.stop(standby)
    postgres.start(standby)
    looks = probe(node(pair, standby))
    report = await look(looks, is_primary=False)
    assert report.server is not None and report.server.recovery_target
    await looks.close()


async def test_between_fresh_connections_the_held_session_is_asked_alone(pair):
    primary = probe(node(pair, pair.primary))
    first = await look(primary)
    second = await look(primary, fresh=False)
    assert second.held.ok and second.server is not None
    assert second.fresh == first.fresh
    postgres.kill(pair.primary)
    dead = await look(primary, fresh=False)
    assert dead.fresh.outcome is Outcome.REFUSED
    await primary.close()


async def test_the_held_session_is_renewed_after_somebody_terminated_it(pair):
    primary = probe(node(pair, pair.primary))
    await look(primary)
    postgres.sql(
        pair.primary,
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'failoverd'",
    )
    again = await look(primary)
    assert again.held.ok and again.fresh.ok and again.writable
    await primary.close()


async def test_a_killed_server_refuses_and_a_hung_one_times_out(pair):
    primary = probe(node(pair, pair.primary))
    await look(primary)
    postgres.signal_all(pair.primary, signal.SIGSTOP)
    hung = await look(primary)
    assert (hung.held.outcome, hung.fresh.outcome) == (Outcome.TIMED_OUT, Outcome.TIMED_OUT)
    assert hung.host.look.ok and hung.host.local_socket.outcome is Outcome.TIMED_OUT
    assert hung.host.facts is not None
    assert {state for _, state in hung.host.facts.processes} == {"T"}
    postgres.signal_all(pair.primary, signal.SIGCONT)
    postgres.kill(pair.primary)
    killed = await look(primary)
    assert killed.held.outcome is Outcome.LOST
    assert killed.fresh.outcome is Outcome.REFUSED
    assert killed.host.facts is not None and not killed.host.facts.listener
    await primary.close()


@pytest.mark.parametrize("in_passing", [False, True])
async def test_nobody_is_asked_about_a_silence_that_may_be_our_own_lag(pair, in_passing):
    """To ask more would make a loop that has too much to do later still, for ever."""
    primary = probe(node(pair, pair.primary))
    await look(primary)
    postgres.signal_all(pair.primary, signal.SIGSTOP)
    doubts: list[str] = []

    async def asked_with(lag_s: float) -> NodeReport:
        passing = attention(in_doubt=False, fresh=False, host=in_passing)
        return await primary.round(passing, lambda: doubts.append("doubt"), lambda _: lag_s)

    late = await asked_with(PATIENCE_S)
    assert late.ours and not late.held.ok and not doubts
    in_time = await asked_with(0.0)
    assert not in_time.ours and not in_time.held.ok and doubts
    assert in_time.host.local_socket.outcome is Outcome.TIMED_OUT
    postgres.signal_all(pair.primary, signal.SIGCONT)
    await primary.close()


async def test_a_calm_round_leaves_nothing_to_look_through_for_garbage(pair):
    """With a thousand clusters such looks are what makes polls late."""
    primary = probe(node(pair, pair.primary))
    calm = {"in_doubt": False, "host": False, "fresh": False, "write_check": False}
    await look(primary)
    for _ in range(3):
        await look(primary, **calm)
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            assert (await look(primary, **calm)).held.ok
        assert gc.collect() < 50
    finally:
        gc.enable()
    await primary.close()


async def test_nothing_leaks_over_a_thousand_looks_at_a_hung_server(pair):
    of = node(pair, pair.primary)
    loop_tasks, open_before = len(asyncio.all_tasks()), descriptors()
    postgres.signal_all(pair.primary, signal.SIGSTOP)
    for _ in range(50):
        looks = await asyncio.gather(*(connect(of.address, monotonic, 0.05) for _ in range(20)))
        assert {found.outcome for found, _ in looks} == {Outcome.TIMED_OUT}
    await until(lambda: len(asyncio.all_tasks()) == loop_tasks, "every task has ended")
    await until(lambda: descriptors() <= open_before + 2, "every descriptor is closed")
    postgres.signal_all(pair.primary, signal.SIGCONT)


async def test_nothing_leaks_when_held_sessions_time_out(pair):
    of = node(pair, pair.primary)
    loop_tasks, open_before = len(asyncio.all_tasks()), descriptors()
    for _ in range(10):
        opened = await asyncio.gather(*(connect(of.address, monotonic, 5) for _ in range(5)))
        postgres.signal_all(pair.primary, signal.SIGSTOP)
        sessions = [session for _, session in opened if session is not None]
        assert len(sessions) == 5
        answers = await asyncio.gather(*(s.row("select 1", timeout_s=0.05) for s in sessions))
        assert {answer.look.outcome for answer in answers} == {Outcome.TIMED_OUT}
        assert not any(session.usable for session in sessions)
        postgres.signal_all(pair.primary, signal.SIGCONT)
        await until(lambda: len(asyncio.all_tasks()) == loop_tasks, "every task has ended")
    await until(lambda: descriptors() <= open_before + 2, "every descriptor is closed")


@pytest.mark.parametrize("address", ["192.0.2.1:5432", "localhost:1"])
async def test_an_address_where_nothing_answers_is_bounded(pair, address):
    host, _, port = address.rpartition(":")
    of = SqlAddress(host, int(port), "failoverd", "postgres", lambda: "x", "disable")
    found, session = await connect(of, monotonic, PATIENCE_S)
    assert session is None
    assert not found.ok
    assert found.ended_at - found.began_at < PATIENCE_S * 3
