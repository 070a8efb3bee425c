"""A command of the operator's own leads the applications, and is asked where it can be."""

from __future__ import annotations

import json

import pytest

from failoverd.core.events import EffectFailed, Redirected
from failoverd.effect.redirect.target import look_at
from failoverd.effect.way import OwnWay
from tests.unit.vocabulary import PG2
from tests.unit.ways import WAY, led, world


def own(tmp_path, text, *, check=False, timeout_s=5.0):
    script = tmp_path / "redirect"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return OwnWay((str(script), "word"), check, timeout_s)


async def test_a_command_is_told_everything_in_its_environment_and_as_json(tmp_path):
    text = f'env >{tmp_path}/env; cat >{tmp_path}/json; echo "moved with $1"'
    result = await led(own(tmp_path, text))
    assert isinstance(result, Redirected)
    assert result.evidence.sentence.endswith("ended with 0: moved with word")
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert environment["FAILOVERD_PRIMARY"] == "pg2"
    assert environment["FAILOVERD_ACTION"] == "redirect"
    assert environment["FAILOVERD_HOST"] == "192.0.2.12"
    assert environment["FAILOVERD_EPOCH"] == "3"
    assert "VIRTUAL_ENV" not in environment
    told = json.loads((tmp_path / "json").read_text())
    assert told["nodes"]["pg1"] == {"host": "192.0.2.11", "port": 5432}
    assert told["cluster"] == "main"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo no; exit 3", "ended with 3: no"),
        ("exec sleep 600", "did not end: no end within 0.3 s: it was killed"),
    ],
)
async def test_a_command_that_fails_or_hangs_has_led_nobody(tmp_path, text, why):
    result = await led(own(tmp_path, text, timeout_s=0.3 if "sleep" in text else 5.0))
    assert isinstance(result, EffectFailed)
    assert why in result.evidence.sentence


async def test_a_command_with_a_check_is_asked_and_without_one_never(tmp_path):
    assert await look_at(WAY, world(own(tmp_path, "exit 0"))) is None
    text = f"[ $FAILOVERD_ACTION = redirect ] && touch {tmp_path}/done; [ -e {tmp_path}/done ]"
    way = own(tmp_path, text, check=True)
    before = await look_at(WAY, world(way))
    assert before is not None
    assert before.look.ok
    assert not before.points_at
    assert isinstance(await led(way), Redirected)
    after = await look_at(WAY, world(way))
    assert after is not None
    assert after.leads_to(PG2)
