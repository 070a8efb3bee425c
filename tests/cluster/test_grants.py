"""What `failoverd grants` prints, on every major version that is there."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from failoverd.cli.commands import cli
from failoverd.config.grants import (
    CHECKPOINT_SINCE,
    ON_PARAMETER_SINCE,
    RESERVED_CONNECTIONS_SINCE,
    grants,
    replication_grants,
)
from failoverd.core.model import Outcome
from failoverd.daemon.clock import monotonic
from failoverd.demo import postgres
from failoverd.effect.confirm import DEFAULT_WRITE, LOCAL_WRITE, PRIMARY
from failoverd.effect.equip import CHECKPOINT, SLOTS
from failoverd.effect.fence.stop import STREAMS
from failoverd.effect.last_look import ROLE as IN_RECOVERY
from failoverd.effect.promote import EXPIRES, GUARDED
from failoverd.effect.readers import READERS, TERMINATE
from failoverd.probe.statement import STATUS, WRITE_CHECK, server_facts
from failoverd.transport.postgres import SqlAddress, connect
from tests.cluster import servers

ROLE = "watcher"
PATIENCE_S = 20.0


@pytest.fixture(params=servers.binaries_by_major(), ids=lambda found: f"pg{found.major}")
def binaries(request):
    return request.param


def address(server, role=ROLE):
    return SqlAddress("127.0.0.1", server.port, role, "postgres", lambda: None, "disable")


async def session_of(server, role=ROLE):
    look, session = await connect(address(server, role), monotonic, PATIENCE_S)
    assert session is not None, look
    return session


async def test_the_role_sees_what_it_must_and_may_promote_and_nothing_more(
    binaries, grounds, room, running
):
    primary = running(servers.start_primary(grounds(binaries), room))
    postgres.sql(primary, grants(binaries.major, ROLE))
    session = await session_of(primary)
    answer = await session.row(STATUS, timeout_s=PATIENCE_S)
    facts = server_facts(answer.row, answer.look.began_at)
    assert facts.version // 10000 == binaries.major
    assert facts.data_directory == str(primary.data_dir.resolve())
    assert facts.receiver_readable
    assert (await session.run(WRITE_CHECK, timeout_s=PATIENCE_S)).ok
    await session.close()
    rights = postgres.sql(
        primary,
        f"select rolsuper, rolcreaterole, rolcreatedb, rolreplication,"
        f" has_function_privilege('{ROLE}', 'pg_promote(boolean, integer)', 'execute'),"
        f" has_function_privilege('{ROLE}', 'pg_reload_conf()', 'execute')"
        f" from pg_roles where rolname = '{ROLE}'",
    )
    assert rights.strip() == "f|f|f|f|t|f"


async def test_every_statement_of_a_failover_is_allowed_to_the_role(
    binaries, grounds, room, running
):
    primary = running(servers.start_primary(grounds(binaries), room))
    postgres.sql(primary, grants(binaries.major, ROLE))
    standby = running(servers.start_standby(grounds(binaries), room, primary))
    session = await session_of(standby)
    seen = (await session.row(STATUS, timeout_s=PATIENCE_S)).row
    facts = server_facts(seen, monotonic())
    assert facts.receiver_readable
    assert facts.receiver is not None
    assert facts.receiver.status == "streaming"
    streams = await session.row(STREAMS, "127.0.0.1", primary.port, timeout_s=PATIENCE_S)
    assert streams.row["streams"] == 1
    assert (await session.row(IN_RECOVERY, timeout_s=PATIENCE_S)).row["in_recovery"]

    postgres.kill(primary)
    postgres.sql(standby, "alter system set primary_conninfo = '';")
    postgres.sql(standby, "select pg_reload_conf();")
    postgres.wait_for(
        lambda: postgres.sql(standby, "select count(*) from pg_stat_wal_receiver;") == "0",
        "the standby to be detached",
    )
    expires = (await session.row(EXPIRES, timeout_s=PATIENCE_S)).row["at"]
    guard = (seen["system_identifier"], "0/0", "", expires)
    asked = await session.row(GUARDED, *guard, timeout_s=PATIENCE_S)
    assert asked.ok, asked.look
    assert asked.row["asked"]
    postgres.wait_for(lambda: not servers.in_recovery(standby), "the promotion")
    assert (await session.row(PRIMARY, timeout_s=PATIENCE_S)).row["timeline"] == 2
    for write in (LOCAL_WRITE, DEFAULT_WRITE):
        assert (await session.run(write, timeout_s=PATIENCE_S)).ok
    await session.close()


NOT_NEEDED = (
    "alter system set primary_conninfo = ''",
    "alter system set synchronous_standby_names = ''",
    "select pg_reload_conf()",
    "create table public.mine ()",
    "create role another",
    "select pg_read_file('postgresql.conf')",
    "select * from public.secret",
    "select pg_create_physical_replication_slot('mine')",
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where usename = 'postgres' and backend_type = 'client backend'",
    "alter system set synchronous_commit = off",
)


async def test_what_a_promotion_needs_beside_it_is_allowed(binaries, grounds, room, running):
    primary = running(servers.start_primary(grounds(binaries), room))
    postgres.sql(primary, grants(binaries.major, ROLE) + "create role app login;")
    session, app = await session_of(primary), await session_of(primary, "app")
    pid = (await app.row("select pg_backend_pid() as pid", timeout_s=PATIENCE_S)).row["pid"]
    ended = await session.row(TERMINATE, [pid], timeout_s=PATIENCE_S)
    assert ended.row["done"], ended.look
    assert (await session.row(READERS, timeout_s=PATIENCE_S)).ok
    may = binaries.major >= CHECKPOINT_SINCE
    assert (await session.run(CHECKPOINT, timeout_s=PATIENCE_S)).ok is may
    assert (await session.row(SLOTS, timeout_s=PATIENCE_S)).ok
    await session.close()
    app.terminate()


async def test_the_one_setting_of_managed_mode_may_be_set_where_a_version_can_grant_it(
    binaries, grounds, room, running
):
    primary = running(servers.start_primary(grounds(binaries), room))
    postgres.sql(primary, grants(binaries.major, ROLE, managed=True))
    session = await session_of(primary)
    may = binaries.major >= ON_PARAMETER_SINCE
    for statement in (
        """alter system set synchronous_standby_names = 'ANY 1 ("pg2")'""",
        "alter system set synchronous_standby_names = ''",
        "select pg_reload_conf()",
    ):
        assert (await session.run(statement, timeout_s=PATIENCE_S)).ok is may, statement
    assert not (await session.run("alter system set port = 1", timeout_s=PATIENCE_S)).ok
    await session.close()


async def refused_each(primary, statements):
    """And the session of a superuser, which one of them would end, is left alone."""
    postgres.sql(primary, "create table secret (); revoke create on schema public from public;")
    other = await session_of(primary, postgres.SUPERUSER)
    session = await session_of(primary)
    for statement in statements:
        answer = await session.run(statement, timeout_s=PATIENCE_S)
        assert "42501" in answer.look.detail, (statement, answer.look)
    assert (await other.run("select", timeout_s=PATIENCE_S)).ok
    await session.close()
    await other.close()


async def test_what_is_not_needed_is_refused(ground, room, running):
    primary = running(servers.start_primary(ground, room))
    postgres.sql(primary, grants(ground.binaries.major, ROLE))
    await refused_each(primary, NOT_NEEDED)


NOT_FOR_REPLICATION = (
    "alter system set primary_conninfo = ''",
    "select pg_reload_conf()",
    "create table public.mine ()",
    "create role another",
    "select * from public.secret",
    "select pg_promote()",
    "select pg_read_file('postgresql.conf')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
)


async def test_the_role_that_nodes_replicate_by_may_do_that_and_nothing_more(
    binaries, grounds, room, running
):
    """That it is enough is tried by every test that brings an old primary back."""
    primary = running(servers.start_primary(grounds(binaries), room))
    postgres.sql(primary, replication_grants(ROLE))
    await refused_each(primary, NOT_FOR_REPLICATION)


def test_both_roles_are_printed_where_both_are_asked_for_and_are_taken_together(
    ground, room, running
):
    primary = running(servers.start_primary(ground, room))
    words = ["grants", "--version", str(ground.binaries.major), "--replication", "replicator"]
    printed = CliRunner().invoke(cli, words)
    assert printed.exit_code == 0, printed.output
    postgres.sql(primary, printed.output)
    roles = "select rolname || rolreplication from pg_roles where rolcanlogin and not rolsuper"
    assert set(postgres.sql(primary, roles).split()) == {"failoverdfalse", "replicatortrue"}
    refused = CliRunner().invoke(cli, ["grants", "--replication", "two\nlines"])
    assert refused.exit_code == 2
    assert "--replication: a role's name is one line of text" in refused.output


async def test_no_function_of_another_user_is_taken_for_one_of_postgresql(ground, room, running):
    primary = running(servers.start_primary(ground, room))
    postgres.sql(primary, grants(ground.binaries.major, ROLE))
    # As the database has it, a function in public comes before PostgreSQL's own.
    postgres.sql(
        primary,
        "create function public.now() returns text language sql as $$ select 'stolen' $$;"
        "create function public.trap() returns text language sql as $$ select 'stolen' $$;"
        "alter database postgres set search_path = public, pg_catalog;",
    )
    session = await session_of(primary)
    path = await session.row("select current_setting('search_path') as path", timeout_s=PATIENCE_S)
    assert path.row["path"] == "pg_catalog"
    stolen = await session.row("select now()::text as now", timeout_s=PATIENCE_S)
    assert stolen.row["now"] != "stolen"
    assert not (await session.row("select trap()", timeout_s=PATIENCE_S)).ok
    await session.close()


async def test_a_server_without_free_slots_is_still_watched_where_some_are_reserved(
    binaries, grounds, room, running
):
    if binaries.major < RESERVED_CONNECTIONS_SINCE:
        pytest.skip("reserved_connections came with PostgreSQL 16")
    ground = grounds(binaries)
    settings = {"max_connections": "8", "reserved_connections": "2"}
    primary = running(servers.start_primary(ground, room, **settings))
    postgres.sql(primary, grants(binaries.major, ROLE))
    postgres.sql(primary, "create role app login;")
    taken = [await session_of(primary, "app") for _ in range(3)]
    refused, none = await connect(address(primary, "app"), monotonic, PATIENCE_S)
    assert none is None
    assert refused.outcome is Outcome.TOO_MANY_CONNECTIONS, refused
    watching = await session_of(primary)
    assert (await watching.row(STATUS, timeout_s=PATIENCE_S)).ok
    for session in (*taken, watching):
        await session.close()


def test_a_role_may_have_any_name_and_a_name_may_not_end_the_statement(ground, room, running):
    primary = running(servers.start_primary(ground, room))
    odd = 'Wat"cher; --'
    postgres.sql(primary, grants(ground.binaries.major, odd))
    assert postgres.sql(primary, "select rolname from pg_roles where rolname ~ 'Wat';") == odd
    with pytest.raises(ValueError, match="one line of text"):
        grants(17, "watcher\nDROP TABLE accounts")


def test_a_script_that_fails_leaves_nothing_behind(ground, room, running):
    primary = running(servers.start_primary(ground, room))
    postgres.sql(primary, f"create role {ROLE};")
    with pytest.raises(postgres.PostgresFailed, match="already exists"):
        postgres.sql(primary, grants(ground.binaries.major, ROLE))
    assert postgres.sql(primary, f"select rolcanlogin from pg_roles where rolname='{ROLE}';") == "f"


@pytest.mark.parametrize("major", [12, 19])
def test_a_version_that_nobody_tried_is_refused(major):
    with pytest.raises(ValueError, match="13 to 18"):
        grants(major, ROLE)
