"""Checks: programs, disks and surroundings of each database host."""

from __future__ import annotations

import re

from failoverd.core.checks.row import OfHost, OfNode, Row
from failoverd.core.judged import Judged, fault, fine, megabytes, untold, worry
from failoverd.core.model import NodeName
from failoverd.core.policy import Mode, Policy
from failoverd.core.survey import HostStanding, Survey

LEAST_WAL, LITTLE_WAL = 128 << 20, 1 << 30
NEEDED = ("pg_ctl", "pg_controldata", "pg_isready", "psql")
SALVAGING = ("pg_waldump",)
REJOINING = ("pg_rewind", "pg_basebackup")
_MAJOR = re.compile(r"\(PostgreSQL\)\s+(\d+)")


def server_tools(s: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    for tool in _wanted(s.policy):
        told = host.tools.get(tool, "")
        found = _MAJOR.search(told)
        if not told:
            said = f"{tool} is not in bin_dir"
        elif found is None or int(found[1]) != host.major:
            said = f"{tool} is {told}, and the data directory of PostgreSQL {host.major}"
        else:
            continue
        if tool in REJOINING:
            return worry(f"{said}: it could not be brought back", _install(node, host.major))
        return fault(said, _install(node, host.major))
    return fine(f"the programs of PostgreSQL {host.major} are there")


def _wanted(policy: Policy) -> tuple[str, ...]:
    salvaging = SALVAGING if policy.salvage else ()
    return (*NEEDED, *salvaging, *(REJOINING if policy.can_rejoin else ()))


def _install(node: NodeName, major: int) -> str:
    return (
        f"on {node}: apt-get install postgresql-{major}   # dnf: postgresql{major}-server; and set"
        " postgres.bin_dir to its bin directory"
    )


def local_sql(s: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    if not host.local_sql:
        return fine("its owner may use SQL over the Unix socket")
    if node not in s.servers:
        # A server that is starting up or down refuses everybody, which is told elsewhere.
        return untold(f"SQL did not answer, here as there: {host.local_sql}")
    return fault(
        f"its owner may not use SQL over the Unix socket: {host.local_sql}",
        f"on {node}: sed -i '1i local all postgres peer' \"$PGDATA/pg_hba.conf\" && pg_ctl reload"
        "   # and see postgres.socket_dir, postgres.superuser",
    )


def epoch_kept(s: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    if not host.epoch_kept:
        return fine("it can keep the epoch of a failover")
    return fault(
        f"it cannot keep the epoch of a failover, so that nothing would be done: {host.epoch_kept}",
        f"on {node}: install -d -o {host.user} -m 700 ~{host.user}/.failoverd   # or set"
        " postgres.host_state_dir",
    )


def disk_space(s: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    free = host.wal_free_bytes
    grow = f"enlarge the file system of pg_wal on {node}, or drop what holds WAL back"
    if free is not None and free < LEAST_WAL:
        return fault(f"only {megabytes(free)} are free for WAL", grow)
    if free is not None and free < LITTLE_WAL:
        return worry(f"only {megabytes(free)} are free for WAL", grow)
    size = _size(s)
    room = host.data_free_bytes
    if s.policy.can_rejoin and size is not None and room is not None and room < size:
        return worry(
            f"{megabytes(room)} are free beside {megabytes(size)} of data: it could not be copied"
            " anew beside the old copy",
            f"enlarge the file system of the data directory on {node}",
        )
    return fine(f"{megabytes(free)} are free for WAL") if free is not None else None


def _size(s: Survey) -> int | None:
    primary = None if s.primary is None else s.servers.get(s.primary)
    return None if primary is None else primary.databases_bytes


def unit_restart(s: Survey, node: NodeName, host: HostStanding) -> Judged | None:
    if not host.unit:
        return None
    if not host.unit_loaded:
        return fault(
            f"systemd knows no unit {host.unit}: it could neither be stopped nor kept down",
            f"on {node}: systemctl list-units 'postgresql*'   # and set postgres.service to it",
        )
    if host.restart in ("", "no"):
        return fine(f"{host.unit} is not started again behind our back")
    folder = f"/etc/systemd/system/{host.unit.removesuffix('.service')}.service.d"
    return worry(
        f"{host.unit} has Restart={host.restart}: what is stopped is started again; the guard keeps"
        " it read-only, and the failover waits for that",
        f"on {node}: mkdir -p {folder}; printf '[Service]\\nRestart=no\\n' >"
        f" {folder}/failoverd.conf; systemctl daemon-reload",
    )


def other_manager(s: Survey, node: NodeName) -> Judged | None:
    found = s.memory.other_managers.get(node, "")
    if not found:
        return fine("nobody else manages failover there")
    if s.policy.mode is Mode.OBSERVE:
        return fine(f"{found} runs there, and we only observe")
    return fault(
        f"{found} runs there: two would undo each other's fences",
        f"on {node}: systemctl disable --now {_UNITS.get(found, found)}"
        "   # or failover.mode: observe",
    )


_UNITS = {"pacemakerd": "pacemaker", "pg_autoctl": "pgautofailover"}

ROWS: tuple[Row, ...] = (
    OfHost("server_tools", "`pg_ctl`, `pg_controldata`, `pg_isready`, `psql`, for salvage"
           " `pg_waldump`, for a way back `pg_rewind` and `pg_basebackup`, of the server's own"
           " major version.", "Install them, or set `postgres.bin_dir`.", server_tools),
    OfHost("local_sql", "The owner of the data directory may use SQL over the Unix socket: so a"
           " standby is detached.", "`local all postgres peer` in `pg_hba.conf`.", local_sql),
    OfHost("epoch_kept", "The host can keep the epoch of a failover outside the data directory.",
           "A directory of the SSH user's own.", epoch_kept),
    OfHost("disk_space", "1 GB is free for WAL (128 MB: fail), and there is room to copy the node"
           " anew.", "A larger file system.", disk_space),
    OfHost("unit_restart", "systemd knows the unit, and does not start again what is stopped.",
           "`Restart=no` in a drop-in.", unit_restart),
    OfNode("other_manager", "Neither Patroni, repmgrd, Pacemaker, pg_auto_failover nor stolon runs"
           " there.", "Disable it, or `mode: observe`.", other_manager),
)  # fmt: skip
