"""The worst outage of each kind of fault, from the configuration and from what is behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.config.load import load
from failoverd.config.means import means_of
from failoverd.core.objectives import Backlog, Fault, Means, RungMeans, beyond, objectives
from failoverd.core.policy import Choice, Mode, StepLimits
from tests.unit.story import POLICY
from tests.unit.test_config import SHORT, write

NOTHING = Backlog()
STOP, AGENT, DEAD_MAN = RungMeans("stop"), RungMeans("agent", 20.0), RungMeans("dead_man", 5.0)
LADDER = Means((STOP, AGENT))


def of(fault, policy=POLICY, means=LADDER, backlog=NOTHING):
    return next(one for one in objectives(policy, means, backlog) if one.fault is fault)


def worst(fault, **changed):
    found = of(fault, **changed).worst_s
    assert found is not None
    return found


def test_the_ladder_decides_which_faults_are_covered():
    alone = Means((STOP,))
    assert of(Fault.CRASH, means=alone).by == "stop"
    for fault in (Fault.HOST_LOST, Fault.ISOLATED):
        assert of(fault, means=alone).worst_s is None
        assert "add agent, command or dead_man" in of(fault, means=alone).why
        assert of(fault, means=LADDER).by == "agent"
        assert of(fault, means=Means((STOP, DEAD_MAN))).by == "dead_man"
        assert of(fault, means=Means((STOP, RungMeans("command", 3.0)))).by == "command"


@pytest.mark.parametrize(
    ("fault", "key"),
    [
        (Fault.STOP, "on_clean_stop"),
        (Fault.HALF_HUNG, "on_half_hung"),
        (Fault.UNWRITABLE, "on_unwritable"),
    ],
)
def test_what_is_left_to_an_operator_is_not_covered_by_choice(fault, key):
    waiting = of(fault, policy=replace(POLICY, **{key: Choice.WAIT}))
    assert (waiting.worst_s, waiting.chosen) == (None, True)
    assert f"failover.{key} is wait" in waiting.sentence
    assert of(fault, policy=replace(POLICY, **{key: Choice.FAILOVER})).worst_s is not None


def test_a_mode_that_does_not_act_covers_nothing():
    assert all(
        one.worst_s is None
        for one in objectives(replace(POLICY, mode=Mode.MANUAL), LADDER, NOTHING)
    )


def test_the_fast_path_makes_a_crash_short_and_the_threshold_the_others_long():
    slow = replace(POLICY, fast_path=False)
    assert worst(Fault.CRASH) < worst(Fault.CRASH, policy=slow)
    patient = replace(POLICY, failures=10)
    assert worst(Fault.HANG, policy=patient) >= worst(Fault.HANG) + 7
    assert worst(Fault.CRASH, policy=patient) == worst(Fault.CRASH)


def test_every_limit_on_the_way_counts():
    longer = Means((STOP, RungMeans("agent", 60.0)))
    assert worst(Fault.HOST_LOST, means=longer) == pytest.approx(worst(Fault.HOST_LOST) + 80)
    ways = replace(LADDER, ways_s=3.0)
    assert worst(Fault.CRASH, means=ways) == pytest.approx(worst(Fault.CRASH) + 3)
    stubborn = replace(LADDER, stop_immediate_s=30.0)
    assert worst(Fault.HANG, means=stubborn) == pytest.approx(worst(Fault.HANG) + 28)
    ttl = Means((STOP, RungMeans("dead_man", 20.0)))
    assert worst(Fault.ISOLATED, means=ttl) > worst(Fault.ISOLATED, means=Means((STOP, DEAD_MAN)))


def test_what_is_to_be_carried_and_replayed_counts_up_to_its_limit():
    behind = Backlog(missing_bytes=100 << 20, unreplayed_bytes=300 << 20)
    assert worst(Fault.CRASH, backlog=behind) > worst(Fault.CRASH) + 15
    far = Backlog(missing_bytes=1 << 40, unreplayed_bytes=1 << 40)
    limits = StepLimits(salvage_s=10, promote_s=10)
    bounded = worst(Fault.CRASH, policy=replace(POLICY, limits=limits), backlog=far)
    assert bounded == pytest.approx(worst(Fault.CRASH) + 10 + 9)


def test_the_dead_man_counts_beside_our_own_detection():
    """Measured at a TTL of 5 s: 8.4 to 8.9 s."""
    assert 9 < worst(Fault.ISOLATED, means=Means((STOP, DEAD_MAN))) < 13


def test_only_a_covered_fault_can_be_beyond_what_is_wanted():
    found = objectives(POLICY, Means((STOP,)), NOTHING)
    assert beyond(found, None) == ()
    assert {one.fault for one in beyond(found, 7.0)} == {Fault.HANG, Fault.STOP}


CONFIGURED = """
    failover: {rto: 15s}
    limits: {stop_immediate: 4s}
    fencing:
      ladder:
        - stop
        - agent: {path: /usr/sbin/fence_ipmilan, timeout: 7s}
        - command: {argv: [/bin/fence], timeout: 8s}
        - dead_man: {ttl: 6s}
    redirect:
      - virtual_ip: {address: 192.0.2.100/24, interface: eth0, timeout: 9s}
"""


def test_means_come_from_the_configuration(tmp_path):
    found = means_of(load(write(tmp_path, SHORT + CONFIGURED), check_files=False).clusters["main"])
    assert [(rung.name, rung.limit_s) for rung in found.rungs] == [
        ("stop", 0.0), ("agent", 7.0), ("command", 8.0), ("dead_man", 6.0),
    ]  # fmt: skip
    assert (found.rto_s, found.stop_immediate_s, found.ways_s) == (15.0, 4.0, 9.0)
