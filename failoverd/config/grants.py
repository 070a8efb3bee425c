"""The SQL that makes the monitoring role, with no more than what is used.

No superuser, no replication, no ALTER SYSTEM, no pg_reload_conf, no pg_signal_backend: a
standby's settings are changed on its host, by the owner of its data directory. The control
data functions, LSN functions and pg_logical_emit_message are everybody's.
Source: PostgreSQL documentation, "Predefined Roles"; pg_promote may be executed by
superusers alone until it is granted ("Recovery Control Functions").
"""

from __future__ import annotations

OLDEST_MAJOR, NEWEST_MAJOR = 13, 18
RESERVED_CONNECTIONS_SINCE = 16


def grants(major: int, user: str) -> str:
    """To be run on the primary, in the database that `sql.database` names: all or nothing.

    Raises ValueError for a server version, or a name, that there cannot be.
    """
    if not OLDEST_MAJOR <= major <= NEWEST_MAJOR:
        raise ValueError(f"PostgreSQL {major} is not known; {OLDEST_MAJOR} to {NEWEST_MAJOR} are")
    name = quoted(user)
    lines = [
        f"-- For PostgreSQL {major}; on the primary, in the database of sql.database.",
        f"-- The password is set apart, so that it stands in no file: \\password {name}",
        "-- Every node's pg_hba.conf must let the role in from failoverd's host.",
        "BEGIN;",
        f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 20;",
        "-- So that no object of another user's can be taken for one of PostgreSQL's own:",
        f"ALTER ROLE {name} SET search_path = pg_catalog;",
        f"GRANT pg_monitor TO {name};",
        f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO {name};",
    ]
    if major >= RESERVED_CONNECTIONS_SINCE:
        lines += [
            "-- So that a server whose connection slots are full can still be watched, where its",
            "-- setting reserved_connections is above 0 (the default is 0):",
            f"GRANT pg_use_reserved_connections TO {name};",
        ]
    return "\n".join([*lines, "COMMIT;"])


def quoted(name: str) -> str:
    """An identifier, quoted. Source: PostgreSQL documentation, "Identifiers and Key Words"."""
    if not name or any(ord(character) < ord(" ") for character in name):
        raise ValueError("a role's name is one line of text")
    return '"' + name.replace('"', '""') + '"'
