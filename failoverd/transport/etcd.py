"""etcd by its JSON gateway: keys with leases, and transactions that compare before they write.

Keys and values are base64, 64-bit numbers text, and what is zero or false is left out. A renewal
of a lease that has expired answers 200 without a TTL. Source: etcd documentation, "gRPC gateway"
(/v3/ from 3.4 on), "Authentication".
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ATTEMPT_S = 0.8
"""Of one member: then the next one is asked."""
AUTHENTICATION_S = 2.0
"""A password is slow to check by design. Source: etcd documentation, --bcrypt-cost."""
LONGEST_ANSWER = 16 * 1024 * 1024
UNAUTHENTICATED = 16
"""gRPC's code. Source: grpc.github.io, "Status codes and their use in gRPC"."""
PERMANENT = frozenset({3, 5, 7})
"""Another member would say the same: a bad argument, not found, not permitted."""
LEASE_NOT_FOUND = "requested lease not found"


class EtcdFailed(Exception):  # noqa: N818 - what happened
    """No member did what was asked for, or nobody knows; says why, without a secret."""


@dataclass(frozen=True, slots=True)
class Etcd:
    """How it is reached. Of every member; whichever answers is asked until it does not."""

    endpoints: tuple[str, ...]
    context: ssl.SSLContext | None = field(default=None, repr=False)
    user: str | None = None
    password: Callable[[], str] = field(default=str, repr=False)
    """Raises OSError or ValueError, with a reason that may be told, where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Granted:
    lease: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A key and its value."""

    value: str = field(repr=False)
    created: int
    """The revision at which the key came to be."""
    changed: int
    lease: int


@dataclass(frozen=True, slots=True)
class Refused:
    """What was compared is not so: what is there instead."""

    found: Mapping[str, Kept]


@dataclass(frozen=True, slots=True)
class Beside:
    """What is written in the same transaction, or not at all."""

    puts: tuple[tuple[str, str], ...] = ()
    """Keys with their values; none of them within `gone`."""
    gone: tuple[str, str] | None = None
    """From the first key to before the second."""


