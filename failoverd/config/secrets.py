"""Secrets, read at the moment of their use and kept nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from failoverd.config.models import Replication, Sql
from failoverd.config.section import Secret


class SecretMissing(Exception):  # noqa: N818 - what happened
    """A secret cannot be read; says from where, never what."""


def password(sql: Sql | Replication) -> str | None:
    """The role's password, or None where none is configured. Raises SecretMissing."""
    if sql.password_file is not None:
        return first_line(sql.password_file)
    return None if sql.password is None else reveal(sql.password)


def reveal(secret: Secret) -> str:
    """Raises SecretMissing."""
    if secret.file is not None:
        return first_line(secret.file)
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if value is None:
            raise SecretMissing(f"the environment variable {secret.env} is not set")
        return value
    if secret.credential is not None:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            raise SecretMissing("there is no $CREDENTIALS_DIRECTORY: not started by systemd?")
        return first_line(Path(directory) / secret.credential)
    raise SecretMissing("write one of file, env or credential")


def first_line(file: Path) -> str:
    """Raises SecretMissing."""
    try:
        found = file.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SecretMissing(f"{file} cannot be read: {reason}") from None
    if not found:
        raise SecretMissing(f"{file} has no secret in its first line")
    return found
