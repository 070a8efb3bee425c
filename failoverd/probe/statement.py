"""The one statement that asks a server everything, in one row, on PostgreSQL 13 to 18.

The timeline is that of the WAL being written (from the name of its file): the control
file is stale for seconds after a promotion. Source: PostgreSQL documentation, "System
Administration Functions", "The Cumulative Statistics System".
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from failoverd.core.model import (
    Instant,
    Lsn,
    ServerFacts,
    SystemIdentifier,
    Timeline,
)
from failoverd.core.replication import Receiver, Sender, Slot

STATUS = r"""
select (select system_identifier::text from pg_control_system()) as system_identifier,
       r.in_recovery,
       current_setting('server_version_num')::int as version,
       floor(extract(epoch from pg_postmaster_start_time()))::bigint::text as started,
       pg_backend_pid() as backend_pid,
       case when r.told then current_setting('data_directory') end as data_directory,
       case when r.in_recovery then null else pg_current_wal_lsn() end::text as written_lsn,
       case when r.in_recovery
            then (select received_tli from pg_stat_wal_receiver)
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
       end as timeline,
       greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text as received_lsn,
       pg_last_wal_replay_lsn()::text as replayed_lsn,
       case when r.in_recovery then pg_is_wal_replay_paused() else false end as replay_paused,
       r.in_recovery and not exists (select from pg_stat_wal_receiver)
         and coalesce(pg_last_wal_receive_lsn() < pg_last_wal_replay_lsn(), true)
         as position_unknown,
       jsonb_build_object(
         'max_connections', current_setting('max_connections')::int,
         'max_worker_processes', current_setting('max_worker_processes')::int,
         'max_wal_senders', current_setting('max_wal_senders')::int,
         'max_prepared_transactions', current_setting('max_prepared_transactions')::int,
         'max_locks_per_transaction', current_setting('max_locks_per_transaction')::int
       )::text as limits,
       current_setting('default_transaction_read_only') = 'on' as read_only,
       (select row_to_json(w)::text
          from (select status, sender_host, sender_port,
                       extract(epoch from clock_timestamp() - last_msg_receipt_time)::float8 as age
                  from pg_stat_wal_receiver) w) as receiver,
       (select coalesce(json_agg(s), '[]')::text
          from (select a.application_name, a.client_addr::text as client_address, w.state,
                       w.sync_state, w.flush_lsn::text as flush_lsn
                  from pg_stat_get_wal_senders() w, pg_stat_get_activity(w.pid) a) s) as senders,
       (select coalesce(json_agg(l), '[]')::text
          from (select slot_name, active, wal_status,
                       (case when r.in_recovery then pg_last_wal_receive_lsn()
                             else pg_current_wal_lsn() end - restart_lsn)::int8 as retained,
                       slot_type = 'logical' as logical, temporary,
                       coalesce(to_jsonb(s) ->> 'failover', 'false')::bool as failover,
                       coalesce(to_jsonb(s) ->> 'synced', 'false')::bool as synced
                  from pg_get_replication_slots() s order by slot_name) l) as slots,
       current_setting('synchronous_standby_names') as synchronous_standby_names,
       case when r.in_recovery or current_setting('synchronous_standby_names') = '' then 0
            else (select count(*)::int from pg_stat_get_activity(null)
                   where wait_event = 'SyncRep') end as sync_waiters,
       current_setting('primary_slot_name') as primary_slot_name,
       (extract(epoch from current_setting('recovery_min_apply_delay')::interval) * 1000)::int
         as apply_delay,
       concat(current_setting('recovery_target'), current_setting('recovery_target_time'),
              current_setting('recovery_target_xid'), current_setting('recovery_target_lsn'),
              current_setting('recovery_target_name')) <> '' as recovery_target,
       (select jsonb_build_object(
                 'host', coalesce(substring(c from '^postgres(?:ql)?://(?:[^@/]*@)?\[?([^]/:?]+)'),
                                  substring(c from '(?:^|\s)host\s*=\s*''?([^''\s]+)'),
                                  substring(c from '(?:^|\s)hostaddr\s*=\s*''?([^''\s]+)')),
                 'port', coalesce(substring(c from '^postgres(?:ql)?://[^/?]*:(\d+)(?:[/?]|$)'),
                                  substring(c from '(?:^|\s)port\s*=\s*''?(\d+)''?(?:\s|$)')))::text
          from (select current_setting('primary_conninfo') as c where r.told) s
       ) as upstream,
       case when r.in_recovery
            then extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8
       end as replay_lag
  from (select pg_is_in_recovery() as in_recovery,
               pg_has_role('pg_read_all_settings', 'usage') as told) r
