"""What a renewal claims, what it proves, and when it says that the dead-man is lost."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest

from failoverd.core.dead_man import ArmedFor, Arming, Phase, Reading
from failoverd.core.events import DeadManLost
from failoverd.core.model import Epoch, Instant, Outcome
from failoverd.core.situation import Machine
from failoverd.core.states import Watching
from failoverd.daemon import clock
from failoverd.daemon.renewals import Renewal, Renewals
from failoverd.effect.world import Node
from failoverd.transport.host import Call
from failoverd.transport.postgres import SqlAddress
from tests.unit.vocabulary import PG1, PG2, watching
from tests.waiting import until

LIFE = ArmedFor("boot", 70, "1700000000")
UPTIME_S = 5000.0


class AnsweringHost:
    """Keeps the promises of a host: one answer a call, with the nonce; or none at all."""

    node = PG1

    def __init__(self) -> None:
        self.began = clock.boottime()
        self.asked: list[dict[str, str]] = []
        self.silent = False
        self.verdict, self.exit_status = "renewed", 0

    @property
    def uptime_s(self) -> float:
        return round(UPTIME_S + clock.boottime() - self.began, 2)

    async def call(self, verb, arguments, *, timeout_s):
        self.asked.append(dict(arguments))
        call = Call(PG1, verb, arguments, "nonce")
        if self.silent:
            return call.failed(Outcome.TIMED_OUT, "no answer in time", timeout_s)
        lines = [
            "begin=nonce", "boot_id=boot", f"uptime={self.uptime_s}", "armed_boot_id=boot",
            "armed_postmaster_pid=70", "armed_postmaster_started=1700000000",
            f"verdict={self.verdict}", "reason=it says so", "nonce=nonce",
        ]  # fmt: skip
        return call.answer(self.exit_status, "\n".join(lines), 0.01)

    async def close(self) -> None:
        pass


@pytest.fixture
def host():
    return AnsweringHost()


def armed_machine() -> Machine:
    now = clock.boottime()
    first = Reading("boot", UPTIME_S, Instant(now - 0.02), Instant(now - 0.01))
    arming = Arming(
        PG1, frozenset({PG2}), 5.0, Epoch(1), Phase.ARMED, 1,
        name="first", armed_for=LIFE, reading=first,
    )  # fmt: skip
    machine = watching().machine
    assert isinstance(machine.state, Watching)
    return replace(machine, dead_man=arming)


def renewals(host, machine, *, leads=lambda: True):
    address = SqlAddress(
        "192.0.2.11", 5432, "failoverd", "postgres", lambda: None, "disable", None, "test"
    )
    node = Node(PG1, host, address, {"port": "5432"})
    lost, told = [], []
    one = Renewals({PG1: node}, lambda: machine, lambda: "us", leads, lost.append,
        lambda *one: told.append(one),
    )  # fmt: skip
    return one, lost, told


async def run_until(one, condition):
    task = asyncio.create_task(one.run())
    try:
        await until(condition, "the fake has seen it")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_a_renewal_claims_to_be_as_old_as_the_last_answer(host):
    machine = armed_machine()
    one, lost, told = renewals(host, machine)
    asyncio.run(run_until(one, lambda: len(told) >= 3))
    first, _, third = (int(asked["sent"]) for asked in host.asked[:3])
    assert first == UPTIME_S * 100
    assert first < third <= host.uptime_s * 100
    assert int(host.asked[2]["expires"]) <= (host.uptime_s + 2) * 100
    assert {outcome for outcome, _ in told} == {Renewal.ACKNOWLEDGED}
    assert lost == []


def test_who_does_not_lead_renews_nothing(host):
    beats = []

    def leads():
        beats.append(1)
        return False

    one, _, told = renewals(host, armed_machine(), leads=leads)
    asyncio.run(run_until(one, lambda: len(beats) >= 3))
    assert host.asked == []
    assert told == []


def test_what_is_sent_to_a_host_that_does_not_answer_prolongs_nothing(host):
    machine = armed_machine()
    one, lost, told = renewals(host, machine)
    first = machine.dead_man.reading
    host.silent = True
    asyncio.run(run_until(one, lambda: len(told) >= 2))
    assert {asked["sent"] for asked in host.asked} == {str(int(UPTIME_S * 100))}
    assert one.dead_man.sent_at == first.answered_at
    assert one.dead_man.acknowledged_at == first.asked_at
    assert {outcome for outcome, _ in told} == {Renewal.UNANSWERED}
    assert lost == []


def test_a_claim_counts_from_the_latest_and_its_acknowledgement_from_the_earliest(host):
    one, _, told = renewals(host, armed_machine())
    asyncio.run(run_until(one, lambda: len(told) >= 2))
    counted = one.dead_man
    assert counted.acknowledged_at < counted.sent_at < clock.boottime()


@pytest.mark.parametrize(
    ("verdict", "exit_status", "is_lost"),
    [
        ("not_watching", 11, True),
        ("disarmed", 11, True),
        ("fired", 11, True),
        ("stale_epoch", 14, True),
        ("expired", 15, False),
        ("cannot", 16, False),
    ],
)
def test_only_what_says_that_nobody_watches_is_a_loss(host, verdict, exit_status, is_lost):
    one, lost, told = renewals(host, armed_machine())
    host.verdict, host.exit_status = verdict, exit_status
    asyncio.run(run_until(one, lambda: len(told) >= 1))
    assert (DeadManLost("first", "it says so") in lost) is is_lost
    assert told[0][0] is (Renewal.REFUSED if is_lost else Renewal.UNANSWERED)


@pytest.mark.parametrize("phase", [Phase.ASKED, Phase.LOST, Phase.DISARMING])
def test_what_is_not_armed_is_neither_renewed_nor_counted_on(host, phase):
    machine = armed_machine()
    one, _, _ = renewals(host, replace(machine, dead_man=replace(machine.dead_man, phase=phase)))
    assert one.dead_man is None
    with pytest.raises(TimeoutError):
        asyncio.run(_a_moment(one, host))
    assert host.asked == []


async def _a_moment(one, host):
    async with asyncio.timeout(0.2):
        await run_until(one, lambda: host.asked)
