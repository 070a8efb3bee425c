"""What `failoverd grants` prints, on every major version that is there."""

from __future__ import annotations

import pytest

from failoverd.config.grants import grants
from failoverd.daemon.clock import monotonic
from failoverd.demo import postgres
from failoverd.probe.statement import STATUS, WRITE_CHECK, server_facts
from failoverd.transport.postgres import SqlAddress, connect
from tests.cluster import servers

ROLE = "watcher"


@pytest.mark.parametrize("binaries", servers.binaries_by_major(), ids=lambda b: f"pg{b.major}")
async def test_the_role_sees_what_it_must_and_may_promote_and_nothing_more(
    binaries, grounds, room, running
):
    primary = running(servers.start_primary(grounds(binaries), room))
    postgres.sql(primary, grants(binaries.major, ROLE))
    address = SqlAddress("127.0.0.1", primary.port, ROLE, "postgres", lambda: None, "disable")
    look, session = await connect(address, monotonic, 5)
    assert session is not None, look
    answer = await session.row(STATUS, timeout_s=5)
    facts = server_facts(answer.row, answer.look.began_at)
    assert facts.version // 10000 == binaries.major
    assert facts.data_directory == str(primary.data_dir.resolve())
    assert facts.receiver_readable
    assert (await session.run(WRITE_CHECK, timeout_s=5)).ok
    await session.close()
    rights = postgres.sql(
        primary,
        f"select rolsuper, rolcreaterole, rolcreatedb, rolreplication,"
        f" has_function_privilege('{ROLE}', 'pg_promote(boolean, integer)', 'execute'),"
        f" has_function_privilege('{ROLE}', 'pg_reload_conf()', 'execute')"
        f" from pg_roles where rolname = '{ROLE}'",
    )
    assert rights.strip() == "f|f|f|f|t|f"
