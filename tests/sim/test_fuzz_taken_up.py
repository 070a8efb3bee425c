"""Whatever stands in the journal that is shared: whoever takes it up promotes nobody by it.

It may have been written by anybody who can write to etcd, and is valid in its form. A proof in it
counts for nothing, and what does not fit the configuration is no reason to fall.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from failoverd.core.effects import Promote
from failoverd.core.events import Observed, Woke
from failoverd.core.model import Instant
from failoverd.core.restart import followed, restored, taken_up
from failoverd.core.situation import Machine
from failoverd.daemon.told_in_etcd import read_shared
from failoverd.record.codec import RecordError, dumps
from failoverd.transport.etcd import Kept
from tests.sim.test_fuzz import journaled  # noqa: F401 - a fixture
from tests.unit.vocabulary import Daemon, crashed, cut_off, dead, gone, healthy, streaming, view

MACHINES = 400
ODD = (None, "pg1", "pg2", "pg9", "", 0, 7, -1, 1e9, -5.0, True, "0/0", 2**60, [], {})
SIGHTS = ((healthy(), streaming()), (dead(), cut_off()), (gone(), cut_off()), (gone(), gone()))
OWN = crashed().machine
AT = Instant(200.0)


def mutated(chance: random.Random, record: Any) -> None:
    """One value of it, however deep, is another."""
    here, key = record, None
    while isinstance(here, dict | list) and here:
        key = chance.choice(sorted(here) if isinstance(here, dict) else range(len(here)))
        if not isinstance(here[key], dict | list) or chance.random() < 0.25:
            break
        here = here[key]
    if isinstance(here, dict | list) and here:
        here[key] = chance.choice(ODD)


def shared(chance: random.Random, record: Any) -> Machine | None:
    for _ in range(chance.randint(1, 2)):
        mutated(chance, record)
    document = {"version": 1, "group": "c0ffee", "terms_from": 3, "machine": json.dumps(record)}
    try:
        return read_shared(Kept(json.dumps(document), 1, 1, 0)).machine
    except RecordError:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_who_takes_up_a_journal_with_anything_in_it_promotes_nobody_before_a_fence(
    journaled,  # noqa: F811
    seed,
):
    chance = random.Random(seed)
    read = 0
    for _ in range(MACHINES):
        machine = shared(chance, json.loads(chance.choice(journaled)))
        if machine is None:
            continue
        read += 1
        assert dumps(followed(machine, OWN, AT))
        resumed = chance.choice([restored(machine, AT), taken_up(machine, OWN, AT)])
        daemon = Daemon(machine=resumed, at=AT)
        for _ in range(6):
            primary, standby = chance.choice(SIGHTS)
            daemon.at += chance.choice([0.21, 1.0, 40.0])
            daemon.happens(Observed(view(primary, standby, None, daemon.at))).happens(Woke())
            assert dumps(daemon.machine)
            assert not [effect for effect in daemon.asks if isinstance(effect, Promote)]
    assert read > MACHINES / 10
