"""Freezing, thawing and promoting a real standby through its host, on every major version here."""

import os

import pytest

from failoverd.demo import postgres
from tests.cluster import servers
from tests.cluster.servers import ask_about

SETTINGS = (
    "primary_conninfo",
    "primary_slot_name",
    "max_standby_archive_delay",
    "max_standby_streaming_delay",
)


def auto_conf(server):
    """The settings in force in postgresql.auto.conf, as the last line for each says."""
    lines = (server.data_dir / "postgresql.auto.conf").read_text().splitlines()
    pairs = (line.partition(" = ") for line in lines if " = " in line)
    return {name: value for name, _, value in pairs}


@pytest.fixture(params=servers.binaries_by_major(), ids=lambda found: f"postgresql-{found.major}")
def pair(request, grounds, room, running):
    ground = grounds(request.param)
    primary = running(servers.start_primary(ground, room))
    return primary, running(servers.start_standby(ground, room, primary))


def restoring(saved):
    return {f"restore_{name.removeprefix('saved_')}": values[0] for name, values in saved.items()}


async def settings_of(asked):
    answer = await asked.act("settings")
    assert answer.done, answer.run.output
    return {name: values for name, values in answer.fields.items() if name.startswith("saved_")}


async def test_a_frozen_standby_stands_still_and_a_thawed_one_streams_again(pair):
    primary, standby = pair
    postgres.sql(standby, "alter system set max_standby_streaming_delay = '17s';")
    postgres.sql(standby, "alter system set primary_slot_name = '';")
    before = auto_conf(standby)
    asked = ask_about(standby)
    saved = await settings_of(asked)
    assert set(saved) == {
        "saved_primary_conninfo_b64",
        "saved_primary_slot_name_b64",
        "saved_max_standby_archive_delay_unset",
        "saved_max_standby_streaming_delay_b64",
    }
    assert auto_conf(standby) == before

    frozen = await asked.act("freeze")
    assert frozen.done, frozen.run.output
    assert frozen.field("timeline") == "1"
    postgres.sql(primary, "create table later ();")
    where = "select pg_last_wal_receive_lsn(), (select count(*) from pg_stat_wal_receiver);"
    assert postgres.sql(standby, where) == f"{frozen.field('position')}|0"
    shown = (
        "select string_agg(current_setting(name), '|' order by name) from pg_settings"
        f" where name in {SETTINGS};"
    )
    assert postgres.sql(standby, shown) == "0|0||failoverd_frozen_7"

    again = await asked.act("freeze")
    assert again.field("position") == frozen.field("position")
    taken_up = await asked.act("freeze", owner="test.9")
    assert taken_up.field("position") == frozen.field("position")
    assert postgres.sql(standby, shown) == "0|0||failoverd_frozen_7_9"
    unknown = await asked.act("settings")
    assert (unknown.exit_status, unknown.field("already_frozen")) == (11, "yes")

    short = await asked.act("thaw", restore_primary_conninfo_b64="")
    assert short.exit_status == 16
    thawed = await asked.act("thaw", **restoring(saved))
    assert (thawed.exit_status, thawed.field("verdict")) == (0, "thawed")
    assert auto_conf(standby) == before
    postgres.wait_until_streaming(primary, standby)


def statements_with_the_secret(server):
    """Aside from what every reload writes: that a parameter has changed, and to what."""
    lines = server.log.read_text().splitlines()
    return [line for line in lines if "secret" in line and "changed to" not in line]


