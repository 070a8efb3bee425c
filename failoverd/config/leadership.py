"""Which daemon acts where several watch, and how they reach the etcd that tells."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterator
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, model_validator

from failoverd.config.document import Place
from failoverd.config.files import wrong_with
from failoverd.config.quantities import Span, duration, show_duration
from failoverd.config.section import Section
from failoverd.config.verification import verifying
from failoverd.config.words import AbsolutePath, Line
from failoverd.core.leadership import SHORTEST_TTL_S

LONGEST_TTL_S = 30.0
"""For so long nobody acts where the daemon that did is gone; a dead-man disarms itself after 60."""
_AT: Place = ("daemon", "leadership")


def _endpoint(text: str) -> str:
    told = "is no address of etcd; write one like https://192.0.2.21:2379"
    if re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}/?", text) is None:
        raise ValueError(told)
    try:
        known = urlsplit(text).port
    except ValueError:
        known = None
    if not known:
        raise ValueError(told)
    return text.rstrip("/")


def _prefix(text: str) -> str:
    if re.fullmatch(r"/[A-Za-z0-9._/-]*/", text) is None:
        raise ValueError("is no prefix of keys; write one that begins and ends with /")
    return text


class Leadership(Section):
    """Which daemon acts, where several watch. docs/leadership.md tells how to begin."""

    kind: Literal["none", "etcd"] = "none"
    """none: this daemon alone; etcd: whichever of several holds the lease there."""
    endpoints: list[Annotated[Line, AfterValidator(_endpoint)]] = []
    """Addresses of etcd's members, all of them: `https://192.0.2.21:2379`. Version 3.4 or later."""
    ttl: Span = duration("5s")
    """Of the lease, 4s to 30s: so long nobody acts after the leader has died."""
    user: Line | None = None
    """Who this daemon is in etcd, where that asks."""
    password_file: AbsolutePath | None = None
    """That one's password; only its owner may read it."""
    ca_file: AbsolutePath | None = None
    """Whose certificates of members are believed; without it, the machine's own authorities'."""
    cert_file: AbsolutePath | None = None
    """The certificate that this daemon shows, where etcd asks for one."""
    key_file: AbsolutePath | None = None
    """Its key, which only its owner may read."""
    plaintext: bool = False
    """Allow http:// beyond this machine: whoever listens on that wire can lead."""
    prefix: Annotated[Line, AfterValidator(_prefix)] = "/failoverd/"
    """Of all keys there; the same for all daemons of a cluster."""
    name: Line | None = None
    """What the other daemons call this one; else the name of its host."""
    address: Line | None = None
    """Where people find its page, as the others tell it; else `listen`, unless that is loopback."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.kind == "etcd" and not self.endpoints:
            raise ValueError("has no endpoints; write endpoints: [https://192.0.2.21:2379]")
        return self


def tls_context(section: Leadership) -> ssl.SSLContext | None:
    """None where no member is asked over TLS. Raises OSError, of which ssl.SSLError is one."""
    if not any(one.startswith("https://") for one in section.endpoints):
        return None
    context = verifying(section.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if section.cert_file is not None:
        # The answer to a question for a passphrase: without one, OpenSSL would ask on the terminal.
        context.load_cert_chain(section.cert_file, section.key_file, password=lambda: "")
    return context


def check_leadership(section: Leadership) -> Iterator[tuple[Place, str]]:
    """What no key can know alone."""
    if section.kind == "none":
        for key in sorted(section.model_fields_set - {"kind"}):
            yield (*_AT, key), "does nothing with kind: none; write kind: etcd, or remove it"
        return
    yield from _wrong_ttl(section.ttl)
    yield from _in_clear(section)
    for one, other in (("user", "password_file"), ("cert_file", "key_file")):
        given = {key for key in (one, other) if getattr(section, key) is not None}
        if len(given) == 1:
            (there,) = given
            (missing,) = {one, other} - given
            yield (*_AT, there), f"has no {missing} beside it; write both, or neither"


def _wrong_ttl(ttl_s: float) -> Iterator[tuple[Place, str]]:
    if ttl_s < SHORTEST_TTL_S:
        told = (
            f"is too short (got {show_duration(ttl_s)}): an act may be 2 s late, and two renewals"
            f" must fit before that; write at least {show_duration(SHORTEST_TTL_S)}"
        )
        yield (*_AT, "ttl"), told
    elif ttl_s > LONGEST_TTL_S:
        told = (
            f"is too long (got {show_duration(ttl_s)}): nobody acts for so long after the leader"
            f" has died; write at most {show_duration(LONGEST_TTL_S)}"
        )
        yield (*_AT, "ttl"), told
    elif ttl_s != round(ttl_s):
        told = f"has a fraction of a second (got {show_duration(ttl_s)}), which etcd does not know"
        yield (*_AT, "ttl"), f"{told}; write whole seconds"


def _in_clear(section: Leadership) -> Iterator[tuple[Place, str]]:
    clear = [one for one in section.endpoints if one.startswith("http://")]
    beyond = [one for one in clear if not _loopback(urlsplit(one).hostname or "")]
    if beyond and not section.plaintext:
        told = f"would be spoken to in clear (got {beyond[0]}): whoever listens there can lead"
        yield (
            (*_AT, "endpoints"),
            f"{told}; write https://, or plaintext: true where nobody else is on that wire",
        )
    if len(clear) != len(section.endpoints):
        return
    for key in ("ca_file", "cert_file"):
        if getattr(section, key) is not None and clear:
            yield (*_AT, key), "does nothing with http://; write https:// addresses, or remove it"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_leadership_files(section: Leadership) -> Iterator[tuple[Place, str]]:
    """What it names must be there, and belong together."""
    if section.kind == "none":
        return
    wrong = [
        ((*_AT, key), told)
        for key, private in (
            ("password_file", True), ("ca_file", False), ("cert_file", False), ("key_file", True),
        )
        if (file := getattr(section, key)) is not None
        and (told := wrong_with(file, private=private)) is not None
    ]  # fmt: skip
    yield from wrong
    if wrong or (section.cert_file is None) != (section.key_file is None):
        return
    try:
        tls_context(section)
    except OSError as error:
        told = f"has no authorities, or no certificate with its key, in PEM ({error.args[-1]})"
        yield _AT, f"{told}; write files that belong together"
