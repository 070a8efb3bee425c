"""The client of etcd alone, against a real one on this machine."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from failoverd.config.verification import verifying
from failoverd.daemon import clock
from failoverd.demo.postgres import free_ports
from failoverd.transport.etcd import Etcd, EtcdClient, EtcdFailed
from tests.cluster.etcd import Store, until_answered
from tests.unit.test_tls import issue, written
from tests.waiting import in_vain

pytestmark = [pytest.mark.lab, pytest.mark.timeout(90)]  # needs etcd, and no root


async def test_a_member_that_is_gone_or_stopped_is_passed_over(store, tmp_path):
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other")
    await asyncio.to_thread(other.wait)
    try:
        gone = f"http://127.0.0.1:{free_ports(1)[0]}"
        client = EtcdClient(Etcd((gone, other.url, store.url)))
        assert await client.read("/t/", 20.0) == {}
        other.pause()
        # Whoever waited for the one that is stopped would wait for all of this.
        assert await client.read("/t/", 20.0) == {}
        await client.close()
    finally:
        other.end()


async def test_a_renewal_of_what_has_ended_is_none(store, tmp_path):
    client = EtcdClient(Etcd((store.url,)))
    granted = await client.grant(5, 10.0)
    assert await client.keep_alive(granted.lease, 10.0) > 0
    await client.revoke(granted.lease, 10.0)
    assert await client.keep_alive(granted.lease, 10.0) == 0
    await client.revoke(granted.lease, 10.0)
    await client.close()


async def test_with_user_and_password_a_wrong_one_is_told_and_never_shown(store, tmp_path):
    admin = EtcdClient(Etcd((store.url,)))
    await admin.put("/t/x", "1", 0, 10.0)
    for path, body in (
        ("auth/user/add", {"name": "root", "password": "r00t"}),
        ("auth/role/add", {"name": "root"}),
        ("auth/user/grant", {"user": "root", "role": "root"}),
        ("auth/enable", {}),
    ):
        async with aiohttp.ClientSession() as session:
            answered = await session.post(f"{store.url}/v3/{path}", json=body)
            assert answered.status == 200, await answered.text()
    with pytest.raises(EtcdFailed):
        await admin.read("/t/", 10.0)
    await admin.close()
    right = EtcdClient(Etcd((store.url,), None, "root", lambda: "r00t"))
    assert (await right.read("/t/", 10.0))["/t/x"].value == "1"
    right._token = "gone.1"
    assert "/t/x" in await right.read("/t/", 10.0)
    await right.close()
    wrong = EtcdClient(Etcd((store.url,), None, "root", lambda: "hunter2"))
    with pytest.raises(EtcdFailed) as failed:
        await wrong.read("/t/", 10.0)
    assert "authentication failed" in str(failed.value)
    assert "hunter2" not in str(failed.value)
    await wrong.close()


async def test_a_certificate_of_somebody_else_is_not_believed_and_one_that_is_wanted_is_shown(
    tmp_path,
):
    authority = issue("the store's authority")
    stranger = written(tmp_path, "stranger", issue("a stranger"))
    ours = written(tmp_path, "authority", authority)
    chain = written(tmp_path, "store.example", issue("store.example", authority))
    expired = written(tmp_path, "expired", issue("store.example", authority, days_left=-1))

    def seen_with(root: Path, shown: Path | None = chain) -> ssl.SSLContext:
        context = verifying(root)
        if shown is not None:
            context.load_cert_chain(shown)
        return context

    async def refused(url: str, context: ssl.SSLContext) -> str:
        client = EtcdClient(Etcd((url,), context))
        try:
            with pytest.raises(EtcdFailed) as failed:
                await client.read("/t/", 3.0)
            return str(failed.value)
        finally:
            await client.close()

    async def told(url: str, context: ssl.SSLContext, word: str) -> None:
        """Once it listens at all: etcd takes connections before it answers them."""
        deadline = clock.monotonic() + 30
        while word not in (last := await refused(url, context)):
            if clock.monotonic() > deadline:
                raise in_vain(30, f"{word!r} is told", last)
            await asyncio.sleep(0.05)

    def begin(certificate: Path, below: str) -> Store:
        (tmp_path / below).mkdir()
        return Store(
            tmp_path / below, "--cert-file", str(certificate), "--key-file", str(certificate),
            "--trusted-ca-file", str(ours.with_suffix(".crt")), "--client-cert-auth",
            scheme="https",
        )  # fmt: skip

    store, late = begin(chain, "good"), begin(expired, "late")
    try:
        known = EtcdClient(Etcd((store.url,), seen_with(ours)))
        await until_answered(known)
        await known.close()
        await told(store.url, seen_with(stranger), "certificate")
        await told(late.url, seen_with(ours), "certificate")
        elsewhere = store.url.replace("127.0.0.1", "localhost")
        await told(elsewhere, seen_with(ours), "certificate")
        await refused(store.url, seen_with(ours, None))  # etcd wants to see one
        await refused(store.url.replace("https", "http"), seen_with(ours))
    finally:
        store.end()
        late.end()
