"""A dead-man that is armed, and what its primary looks like."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.dead_man import ArmedFor, Reading
from failoverd.core.effects import ArmDeadMan
from failoverd.core.events import DeadManArmed
from failoverd.core.model import Instant
from failoverd.core.policy import DeadManPolicy
from tests.unit.vocabulary import PAIR, PG2, TRIO, WORDS, healthy, sender, watching

ON = DeadManPolicy(5.0)
BOTH = replace(PAIR, dead_man=ON)
THREE = replace(TRIO, dead_man=ON)
STARTED = "1700000000"
LIFE = ArmedFor("boot", 10, STARTED)
READING = Reading("boot", 1000.0, Instant(100.0), Instant(100.1))


def well(*standbys, **more):
    return healthy(senders=tuple(sender(node) for node in standbys or (PG2,)), **more)


def armed_by(name="first", life=LIFE):
    return DeadManArmed(name, life, READING, WORDS)


def watched(policy=BOTH, *standbys):
    return watching(policy, primary=well(*standbys))


def armed(policy=BOTH, *standbys):
    return watched(policy, *standbys).answered(ArmDeadMan, armed_by())
