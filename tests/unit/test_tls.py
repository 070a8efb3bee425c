"""A server whose certificate is not the right one never gets to see who we are."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from failoverd.core.model import Outcome
from failoverd.daemon.clock import monotonic
from failoverd.transport.postgres import SqlAddress, connect

DAY = dt.timedelta(days=1)
SSL_REQUEST = 8
"""Its length. Source: PostgreSQL documentation, "Message Formats"."""


def named(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def issue(name, issuer=None, *, days_left=5, address="127.0.0.1"):
    """A certificate and its key; without an issuer: of an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(name) if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 9 * DAY)
        .not_valid_after(now + days_left * DAY)
    )
    if issuer is None:
        extension = x509.BasicConstraints(ca=True, path_length=0)
    else:
        extension = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName(name)]
        )
    signer = key if issuer is None else issuer[1]
    return builder.add_extension(extension, critical=False).sign(signer, hashes.SHA256()), key


def written(folder: Path, name, pair):
    certificate, key = pair
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / f"{name}.crt").write_bytes(pem)
    (folder / f"{name}.pem").write_bytes(pem + private)
    return folder / f"{name}.pem"


class Server:
    """Speaks TLS as PostgreSQL does, and keeps what it was told inside."""

    def __init__(self, chain: Path | None) -> None:
        self.heard = b""
        self._context = None
        if chain is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(chain)

    async def serve(self, reader, writer):
        try:
            await reader.readexactly(SSL_REQUEST)
            writer.write(b"N" if self._context is None else b"S")
            await writer.drain()
            if self._context is not None:
                await writer.start_tls(self._context)
            self.heard = await reader.read(1000)
        except (ssl.SSLError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def attempt(chain, sslmode, root):
    """What a look came to, and what the server heard of it."""
    server = Server(chain)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    address = SqlAddress(
        "127.0.0.1", port, "failoverd", "postgres", lambda: "hunter2", sslmode, root
    )
    look, session = await connect(address, monotonic, 10.0)
    assert session is None
    listening.close()
    await listening.wait_closed()
    return look, server.heard


@pytest.fixture
def ours():
    return issue("our authority")


async def test_the_right_certificate_lets_the_conversation_begin(tmp_path, ours):
    root = written(tmp_path, "root", ours).with_suffix(".crt")
    chain = written(tmp_path, "server", issue("pg1", ours))
    look, heard = await attempt(chain, "verify-full", root)
    assert b"failoverd" in heard
    assert look.outcome is not Outcome.MISCONFIGURED


@pytest.mark.parametrize(
    ("wrong", "sslmode"),
    [
        ("another authority", "verify-full"),
        ("another authority", "verify-ca"),
        ("another name", "verify-full"),
        ("expired", "verify-full"),
        ("expired", "verify-ca"),
        ("its own authority", "verify-full"),
        ("no TLS at all", "verify-full"),
        ("no TLS at all", "verify-ca"),
    ],
)
async def test_a_wrong_certificate_is_our_configuration_and_hears_nothing(
    tmp_path, ours, wrong, sslmode
):
    root = written(tmp_path, "root", ours).with_suffix(".crt")
    chains = {
        "another authority": lambda: issue("pg1", issue("our authority")),
        "another name": lambda: issue("pg2", ours, address="192.0.2.1"),
        "expired": lambda: issue("pg1", ours, days_left=-1),
        "its own authority": lambda: issue("pg1"),
    }
    chain = written(tmp_path, "server", chains[wrong]()) if wrong in chains else None
    look, heard = await attempt(chain, sslmode, root)
    assert heard == b""
    assert look.outcome is Outcome.MISCONFIGURED
    assert "hunter2" not in look.detail


async def test_verify_ca_takes_another_name(tmp_path, ours):
    root = written(tmp_path, "root", ours).with_suffix(".crt")
    chain = written(tmp_path, "server", issue("pg2", ours, address="192.0.2.1"))
    _, heard = await attempt(chain, "verify-ca", root)
    assert b"failoverd" in heard
