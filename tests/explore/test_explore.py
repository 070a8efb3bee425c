"""Every event in every state that a small cluster can come to (run with -s for the figures)."""

from __future__ import annotations

import functools
import typing

import pytest

from failoverd.core.effects import Effect
from failoverd.core.policy import Mode
from failoverd.core.states import Blocked, BlockReason, Paused, State, Watching, name_of
from failoverd.core.transitions import transitions
from tests.explore.acts import AT_A_TIME, BESIDE_HOSTS, BY_THEMSELVES, NOT_OF_THIS_WORLD, ON_HOSTS
from tests.explore.explorer import Findings, explore
from tests.explore.rules import healed, in_order, invariants, settles
from tests.explore.scenarios import SCENARIOS


@functools.cache
def findings(name: str) -> Findings:
    scenario = SCENARIOS[name]
    found = explore(
        scenario.policy,
        scenario.budget,
        invariants,
        standbys=scenario.standbys,
        known=scenario.known,
        agent=scenario.agent,
    )
    print(f"\n{name}: {found.states} states, {found.steps} steps, {found.depth} deep")  # noqa: T201
    return found


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_rule_is_broken_and_what_is_healed_ends_well(name):
    scenario = SCENARIOS[name]
    found = findings(name)
    assert found.sample
    for node in found.sample:
        end = settles(healed(node), scenario.policy)
        by_hand = node.hands_used or node.vouched
        match end.machine.state:
            case Watching():
                assert by_hand or in_order(end) is None, in_order(end)
            case Paused():
                pass
            case Blocked(reason=BlockReason.DEMOTED):
                # Somebody started it under our guard just as that was taken back.
                assert not end.world.writable()
            case _:
                assert by_hand or scenario.mode is not Mode.AUTOMATIC, end


def test_every_effect_of_the_core_has_its_act_in_this_world():
    known = {*BESIDE_HOSTS, *ON_HOSTS, *AT_A_TIME, *BY_THEMSELVES, *NOT_OF_THIS_WORLD}
    missing = [e.__name__ for e in typing.get_args(Effect) if e not in known]
    assert missing == [], "say in tests/explore/acts.py what they do"


@pytest.mark.timeout(1200)  # whichever runs first explores every world
def test_every_declared_transition_happens_and_no_other():
    seen: set[tuple[type[State], type[State]]] = set()
    for name in SCENARIOS:
        seen |= findings(name).transitions
    declared = transitions()
    words = lambda pairs: sorted(f"{name_of(a)} -> {name_of(b)}" for a, b in pairs)  # noqa: E731
    assert words(seen - declared) == []
    assert words(declared - seen) == []
