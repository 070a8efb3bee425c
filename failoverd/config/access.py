"""Who may act over TCP: whoever has the token, and over TLS alone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from failoverd.config.document import Place
from failoverd.config.files import wrong_with
from failoverd.config.section import Section
from failoverd.config.verification import verifying
from failoverd.config.words import AbsolutePath

SHORTEST = 32
"""Of a token: what nobody guesses, in hexadecimal 128 bits."""


class Tls(Section):
    """HTTPS on `listen` instead of HTTP. A certificate that was renewed takes a restart."""

    cert_file: AbsolutePath
    """The certificate, and those between it and its authority; PEM."""
    key_file: AbsolutePath
    """Its key, which only its owner may read."""
    client_ca_file: AbsolutePath | None = None
    """With it, nobody is let in without a certificate of one of these authorities."""


def context_of(tls: Tls) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) where the files are not what they should be."""
    context = verifying(tls.client_ca_file, ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    # The answer to a question for a passphrase: without one, OpenSSL would ask on the terminal.
    context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    return context


def token_of(file: Path) -> bytes:
    """The first line. Raises ValueError that says what is wrong with the file, and what to do."""
    wrong = wrong_with(file, private=True)
    if wrong is not None:
        raise ValueError(wrong)
    try:
        token = file.read_bytes().split(b"\n", 1)[0].strip()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    if len(token) < SHORTEST or not all(0x21 <= one <= 0x7E for one in token):
        told = f"has no token of at least {SHORTEST} letters and digits in its first line"
        raise ValueError(f"{file} {told}; run: openssl rand -hex 32 > {file}")
    return token


def check_access(tls: Tls | None, token_file: Path | None) -> Iterator[tuple[Place, str]]:
    """A token that goes over the wire in clear is everybody's."""
    if token_file is not None and tls is None:
        told = "would be sent in clear: there is no tls beside it"
        yield (
            ("daemon", "token_file"),
            f"{told}; write tls: {{cert_file: ..., key_file: ...}} in daemon, or remove it",
        )


def check_access_files(tls: Tls | None, token_file: Path | None) -> Iterator[tuple[Place, str]]:
    """What they name must be there, and the key must be the certificate's."""
    if token_file is not None:
        try:
            token_of(token_file)
        except ValueError as error:
            yield ("daemon", "token_file"), str(error)
    if tls is None:
        return
    wrong = [
        (key, told)
        for key, file in (
            ("cert_file", tls.cert_file),
            ("key_file", tls.key_file),
            ("client_ca_file", tls.client_ca_file),
        )
        if file is not None and (told := wrong_with(file, private=key == "key_file")) is not None
    ]
    yield from (((("daemon", "tls", key)), told) for key, told in wrong)
    if not wrong:
        try:
            context_of(tls)
        except OSError as error:
            told = f"is no certificate with its key and authorities, in PEM ({error.args[-1]})"
            yield ("daemon", "tls"), f"{told}; write files that belong together"