"""
"""Settings by `current_setting`: each scan of pg_settings takes a third of a millisecond of the
server. What needs a privilege is null without it, as a row of pg_settings would be missing.

The functions beneath pg_stat_replication, pg_stat_activity and pg_replication_slots, and not the
views: they hide from a role what the views hide, and the names of roles and databases that the
views join to them are not wanted here. Nobody waits for a standby where none is named."""

WRITE_CHECK = """
begin;
set local synchronous_commit = local;
select pg_logical_emit_message(true, 'failoverd', 'write check');
commit
"""
"""A durable local commit that needs no table and waits for no standby."""


def server_facts(row: Mapping[str, Any], seen_at: Instant) -> ServerFacts:
    """Read the row of STATUS.

    `seen_at` is when the statement was sent: the later moments
    that it speaks of cannot be told apart, and evidence must not be dated too young.
    """
    receiver = json.loads(row["receiver"]) if row["receiver"] else None
    upstream_host, upstream_port = _upstream(row["upstream"])
    readable = receiver is None or receiver["status"] is not None
    return ServerFacts(
        seen_at=seen_at,
        system_identifier=SystemIdentifier(row["system_identifier"]),
        in_recovery=row["in_recovery"],
        timeline=Timeline(row["timeline"] or 0),
        version=row["version"],
        postmaster_started=row["started"],
        backend_pid=row["backend_pid"],
        data_directory=row["data_directory"] or "",
        written_lsn=_lsn(row["written_lsn"]),
        received_lsn=_lsn(row["received_lsn"]),
        replayed_lsn=_lsn(row["replayed_lsn"]),
        replay_paused=row["replay_paused"],
        limits=_limits(row["limits"]),
        position_unknown=row["position_unknown"],
        read_only=row["read_only"] and not row["in_recovery"],
        receiver=_receiver(receiver) if readable else None,
        receiver_readable=readable,
        senders=_senders(row["senders"]),
        slots=_slots(row["slots"]),
        synchronous_standby_names=row["synchronous_standby_names"],
        sync_waiters=row["sync_waiters"],
        primary_slot_name=row["primary_slot_name"],
        apply_delay_ms=row["apply_delay"] or 0,
        recovery_target=row["recovery_target"],
        replay_lag_s=row["replay_lag"],
        upstream_host=upstream_host,
        upstream_port=upstream_port,
    )


# What hardly ever changes is read once.


@functools.lru_cache(maxsize=1024)
def _limits(said: str) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(json.loads(said).items()))


@functools.lru_cache(maxsize=4096)
def _upstream(said: str | None) -> tuple[str, int]:
    found = json.loads(said) if said else {}
    return found.get("host") or "", int(found.get("port") or 5432)


def _senders(said: str) -> tuple[Sender, ...]:
    return () if said == "[]" else tuple(_sender(sender) for sender in json.loads(said))


def _slots(said: str) -> tuple[Slot, ...]:
    return () if said == "[]" else tuple(_slot(slot) for slot in json.loads(said))


def _lsn(text: str | None) -> Lsn | None:
    return Lsn.parse(text) if text else None


def _receiver(row: Mapping[str, Any] | None) -> Receiver | None:
    if row is None:
        return None
    return Receiver(row["status"], row["sender_host"] or "", row["sender_port"] or 0, row["age"])


def _slot(row: Mapping[str, Any]) -> Slot:
    return Slot(
        name=row["slot_name"],
        active=row["active"],
        wal_status=row["wal_status"] or "",
        retained_bytes=row["retained"],
        logical=row["logical"],
        failover=row["failover"],
        synced=row["synced"],
        temporary=row["temporary"],
    )


def _sender(row: Mapping[str, Any]) -> Sender:
    return Sender(
        application_name=row["application_name"] or "",
        client_address=row["client_address"] or "",
        state=row["state"] or "",
        sync_state=row["sync_state"] or "",
        flush_lsn=_lsn(row["flush_lsn"]),
    )
