"""The SQL that makes the monitoring role, with no more than what is used.

Source: PostgreSQL documentation, "Predefined Roles"; pg_promote may be executed by
superusers alone until it is granted ("Recovery Control Functions").
"""

from __future__ import annotations

OLDEST_MAJOR, NEWEST_MAJOR = 13, 18
RESERVED_CONNECTIONS_SINCE = 16


def grants(major: int, user: str) -> str:
    """To be run on the primary, in the database that `sql.database` names."""
    name = quoted(user)
    lines = [
        f"-- For PostgreSQL {major}; on the primary, in the database of sql.database.",
        "-- The password is set apart, so that it stands in no file: \\password " + user,
        f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 20;",
        f"GRANT pg_monitor TO {name};",
        f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO {name};",
    ]
    if major >= RESERVED_CONNECTIONS_SINCE:
        lines += [
            "-- So that a server whose connection slots are full can still be watched:",
            f"GRANT pg_use_reserved_connections TO {name};",
        ]
    return "\n".join(lines)


def quoted(name: str) -> str:
    """An identifier, quoted. Source: PostgreSQL documentation, "Identifiers and Key Words"."""
    return '"' + name.replace('"', '""') + '"'
