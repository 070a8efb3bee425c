"""How certificates are verified: alike by every Python, and as libpq does.

From 3.13 on Python refuses by itself what RFC 5280 asks of extensions and OpenSSL does not, such as
a server's certificate that does not name the key of its authority (docs/decisions/0090).
"""

from __future__ import annotations

import ssl
from pathlib import Path


def verifying(
    ca_file: Path | str | None, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH
) -> ssl.SSLContext:
    """By the authorities in that file, or by the system's. Raises OSError where it holds none."""
    context = ssl.create_default_context(purpose, cafile=ca_file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