class EtcdClient:
    """One connection pool. Every call ends within its limit."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._session: aiohttp.ClientSession | None = None
        self._member = 0
        self._token = ""

    async def grant(self, ttl_s: float, limit_s: float) -> Granted:
        asked = {"TTL": str(max(1, round(ttl_s)))}
        answer = await self._ask("lease/grant", asked, limit_s)
        lease = _number(answer, "ID")
        if not lease:  # it would be none: what is to end with it would stay for ever
            raise EtcdFailed("an answer that is not understood: ID")
        return Granted(lease, float(_number(answer, "TTL")))

    async def keep_alive(self, lease: int, limit_s: float) -> float:
        """The TTL that it has again, in seconds; 0: it has expired."""
        answer = await self._ask("lease/keepalive", {"ID": str(lease)}, limit_s)
        return float(_number(answer.get("result", {}), "TTL"))

    async def revoke(self, lease: int, limit_s: float) -> None:
        """With every key that hangs on it. One that is gone already is no failure."""
        try:
            await self._ask("lease/revoke", {"ID": str(lease)}, limit_s)
        except EtcdFailed as failed:
            if LEASE_NOT_FOUND not in str(failed):
                raise

    async def read(self, prefix: str, limit_s: float, *, before: str = "") -> Mapping[str, Kept]:
        """Every key below the prefix, as a majority has them now; those `before` one, or all."""
        last = before or prefix[:-1] + chr(ord(prefix[-1]) + 1)
        asked = {"key": _base64(prefix), "range_end": _base64(last)}
        return _kept(await self._ask("kv/range", asked, limit_s))

    async def put(self, key: str, value: str, lease: int, limit_s: float) -> None:
        asked = {"key": _base64(key), "value": _base64(value), "lease": str(lease)}
        await self._ask("kv/put", asked, limit_s)

    async def claim(self, key: str, value: str, lease: int, limit_s: float) -> bool:
        """Whether the key was made by this call, where there was none."""
        compare = {"key": _base64(key), "target": "CREATE", "create_revision": "0"}
        put = {"key": _base64(key), "value": _base64(value), "lease": str(lease)}
        asked = {"compare": [compare], "success": [{"request_put": put}]}
        return (await self._ask("kv/txn", asked, limit_s)).get("succeeded") is True

    async def give_up(self, key: str, created: int, limit_s: float) -> None:
        """The key is gone, if it is still the one that was made then."""
        compare = {"key": _base64(key), "target": "CREATE", "create_revision": str(created)}
        gone = {"request_delete_range": {"key": _base64(key)}}
        await self._ask("kv/txn", {"compare": [compare], "success": [gone]}, limit_s)

    async def write_if(
        self,
        holds: tuple[str, int],
        known: tuple[str, int],
        value: str,
        beside: Beside,
        limit_s: float,
    ) -> int | Refused:
        """The revision of the value; or what is there, if one of two things is not so.

        `holds`: a key and the revision at which it was made. `known`: the key that is written, and
        when it was last; 0: never.
        """
        (holder, created), (key, changed) = holds, known
        compare = [
            {"key": _base64(holder), "target": "CREATE", "create_revision": str(created)},
            {"key": _base64(key), "target": "MOD", "mod_revision": str(changed)},
        ]
        done: list[dict[str, object]] = [
            {"request_put": {"key": _base64(one), "value": _base64(text)}}
            for one, text in ((key, value), *beside.puts)
        ]
        if beside.gone is not None:
            first, last = map(_base64, beside.gone)
            done.append({"request_delete_range": {"key": first, "range_end": last}})
        look = [{"request_range": {"key": _base64(one)}} for one in (holder, key)]
        asked = {"compare": compare, "success": done, "failure": look}
        answer = await self._ask("kv/txn", asked, limit_s)
        if answer.get("succeeded") is True:
            return _number(answer.get("header", {}), "revision")
        found: dict[str, Kept] = {}
        for response in _list(answer, "responses"):
            found.update(_kept(_object(response, "response_range")))
        return Refused(found)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # One question, to one member after the other.

    async def _ask(self, path: str, body: Mapping[str, object], limit_s: float) -> dict[str, Any]:
        failures: dict[str, str] = {}
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    url = self._etcd.endpoints[self._member]
                    failed = await self._answer(url, path, body)
                    if not isinstance(failed, str):
                        return failed
                    failures[url] = failed
                    self._member = (self._member + 1) % len(self._etcd.endpoints)
                    if len(failures) == len(self._etcd.endpoints):
                        break
        except TimeoutError:
            failures.setdefault(self._etcd.endpoints[self._member], f"no answer in {limit_s:g} s")
            self._member = (self._member + 1) % len(self._etcd.endpoints)
        raise EtcdFailed("; ".join(f"{url}: {why}" for url, why in failures.items()))

    async def _answer(
        self, url: str, path: str, body: Mapping[str, object]
    ) -> dict[str, Any] | str:
        """What a member answers, or why it does not."""
        try:
            known = self._etcd.user is None or self._token
            async with asyncio.timeout(ATTEMPT_S if known else AUTHENTICATION_S):
                return await self._authenticated(url, path, body)
        except TimeoutError:
            return "no answer in time"
        except _Unavailable as failed:
            return str(failed)
        except aiohttp.ClientConnectorCertificateError as error:
            return f"its certificate is not believed: {error.certificate_error}"
        except (aiohttp.ClientError, OSError) as error:
            return getattr(error, "strerror", None) or str(error) or type(error).__name__

    async def _authenticated(
        self, url: str, path: str, body: Mapping[str, object]
    ) -> dict[str, Any]:
        if self._etcd.user is None:
            return await self._post(url, path, body)
        if self._token:
            try:
                return await self._post(url, path, body)
            except _Unauthenticated:
                self._token = ""
        try:
            secret = self._etcd.password()
        except (OSError, ValueError) as error:
            raise EtcdFailed(f"the password of etcd: {error}") from None
        asked = {"name": self._etcd.user, "password": secret}
        answer = await self._post(url, "auth/authenticate", asked)
        token = answer.get("token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise _Unavailable("an answer that is not understood: token")
        self._token = token
        return await self._post(url, path, body)

    async def _post(self, url: str, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._etcd.context or True, limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None)
            )
        headers = {"Authorization": self._token} if self._token else {}
        async with self._session.post(
            f"{url}/v3/{path}", json=body, headers=headers, allow_redirects=False
        ) as answered:
            said = await answered.content.read(LONGEST_ANSWER)
            while chunk := await answered.content.read(LONGEST_ANSWER):
                said += chunk
                if len(said) > LONGEST_ANSWER:
                    raise _Unavailable("an answer without end")
        return _understood(answered.status, said)


class _Unavailable(Exception):  # noqa: N818 - what happened
    """This member cannot do it now."""


class _Unauthenticated(_Unavailable):
    """The token is not known any more."""


def _understood(status: int, said: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        raise _Unavailable(f"it answers {status}, and no JSON: is it etcd 3.4 or later?") from None
    if not isinstance(answer, dict):
        raise _Unavailable(f"it answers {status}, and no JSON object")
    error = answer.get("error")
    if isinstance(error, dict):  # within a stream
        answer = error
    if status == 200 and error is None:
        return answer
    told = _shown(answer.get("message") or answer.get("error") or status)
    code = answer.get("code", answer.get("grpc_code"))
    if code == UNAUTHENTICATED or "invalid auth token" in told:
        raise _Unauthenticated(told)
    if type(code) is int and code in PERMANENT:
        raise EtcdFailed(told)
    raise _Unavailable(told)


def _shown(told: object) -> str:
    """What a member says, as people may see it."""
    return "".join(one for one in str(told)[:200] if one.isprintable()) or "it says nothing"


# What an answer is made of. Each raises EtcdFailed for what etcd does not answer.


def _kept(answer: Mapping[str, Any]) -> dict[str, Kept]:
    try:
        return {
            base64.b64decode(one["key"]).decode(): Kept(
                base64.b64decode(one.get("value", "")).decode(),
                _number(one, "create_revision"),
                _number(one, "mod_revision"),
                _number(one, "lease"),
            )
            for one in _list(answer, "kvs")
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EtcdFailed("an answer that is not understood") from None


def _list(answer: Mapping[str, Any], name: str) -> list[Any]:
    """Empty where it is left out."""
    found = answer.get(name, [])
    if not isinstance(found, list):
        raise EtcdFailed(f"an answer that is not understood: {name}")
    return found


def _object(answer: object, name: str) -> dict[str, Any]:
    """Empty where it is left out."""
    found = answer.get(name, {}) if isinstance(answer, dict) else None
    if not isinstance(found, dict):
        raise EtcdFailed(f"an answer that is not understood: {name}")
    return found


def _number(answer: object, name: str) -> int:
    """0 where it is left out. A 64-bit number, as text or as it is, and never below 0."""
    found = answer.get(name, 0) if isinstance(answer, dict) else None
    if isinstance(found, str) and re.fullmatch("[0-9]{1,19}", found):
        found = int(found)
    if type(found) is not int or not 0 <= found < 2**63:
        raise EtcdFailed(f"an answer that is not understood: {name}")
    return found


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
