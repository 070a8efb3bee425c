"""What a server tells for readiness, in one row, by a session of its own; PostgreSQL 13 to 18.

primary_conninfo is never read whole: it may hold a password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from failoverd.core.model import Look
from failoverd.core.survey import Reader, ServerStanding
from failoverd.transport.postgres import Monotonic, SqlAddress, SqlSession, connect

NAMED = "failoverd check"
"""Its application_name: not that of a daemon, which others look for."""
ON_PARAMETER_SINCE = 150000

STANDING = r"""
select current_setting('server_version_num')::int as version,
       current_user::text as role,
       (select jsonb_object_agg(name, setting)::text from pg_settings
         where name in ('wal_log_hints', 'data_checksums', 'full_page_writes', 'max_wal_senders',
                        'max_replication_slots', 'hot_standby', 'recovery_target_timeline',
                        'synchronous_standby_names', 'synchronous_commit', 'fsync',
                        'allow_alter_system', 'wal_keep_size')) as settings,
       array_remove(array[
         case when pg_has_role('pg_monitor', 'usage') then 'pg_monitor' end,
         case when has_function_privilege('pg_catalog.pg_promote(boolean,integer)', 'execute')
              then 'pg_promote' end,
         case when pg_has_role('pg_signal_backend', 'usage') then 'pg_signal_backend' end,
         (select 'pg_checkpoint' from pg_roles
           where rolname = 'pg_checkpoint' and pg_has_role(oid, 'usage'))], null) as privileges,
       (select row_to_json(o)::text
          from (select a.pid, coalesce(a.usename, '') as "user",
                       coalesce(a.application_name, '') as application,
                       extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
                       coalesce(r.rolsuper, false) as superuser
                  from pg_stat_activity a left join pg_roles r on r.oid = a.usesysid
                 where a.backend_type = 'client backend' and a.backend_xmin is not null
                   and a.pid <> pg_backend_pid() and a.xact_start is not null
                 order by a.xact_start limit 1) o) as reader,
       (select array_agg(distinct coalesce(host(client_addr), 'its own host'))
          from pg_stat_activity
         where application_name like 'failoverd/%'
           and client_addr is distinct from inet_client_addr()
           and clock_timestamp() - state_change < interval '30 seconds') as other_daemons,
       coalesce(host(inet_server_addr()), '') as server_address,
       coalesce(inet_server_port(), 0) as server_port,
       case when not pg_is_in_recovery() and pg_has_role('pg_read_all_stats', 'usage')
            then (select sum(pg_database_size(oid))::int8 from pg_database) end as databases_bytes,
       (select coalesce(substring(setting from '.*application_name\s*=\s*''?([^''\s&]+)'),
                        nullif(current_setting('cluster_name'), ''))
          from pg_settings where name = 'primary_conninfo') as own_name,
       (select substring(setting from '(?:^|\s)user\s*=\s*''?([^''\s]+)')
          from pg_settings where name = 'primary_conninfo') as own_user,
       (select setting from pg_settings where name = 'restore_command') as restore_command
"""

BY_PARAMETER = """
select has_parameter_privilege('synchronous_standby_names', 'alter system')
       and has_function_privilege('pg_catalog.pg_reload_conf()', 'execute') as granted
"""


async def server_standing(
    address: SqlAddress, monotonic: Monotonic, timeout_s: float
) -> tuple[Look, ServerStanding | None]:
    """Connect, ask, part; bounded by about three times the limit."""
    look, session = await connect(replace(address, application_name=NAMED), monotonic, timeout_s)
    if session is None:
        return look, None
    try:
        return await _ask(session, timeout_s)
    finally:
        await session.close()


async def _ask(session: SqlSession, timeout_s: float) -> tuple[Look, ServerStanding | None]:
    answer = await session.row(STANDING, timeout_s=timeout_s)
    if not answer.ok:
        return answer.look, None
    found = replace(standing_of(answer.row), certificate_ends_at=session.certificate_ends_at())
    if found.version < ON_PARAMETER_SINCE:
        return answer.look, found
    granted = await session.row(BY_PARAMETER, timeout_s=timeout_s)
    if granted.ok and granted.row["granted"]:
        privileges = found.privileges | {"synchronous_standby_names"}
        found = replace(found, privileges=privileges)
    return answer.look, found


def standing_of(row: Mapping[str, Any]) -> ServerStanding:
    """Read the row of STANDING."""
    reader = json.loads(row["reader"]) if row["reader"] else None
    return ServerStanding(
        version=row["version"],
        settings=json.loads(row["settings"] or "{}"),
        privileges=frozenset(row["privileges"]),
        role=row["role"],
        reader=None if reader is None else Reader(**reader),
        other_daemons=tuple(sorted(row["other_daemons"] or ())),
        server_address=row["server_address"],
        server_port=row["server_port"],
        databases_bytes=row["databases_bytes"],
        own_name=row["own_name"] or "",
        own_user=row["own_user"] or "",
        restore_command=row["restore_command"] or "",
    )
