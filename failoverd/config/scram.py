"""A role's password as PostgreSQL keeps it, so that SQL can set it without holding it.

Source: RFC 5802, section 3; PostgreSQL, src/common/scram-common.c (scram_build_secret).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096
SALT_BYTES = 16


def verifier(password: str, salt: bytes | None = None) -> str:
    """For ALTER ROLE ... PASSWORD. Raises ValueError where RFC 4013 would have to prepare it."""
    if not (password.isascii() and password.isprintable()):
        raise ValueError("a password with other than printable ASCII is set by: \\password ROLE")
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    told = (_base64(salt), _base64(client_key), _base64(_hmac(salted, b"Server Key")))
    return f"SCRAM-SHA-256${ITERATIONS}:{told[0]}${told[1]}:{told[2]}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
