"""Until when a server's certificate is good, as it was shown in the TLS handshake."""

from __future__ import annotations

import ssl

from cryptography import x509

from failoverd.core.model import WallTime


def ends_at(tls: object) -> WallTime | None:
    """None where there is no TLS, or what was shown is no certificate that we can read."""
    if not isinstance(tls, ssl.SSLObject | ssl.SSLSocket):
        return None
    shown = tls.getpeercert(binary_form=True)
    if not shown:
        return None
    try:
        return WallTime(x509.load_der_x509_certificate(shown).not_valid_after_utc.timestamp())
    except ValueError:
        return None
