"""Checks: settings and rights of each server, whichever role it has now."""

from __future__ import annotations

from failoverd.core.checks.row import OfServer, Row
from failoverd.core.judged import Judged, fault, fine, worry
from failoverd.core.model import NodeName
from failoverd.core.survey import PRIVILEGES, ServerStanding, Survey

CHECKPOINT_SINCE = ON_PARAMETER_SINCE = 150000
SPARE_SENDERS = 2
"""For pg_basebackup or pg_rewind of the node that comes back."""


def alter_system(node: NodeName, setting: str, value: str, *, restart: bool = False) -> str:
    """What a person pastes on that node."""
    then = "   # then restart it" if restart else " -c 'select pg_reload_conf()'"
    return f'on {node}: psql -c "alter system set {setting} = {value}"{then}'


def privileges(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    """Grants are the whole cluster's: asked of the primary, where that answers."""
    if s.primary in s.servers and node != s.primary:
        return None
    missing = [name for name in _wanted(s, server) if name not in server.privileges]
    if not missing:
        return fine("the role has what it needs")
    told = "; ".join(f"{name} ({PRIVILEGES[name]})" for name in missing)
    role = _quoted(server.role)
    granted = " ".join(_GRANTS[name].format(role=role) for name in missing)
    fix = (
        f"on {s.primary or 'the primary'}: psql -c '{granted}'   # in the database of sql.database"
    )
    if "pg_monitor" in missing:
        return fault(f"the role lacks {told}", fix)
    return worry(f"the role lacks {told}: what can be done on the host instead is slower", fix)


_GRANTS = {
    "pg_monitor": "GRANT pg_monitor TO {role};",
    "pg_promote": "GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO {role};",
    "pg_signal_backend": "GRANT pg_signal_backend TO {role};",
    "pg_checkpoint": "GRANT pg_checkpoint TO {role};",
    "synchronous_standby_names": (
        "GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO {role};"
        " GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {role};"
    ),
}


def _wanted(s: Survey, server: ServerStanding) -> tuple[str, ...]:
    late = ("pg_checkpoint",) if server.version >= CHECKPOINT_SINCE else ()
    by_role = s.policy.synchronous_managed and server.version >= ON_PARAMETER_SINCE
    managed = ("synchronous_standby_names",) if by_role else ()
    return ("pg_monitor", "pg_promote", "pg_signal_backend", *late, *managed)


def _quoted(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'


def rewind(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    told = server.settings
    if "wal_log_hints" not in told:
        return None
    if told.get("full_page_writes") == "off":
        return worry("full_page_writes is off: pg_rewind cannot bring it back",
                     alter_system(node, "full_page_writes", "on"))  # fmt: skip
    if "on" in (told["wal_log_hints"], told.get("data_checksums")):
        return fine("pg_rewind could bring it back")
    return worry(
        "neither wal_log_hints nor data checksums are on: as an old primary it comes back by a"
        " whole new copy only",
        alter_system(node, "wal_log_hints", "on", restart=True),
    )


def max_wal_senders(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if not server.settings.get("max_wal_senders", "").isdecimal():
        return None
    senders = int(server.settings["max_wal_senders"])
    slots = int(server.settings.get("max_replication_slots", "0") or 0)
    others = len(s.policy.nodes) - 1
    enough = others + SPARE_SENDERS
    if senders < others:
        return fault(
            f"max_wal_senders is {senders}: as primary it could not serve {others} standbys",
            alter_system(node, "max_wal_senders", str(enough), restart=True),
        )
    if senders < enough:
        return worry(
            f"max_wal_senders is {senders}: nothing is left to bring a node back",
            alter_system(node, "max_wal_senders", str(enough), restart=True),
        )
    if slots < others:
        return worry(
            f"max_replication_slots is {slots}: as primary it could not keep WAL for {others}",
            alter_system(node, "max_replication_slots", str(enough), restart=True),
        )
    return fine(f"{senders} WAL senders are enough")


def hot_standby(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if "hot_standby" not in server.settings:
        return None
    if server.settings["hot_standby"] == "on":
        return fine("it can be asked while it is a standby")
    fix = alter_system(node, "hot_standby", "on", restart=True)
    return worry("hot_standby is off: as a standby it answers nobody, and never takes over", fix)


def allow_alter_system(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if server.settings.get("allow_alter_system", "on") == "on":
        return fine("settings can be changed by ALTER SYSTEM")
    return fault(
        "allow_alter_system is off: no standby can be detached or led to another primary",
        f"on {node}: psql -c 'select pg_reload_conf()'   # when allow_alter_system = on is in"
        " postgresql.conf",
    )


def durability(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    for setting, lost in (
        ("fsync", "a crash of its host may ruin the data directory"),
        ("synchronous_commit", "commits are acknowledged before they are on disk"),
    ):
        if server.settings.get(setting) == "off":
            return worry(f"{setting} is off: {lost}", alter_system(node, setting, "on"))
    return fine("commits are on disk before they are acknowledged")


def restore_command(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if not server.restore_command:
        return None
    for name, other in sorted(s.policy.nodes.items()):
        if name == node or s.report(node).server is None:
            continue
        if _names(server.restore_command, other.host):
            return worry(
                f"its restore_command asks {name}: where that host is gone, so is the archive",
                f"keep the archive on a host that is no node, and set restore_command of {node}",
            )
    return fine("its restore_command names no other node")


def _names(command: str, host: str) -> bool:
    """As a word of its own, in user@host:path, too."""
    at = command.find(host)
    while at >= 0:
        before, after = command[:at][-1:], command[at + len(host) :][:1]
        if not (before.isalnum() or before in ("-", ".") or after.isalnum() or after == "-"):
            return True
        at = command.find(host, at + 1)
    return False


def long_readers(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if node == s.primary:
        return None
    reader = server.reader
    if reader is None or reader.seconds < LONG_READER_S:
        return fine("no session there has been reading for long")
    who = f"session {reader.pid} of {reader.user} ({reader.application or 'no name'})"
    ended = "and only a superuser may end it" if reader.superuser else "it would be ended"
    return worry(
        f"{who} has been reading for {reader.seconds / 60:.0f} min: replay may wait for it in a"
        f" promotion; {ended}",
        f'on {node}: psql -c "select pg_terminate_backend({reader.pid})"',
    )


LONG_READER_S = 300.0


def other_failoverd(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    if not server.other_daemons:
        return fine("no other failoverd watches it")
    where = " and ".join(server.other_daemons)
    if s.shared is not None and len(server.other_daemons) <= len(s.shared.others):
        return fine(f"failoverd watches it from {where}, too, and one of them leads")
    if not s.own.in_daemon:
        return worry(f"failoverd watches it from {where}", "failoverd status, there")
    return (
        fault(
            f"another failoverd watches it from {where}: two would fence each other's primary",
            "stop one of them, or give it failover.mode: observe",
        )
        if s.policy.mode != "observe"
        else fine(f"another failoverd watches it from {where}")
    )


ROWS: tuple[Row, ...] = (
    OfServer("privileges", "The monitoring role has what `failoverd grants` gives.",
             "`failoverd grants`, on the primary.", privileges),
    OfServer("rewind", "`wal_log_hints` or data checksums, and `full_page_writes`: an old primary"
             " can be rewound instead of copied anew.", "`wal_log_hints = on`, and a restart.",
             rewind),
    OfServer("max_wal_senders", "As primary, each node could serve all others, and two connections"
             " more to bring one back.", "`max_wal_senders`, and a restart.", max_wal_senders),
    OfServer("hot_standby", "As a standby, each node answers by SQL.",
             "`hot_standby = on`, and a restart.", hot_standby),
    OfServer("allow_alter_system", "Settings can be changed by ALTER SYSTEM (PostgreSQL 17 can"
             " forbid it).", "`allow_alter_system = on`.", allow_alter_system),
    OfServer("durability", "`fsync` and `synchronous_commit` are not off.",
             "`fsync = on`, `synchronous_commit = on`.", durability),
    OfServer("restore_command", "No `restore_command` fetches from another node's host.",
             "An archive on a host that is no node.", restore_command),
    OfServer("long_readers", "No session on a candidate has been reading for five minutes: replay"
             " may have to wait for it.", "`pg_terminate_backend(PID)`.", long_readers),
    OfServer("other_failoverd", "No other failoverd watches the same servers and would act.",
             "Stop one, or `mode: observe`.", other_failoverd),
)  # fmt: skip
