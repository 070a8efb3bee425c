"""Whom the daemon tells by itself what needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from failoverd.config.document import Place
from failoverd.config.files import file_of, wrong_program, wrong_with
from failoverd.config.quantities import Span, duration
from failoverd.config.section import Secret, Section
from failoverd.config.words import Line, Name, Words

_KINDS = "write {webhook: {...}} or {command: {...}}"


class Webhook(Section):
    """An address that gets a JSON document by POST. It is told again until it answers 2xx."""

    url: Line | None = None
    """Where it is; http or https."""
    url_secret: Secret | None = None
    """The same, from another place, where the address itself is the secret (as with chats)."""
    secret: Secret | None = None
    """With it the body is signed: `X-Failoverd-Signature: sha256=` and its HMAC, in hexadecimal."""
    timeout: Span = duration("5s")
    """For one attempt."""

    @field_validator("url")
    @classmethod
    def _over_http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("is no address of a webhook; write one like https://example.com/hook")
        return url

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.url is None) == (self.url_secret is None):
            raise ValueError("must have one address; write url or url_secret")
        return self


class NotifyCommand(Section):
    """A program of your own on this machine: the JSON document is its standard input."""

    argv: Annotated[Words, Field(min_length=1)]
    """Program and arguments; `FAILOVERD_KIND`, `FAILOVERD_CLUSTER`, `FAILOVERD_SENTENCE` and
    `FAILOVERD_INCIDENT` are in its environment. It is run again until its exit status is 0."""
    timeout: Span = duration("20s")
    """Then it is killed."""


class Notify(Section):
    """One who is told: exactly one of webhook and command."""

    name: Name | None = None
    """What it is called in log and metrics; else after its kind."""
    webhook: Webhook | None = None
    """An address."""
    command: NotifyCommand | None = None
    """Your own program."""

    @model_validator(mode="before")
    @classmethod
    def _of_a_kind(cls, written: Any) -> Any:
        if not isinstance(written, dict):
            raise ValueError(f"is nobody who can be told; {_KINDS}")  # noqa: TRY004
        return written

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.webhook is None) == (self.command is None):
            raise ValueError(f"must be one who is told; {_KINDS}")
        return self

    @property
    def called(self) -> str:
        return self.name or ("webhook" if self.webhook is not None else "command")


def check_notify(told: list[Notify]) -> Iterator[tuple[Place, str]]:
    """Names that differ, programs that can be run, secrets that nobody else may read."""
    taken: set[str] = set()
    for number, one in enumerate(told):
        at: Place = ("daemon", "notify", number)
        if one.called in taken:
            yield at, f"is the second one called {one.called}; write another name"
        taken.add(one.called)


def check_notify_files(told: list[Notify]) -> Iterator[tuple[Place, str]]:
    """What they name must be there."""
    for number, one in enumerate(told):
        at: Place = ("daemon", "notify", number)
        if one.command is not None:
            yield from wrong_program(Path(one.command.argv[0]), (*at, "command", "argv"))
        if one.webhook is None:
            continue
        for key in ("url_secret", "secret"):
            file = file_of(getattr(one.webhook, key))
            wrong = None if file is None else wrong_with(file, private=True)
            if wrong is not None:
                yield (*at, "webhook", key), wrong
