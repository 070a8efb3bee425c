"""aiohttp, without what it takes at its import for clients of another kind.

It reads every authority that the system believes before anybody has asked for TLS: 2 MB, and
40 ms of each start. Here whoever asks over TLS brings a context of its own (`webhook`,
`etcd`), so that nothing is verified by aiohttp's; one without authorities would believe nobody.
And frozenlist alone needs the library of C++, another megabyte, for lists read once a request.

Import it before aiohttp. Where something else was first, nothing but memory is lost.
Source: SSL_CTX_set_default_verify_paths(3); aiohttp 3.14, connector.py; frozenlist 1.8, __init__.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

SPARED = {"SSL_CERT_FILE": os.devnull, "FROZENLIST_NO_EXTENSIONS": "1"}


@contextlib.contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _environment(SPARED):
    import aiohttp  # noqa: F401 - what it keeps is kept from here on
