"""A certificate authority of the lab, and server certificates that are valid or have expired."""

from __future__ import annotations

import datetime as dt
import ipaddress
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.cluster import Watched
from tests.lab.lab import Lab
from tests.lab.server import DatabaseHost, give_to_postgres

DAY = dt.timedelta(days=1)
ROOT_FILE = "/etc/failoverd/root.crt"
VERIFIED = {"sql": {"sslmode": "verify-full", "sslrootcert": ROOT_FILE}}
REQUIRED = {"sql": {"sslmode": "require"}}


@cache
def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the lab's authority")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 10 * DAY)
        .not_valid_after(now + 10 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def give_certificate(host: DatabaseHost, *, days_left: int) -> None:
    """Into its data directory, for its address; negative: it has expired."""
    issuer, issuer_key = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address(host.address))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host.name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 9 * DAY)
        .not_valid_after(now + days_left * DAY)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for name, content in (
        ("server.key", private),
        ("server.crt", certificate.public_bytes(serialization.Encoding.PEM)),
    ):
        path = host.data / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        give_to_postgres(path)


def with_certificates(lab: Lab) -> None:
    for host in lab.servers:
        give_certificate(host, days_left=5)
        host.configure({"ssl": "on"})
        host.reload()
    root = lab.monitor.etc / "root.crt"
    root.write_bytes(authority()[0].public_bytes(serialization.Encoding.PEM))
    root.chmod(0o644)


def let_it_expire(w: Watched) -> None:
    give_certificate(w.pg1, days_left=-1)
    w.pg1.reload()


def turn_tls_off(w: Watched) -> None:
    w.pg1.configure({"ssl": "off"})
    w.pg1.reload()
