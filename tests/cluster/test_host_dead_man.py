"""The dead-man on every major version here: asks a real standby, and fires when it is gone."""

import shutil
import time
from pathlib import Path

import pytest

from failoverd.demo import postgres
from tests.cluster import servers
from tests.cluster.servers import ask_about
from tests.waiting import in_vain

LIMIT_S = 60


@pytest.fixture(params=servers.binaries_by_major(), ids=lambda found: f"postgresql-{found.major}")
def pair(request, grounds, room, running):
    ground = grounds(request.param)
    primary = running(servers.start_primary(ground, room))
    return primary, running(servers.start_standby(ground, room, primary))


async def armed(asked, **more):
    facts = await asked.facts()
    sent = str(int(facts.uptime_s * 100))
    standbys = "it's another\npg2"
    times = {"ttl": "100", "hold": "400"}
    answer = await asked.act("dead_man_arm", sent=sent, standbys=standbys, **times, **more)
    assert answer.done, answer.run.output
    assert "dead_man_watch" not in answer.run.command
    assert int(answer.field("armed_postmaster_pid")) == facts.postmaster_pid
    return answer


async def ended(asked):
    """How it ended, once its process has."""
    until = time.monotonic() + LIMIT_S
    while (answer := await asked.call("dead_man_status")).field("watching") == "yes":
        if time.monotonic() > until:
            raise in_vain(LIMIT_S, "it has ended", answer.run.output)
        assert answer.done
    return answer.field("verdict")


def forget(name):
    for folder in Path("/dev/shm").glob(f"failoverd-dead-man.*/{name}"):
        shutil.rmtree(folder)


@pytest.fixture
async def asked(pair):
    """About the primary; what the dead-man keeps of it is removed."""
    by_nobody = ask_about(pair[0])
    identifier = (await by_nobody.facts()).system_identifier
    yield servers.Asked(by_nobody.host, {**by_nobody.arguments, "system_identifier": identifier})
    forget(f"{identifier}.{pair[0].port}")


async def test_a_standby_that_answers_keeps_it_from_firing_and_one_that_is_gone_does_not(
    pair, asked
):
    primary, standby = pair
    await armed(asked)
    assert await ended(asked) == "disarmed"
    assert postgres.sql(primary, "select pg_is_in_recovery();") == "f"
    postgres.stop(standby)
    await armed(asked)
    assert await ended(asked) == "fired"
    assert postgres.processes(primary) == ()
    assert (primary.data_dir / "standby.signal").exists()
    assert (primary.data_dir / "failoverd.guard").exists()


async def test_it_is_armed_and_disarmed_with_good_right_only(asked):
    for verb in ("dead_man_arm", "dead_man_renew", "dead_man_disarm"):
        more = {"sent": "1", "ttl": "100", "hold": "400", "standbys": "pg2"}
        late = await asked.act(verb, **more, expires="1")
        assert (late.exit_status, late.field("verdict")) == (15, "expired")
        booted = await asked.act(verb, **more, boot_id="00000000-0000-0000-0000-000000000000")
        assert booted.exit_status == 15
    wrong = await asked.act("dead_man_arm", **more, system_identifier="1234567890123456789")
    assert (wrong.exit_status, wrong.field("verdict")) == (10, "wrong_cluster")
    nobody = await asked.act("dead_man_arm", **{**more, "standbys": ""})
    assert nobody.exit_status == 16
    assert (await asked.call("dead_man_status")).field("verdict") == "not_armed"


async def test_one_whose_folder_has_vanished_is_not_said_to_be_disarmed_while_it_watches(
    pair, asked
):
    await armed(asked)
    forget(f"{asked.arguments['system_identifier']}.{pair[0].port}")
    refused = await asked.act("dead_man_disarm")
    assert (refused.exit_status, refused.field("verdict")) == (11, "not_disarmed")
    assert "its folder has vanished" in refused.field("reason")
    assert (await asked.call("dead_man_status")).field("verdict") == "lost"
    assert await ended(asked) == "not_armed"
    assert (await asked.act("dead_man_disarm")).field("verdict") == "disarmed"
