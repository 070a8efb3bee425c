"""A standby that lags when its primary dies, and what salvage may answer of it."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.events import Replied
from failoverd.core.lsn import Lsn
from failoverd.core.model import Timeline, WalEnd, WalLoss
from failoverd.core.wal_answers import NotSalvaged, Salvaged
from tests.unit.vocabulary import (
    HERE,
    PAIR,
    PG2,
    PG3,
    WORDS,
    Daemon,
    cut_off,
    dead,
    gone,
    healthy,
    host,
    streaming,
)

MEGABYTE = 1024 * 1024
FAR = HERE - 50 * MEGABYTE
END = WalEnd(Timeline(1), Lsn(HERE - 64), Lsn(HERE))
WHOLE = Salvaged(WalLoss(0, True, "nothing"), WORDS, END, 50 * MEGABYTE)
CUT_OFF = NotSalvaged(WORDS, END, may_retry=True)
UNREADABLE = NotSalvaged(WORDS)
NO_LOSS = replace(PAIR, max_data_loss_bytes=0)


def unreachable(name, at):
    """What its host said last is known; it answers no more."""
    return replace(gone()(name, at), host=replace(host(at), look=gone()(name, at).fresh))


def behind(policy=PAIR, lag=50 * MEGABYTE):
    """Crashed with a standby that is 50 MB behind, by default more than may be lost."""
    daemon = Daemon(policy)
    third = [streaming(lag=2 * lag)] if PG3 in policy.nodes else []
    for _ in range(3):
        daemon.sees(healthy(), streaming(lag=lag), *third)
    third = [cut_off(lag=2 * lag)] if PG3 in policy.nodes else []
    daemon.sees(dead(), cut_off(lag=lag), *third)
    return daemon.sees(dead(), cut_off(lag=lag), *third, after=0.21)


def salvaging(policy=PAIR, lag=50 * MEGABYTE, **of_proof):
    daemon = behind(policy, lag).fenced(**of_proof)
    positions = {PG2: HERE - lag}
    if PG3 in policy.nodes:
        positions[PG3] = HERE - 2 * lag
    return daemon.froze(positions)


def replied(daemon, effect, result):
    return Replied(daemon.machine.visit, effect, result)
