"""The SQL that makes the role that watches and the one to replicate by: no more than is used.

For the first no superuser, no replication, and ALTER SYSTEM for one setting at most, where it is
asked for: a standby's settings are changed on its host, by the owner of its data directory. The
control data functions, LSN functions and pg_logical_emit_message are everybody's.
Source: PostgreSQL documentation, "Predefined Roles"; pg_promote may be executed by
superusers alone until it is granted ("Recovery Control Functions"); for the second, "pg_rewind".
"""

from __future__ import annotations

from failoverd.config.scram import verifier

OLDEST_MAJOR, NEWEST_MAJOR = 13, 18
RESERVED_CONNECTIONS_SINCE = 16
CHECKPOINT_SINCE = ON_PARAMETER_SINCE = 15
OF_PG_REWIND = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)


def grants(major: int, user: str, *, managed: bool = False, password: str | None = None) -> str:
    """To be run on the primary, in the database that `sql.database` names: all or nothing.

    `managed`: for `synchronous: managed`, too. What a version cannot grant is done on the host.
    `password`: set as what PostgreSQL keeps of it; None: it is set apart.

    Raises ValueError for a server version, or a name, that there cannot be.
    """
    if not OLDEST_MAJOR <= major <= NEWEST_MAJOR:
        raise ValueError(f"PostgreSQL {major} is not known; {OLDEST_MAJOR} to {NEWEST_MAJOR} are")
    name = quoted(user)
    lines = [
        f"-- For PostgreSQL {major}; on the primary, in the database of sql.database.",
        *(
            [f"-- The password is set apart, so that it stands in no file: \\password {name}"]
            if password is None
            else []
        ),
        "-- Every node's pg_hba.conf must let the role in from failoverd's host.",
        "BEGIN;",
        f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 20{_kept(password)};",
        "-- So that no object of another user's can be taken for one of PostgreSQL's own:",
        f"ALTER ROLE {name} SET search_path = pg_catalog;",
        f"GRANT pg_monitor TO {name};",
        f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO {name};",
    ]
    lines += [
        "-- So that sessions that hold up a promotion can be ended (never those of superusers):",
        f"GRANT pg_signal_backend TO {name};",
    ]
    if major >= CHECKPOINT_SINCE:
        lines += [
            "-- So that the old primary can be rewound at once:",
            f"GRANT pg_checkpoint TO {name};",
        ]
    if managed and major >= ON_PARAMETER_SINCE:
        lines += [
            "-- For synchronous: managed:",
            f"GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO {name};",
            f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {name};",
        ]
    if major >= RESERVED_CONNECTIONS_SINCE:
        lines += [
            "-- So that a server whose connection slots are full can still be watched, where its",
            "-- setting reserved_connections is above 0 (the default is 0):",
            f"GRANT pg_use_reserved_connections TO {name};",
        ]
    return "\n".join([*lines, "COMMIT;"])


def _kept(password: str | None) -> str:
    return "" if password is None else f" PASSWORD '{verifier(password)}'"


def replication_grants(user: str) -> str:
    """For the role of the section `replication`: the same on every version. Run likewise.

    Raises ValueError for a name that there cannot be.
    """
    name = quoted(user)
    lines = [
        "-- By this one standbys stream, and an old primary is rewound or copied.",
        f"-- The password is set apart, so that it stands in no file: \\password {name}",
        "-- Every node's pg_hba.conf must let the role in from every node, for replication and for",
        "-- the database of replication.database.",
        "BEGIN;",
        f"CREATE ROLE {name} LOGIN REPLICATION;",
        f"ALTER ROLE {name} SET search_path = pg_catalog;",
        "-- For pg_rewind, which reads any file of the data directory by them:",
    ]
    lines += [f"GRANT EXECUTE ON FUNCTION pg_catalog.{it} TO {name};" for it in OF_PG_REWIND]
    return "\n".join([*lines, "COMMIT;"])


def quoted(name: str) -> str:
    """An identifier, quoted. Source: PostgreSQL documentation, "Identifiers and Key Words"."""
    if not name or any(ord(character) < ord(" ") for character in name):
        raise ValueError("a role's name is one line of text")
    return '"' + name.replace('"', '""') + '"'
