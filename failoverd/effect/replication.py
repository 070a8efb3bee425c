"""How a node connects to the primary for replication: what is written on its host, and where.

Source: PostgreSQL documentation, "Connection Strings", "The Password File"; GUC_scanstr in
src/backend/utils/misc/guc-file.l for what a quoted setting means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_PLAIN = re.compile(r"[^\s'\\]+")


@dataclass(frozen=True, slots=True)
class Replication:
    """`user` may replicate, and read files for pg_rewind. The password is read when it is used."""

    user: str
    database: str = "postgres"
    sslmode: str = "prefer"
    sslrootcert: str = ""
    """On the database hosts."""
    password: Callable[[], str | None] = field(default=lambda: None, repr=False)

    def to(self, host: str, port: int) -> dict[str, str]:
        options = {"host": host, "port": str(port), "user": self.user, "sslmode": self.sslmode}
        return {**options, **({"sslrootcert": self.sslrootcert} if self.sslrootcert else {})}


def conninfo(options: dict[str, str]) -> str:
    return " ".join(f"{key}={_in_conninfo(value)}" for key, value in options.items())


def _in_conninfo(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def setting(name: str, value: str) -> str:
    """A line of postgresql.auto.conf."""
    return f"{name} = '" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def passfile_line(password: str) -> str:
    """For every host: the file belongs to one connection alone."""
    return "*:*:*:*:" + password.replace("\\", "\\\\").replace(":", "\\:")


def slot_name(node: str) -> str:
    """Of letters, digits and underscores, as PostgreSQL wants it."""
    return re.sub(r"[^a-z0-9_]", "_", node.lower())[:63]
