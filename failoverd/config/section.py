"""What sections of the configuration are made of, and those that others have within them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from failoverd.config.quantities import Span, duration
from failoverd.config.words import AbsolutePath, Credential, Line, Port, Variable


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


OVER = Field(json_schema_extra={"default": {}})
"""A section of a node: what is not written in it is the cluster's, not the default."""


class Secret(Section):
    """Where a secret is kept; it is never written in this file. Exactly one of the three."""

    file: AbsolutePath | None = None
    """A file that only its owner may read."""
    env: Variable | None = None
    """The name of an environment variable."""
    credential: Credential | None = None
    """The name of a systemd credential (LoadCredential=)."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(one is not None for one in (self.file, self.env, self.credential)) != 1:
            raise ValueError("must name one place; write one of file, env and credential")
        return self


class Ssh(Section):
    """How the database hosts are reached. Host keys are always verified."""

    user: Line = "postgres"
    """The user to log in as: best the owner of the data directory."""
    port: Port = 22
    """The port of sshd."""
    key_file: AbsolutePath | None = None
    """The private key, which only its owner may read. Must be given for transport ssh."""
    known_hosts: AbsolutePath | None = None
    """The hosts' keys. Must be given for transport ssh."""
    connect_timeout: Span = duration("5s")
    """For a new connection."""
