"""Where a failover stands: a daemon taken to each step of it by real answers."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Confirm, Fence, Promote, Redirect, Salvage
from failoverd.core.events import Confirmed, NotConfigured, Promoted
from failoverd.core.model import Lsn, Outcome, Timeline
from failoverd.core.states import Blocked
from tests.unit.vocabulary import (
    FAILED,
    HERE,
    PG2,
    PG3,
    TRIO,
    WORDS,
    crashed,
    cut_off,
    dead,
    gone,
    healthy,
    streaming,
)

NOTHING = NotConfigured(WORDS)
CONFIRMED = Confirmed(Timeline(2), Lsn(HERE + 100), False, (), "", WORDS)
QUIET = streaming(age=20, reach=Outcome.TIMED_OUT)
NEW_PRIMARY = healthy(HERE + 100, timeline=2)


def blocked_without_proof():
    return crashed().answered(Fence, FAILED)


def electing():
    return crashed().fenced()


def salvaging():
    return electing().froze({PG2: HERE})


def promoting():
    return salvaging().answered(Salvage, NOTHING)


def confirming():
    return promoting().answered(Promote, Promoted(WORDS))


def failed_over():
    return confirming().answered(Confirm, CONFIRMED).answered(Redirect, NOTHING)


def three_promoting(policy=TRIO):
    """pg2 is asked to promote; pg3, a little behind it, could take over as well."""
    return crashed(policy).fenced().froze({PG2: HERE, PG3: HERE - 10}).answered(Salvage, NOTHING)


def asked_in_vain(times=2):
    """pg2 was asked to promote in so many visits; pg3 could take over as well."""
    daemon = three_promoting().answered(Promote, FAILED)
    for _ in range(times - 1):
        while isinstance(daemon.state, Blocked):
            daemon.sees(dead(), gone(), cut_off(), after=31)
        daemon.fenced().answered(Promote, FAILED)
    while isinstance(daemon.state, Blocked):
        daemon.sees(dead(), gone(), cut_off(), after=31)
    return daemon


def three_failed_over(slots=()):
    """To pg2; pg3 was a little behind it."""
    daemon = crashed(TRIO)
    memory = replace(daemon.machine.memory, slots=slots)
    daemon.machine = replace(daemon.machine, memory=memory)
    daemon.fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, Promoted(WORDS))
    return daemon.answered(Confirm, CONFIRMED).answered(Redirect, NOTHING)
