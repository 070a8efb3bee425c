"""Until when the certificate is good that a server shows in a real TLS handshake."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from failoverd.transport.certificate import ends_at

ENDS = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


def server_context(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pg1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ENDS - timedelta(days=9000))
        .not_valid_after(ENDS)
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def client_after_handshake(context):
    """As `sslmode: require` has it: encrypted, and nothing is verified."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    for side in waiting * 8:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client


def test_the_end_of_a_certificate_is_read_even_where_nothing_is_verified(tmp_path):
    client = client_after_handshake(server_context(tmp_path))
    assert ends_at(client) == ENDS.timestamp()


def test_without_tls_there_is_none():
    assert ends_at(None) is None
