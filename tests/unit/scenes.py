"""Where a failover stands: a daemon taken to each step of it by real answers."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.effects import Confirm, Promote, Redirect, Salvage
from failoverd.core.events import Confirmed, NotConfigured, Promoted
from failoverd.core.model import Lsn, Outcome, Timeline
from tests.unit.vocabulary import HERE, PG2, PG3, TRIO, WORDS, crashed, healthy, streaming

NOTHING = NotConfigured(WORDS)
CONFIRMED = Confirmed(Timeline(2), Lsn(HERE + 100), False, (), "", WORDS)
QUIET = streaming(age=20, reach=Outcome.TIMED_OUT)
NEW_PRIMARY = healthy(HERE + 100, timeline=2)


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


def three_failed_over(slots=()):
    """To pg2; pg3 was a little behind it."""
    daemon = crashed(TRIO)
    memory = replace(daemon.machine.memory, slots=slots)
    daemon.machine = replace(daemon.machine, memory=memory)
    daemon.fenced().froze({PG2: HERE, PG3: HERE - 10})
    daemon.answered(Salvage, NOTHING).answered(Promote, Promoted(WORDS))
    return daemon.answered(Confirm, CONFIRMED).answered(Redirect, NOTHING)
