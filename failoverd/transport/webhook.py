"""A JSON document by POST, signed, within a deadline."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import ssl

import aiohttp

from failoverd.config.verification import verifying

OK = range(200, 300)


def signature(body: bytes, secret: str) -> str:
    """Of the body, as it travels in `X-Failoverd-Signature`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@functools.cache
def of_the_system() -> ssl.SSLContext:
    """Read by the first that is told over TLS, and kept: aiohttp's own has no authorities."""
    return verifying(None)


async def post(url: str, body: bytes, secret: str | None, timeout_s: float) -> str:
    """Why it was not taken; empty: it was. Never says the address, which may be a secret."""
    headers = {"Content-Type": "application/json", "User-Agent": "failoverd"}
    if secret is not None:
        headers["X-Failoverd-Signature"] = signature(body, secret)
    try:
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession(headers=headers) as session:
            over_tls = url.lower().startswith("https:")
            tls = await asyncio.to_thread(of_the_system) if over_tls else True
            answered = await session.post(url, data=body, ssl=tls, allow_redirects=False)
            return "" if answered.status in OK else f"it answered {answered.status}"
    except TimeoutError:
        return f"no answer in {timeout_s:g} s"
    except aiohttp.InvalidURL:
        return "its address is not one"
    except (aiohttp.ClientError, OSError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return f"it cannot be reached: {reason}"