async def test_settings_with_quotes_come_back_as_they_were_and_are_never_told(pair):
    _, standby = pair
    conninfo = "host=127.0.0.1 password='it''s \\\\ a \"secret\"' application_name=pg2"
    postgres.sql(standby, f"alter system set primary_conninfo = {postgres.quoted(conninfo)};")
    postgres.sql(standby, "alter system set log_statement = 'all'; select pg_reload_conf();")
    before = auto_conf(standby)
    asked = ask_about(standby)
    saved = await settings_of(asked)
    assert (await asked.act("freeze")).done
    told_before = statements_with_the_secret(standby)
    thawed = await asked.act("thaw", **restoring(saved))
    assert thawed.done
    assert auto_conf(standby) == before
    assert statements_with_the_secret(standby) == told_before
    assert saved["saved_primary_conninfo_b64"][0] not in repr(thawed) + thawed.run.command


async def test_a_freeze_that_was_cut_off_half_way_is_undone(standby):
    asked = ask_about(standby)
    before = auto_conf(standby)
    saved = await settings_of(asked)
    postgres.sql(standby, "alter system set primary_slot_name = 'failoverd_frozen_6';")
    postgres.sql(standby, "alter system set primary_conninfo = '';")
    assert (await asked.act("thaw", **restoring(saved))).field("verdict") == "thawed"
    assert auto_conf(standby) == before


async def test_thawing_what_is_not_frozen_changes_nothing(standby):
    before = auto_conf(standby)
    unset = {f"restore_{name}_unset": "yes" for name in SETTINGS}
    answer = await ask_about(standby).act("thaw", **unset)
    assert (answer.exit_status, answer.field("verdict")) == (0, "not_frozen")
    assert auto_conf(standby) == before


async def test_a_standby_of_another_cluster_on_the_port_that_was_configured_is_left_alone(
    ground, room, standby, running
):
    other = ground.server("other", room)
    postgres.initdb(other)
    postgres.write_settings(other)
    postgres.start(running(other))
    postgres.stop(other)
    signal_file, owner = other.data_dir / "standby.signal", other.data_dir.stat()
    signal_file.touch()
    os.chown(signal_file, owner.st_uid, owner.st_gid)
    postgres.start(other)
    before = auto_conf(other)
    there = {"port": str(other.port), "socket_dir": str(other.socket_dir)}
    frozen = await ask_about(standby).act("freeze", **there)
    assert "another cluster" in frozen.field("reason")
    assert not frozen.done
    assert auto_conf(other) == before


async def test_a_primary_is_never_frozen(primary):
    before = auto_conf(primary)
    answer = await ask_about(primary).act("freeze")
    assert (answer.exit_status, answer.field("verdict")) == (11, "not_frozen")
    assert auto_conf(primary) == before


READY = "database system is ready to accept connections"


async def test_only_a_standby_frozen_for_this_epoch_is_promoted_and_its_log_tells(standby):
    asked = ask_about(standby)
    refused = await asked.act("promote")
    assert (refused.exit_status, refused.field("verdict")) == (11, "not_promoted")
    assert (await asked.act("freeze")).done
    size = (await asked.call("log", server_log=str(standby.log))).field("size")
    assert (await asked.act("promote", epoch="8")).exit_status == 11
    assert (await asked.act("promote", epoch="8", incident="8")).exit_status == 11
    assert (await asked.act("freeze", epoch="8")).done
    assert (await asked.act("promote", epoch="8")).field("verdict") == "asked"
    servers.wait_until(lambda: not servers.in_recovery(standby), "the promotion")
    servers.wait_until(lambda: READY in standby.log.read_text(), "the last line of a promotion")
    log = await asked.call("log", server_log=str(standby.log), since=size)
    assert 2 <= len(log.fields["line_b64"]) <= 20
    rest = await asked.call("log", server_log=str(standby.log), since=log.field("size"))
    assert "line_b64" not in rest.fields
    rotated = await asked.call("log", server_log=str(standby.log), since="999999999")
    assert rotated.fields["line_b64"] == log.fields["line_b64"]
    unreadable = await asked.call("log", server_log="/nowhere/log")
    assert (unreadable.done, unreadable.field("readable")) == (True, "no")
    nameless = await asked.call("log")
    assert (nameless.done, nameless.field("readable")) == (True, "no")
