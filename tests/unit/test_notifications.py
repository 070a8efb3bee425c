"""Whoever is to be told is told, once it can be, also after a restart; and nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import stat
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from failoverd.config.notify import Notify
from failoverd.core.asked import effects
from failoverd.core.events import EffectFailed, Evidence, Replied, StillAlive
from failoverd.core.policy import Mode
from failoverd.daemon import notifications, spool
from failoverd.daemon.notifications import Notifications
from failoverd.observability.metrics import Metrics
from failoverd.observability.notices import Notice, NoticeKind, notice
from failoverd.transport import webhook
from failoverd.transport.webhook import signature
from tests.unit.story import POLICY, Story, failover
from tests.unit.test_access import authority
from tests.unit.test_metrics import served
from tests.unit.test_tls import issue, written
from tests.waiting import until

__all__ = ["authority"]

WITHIN_S = 30


def notices(story):
    """What was told of a story, in order."""
    for before, event, after, entry, now in story.steps:
        if entry is not None:
            found = notice("main", before, event, after, entry, now.wall)
            if found is not None:
                yield found


def test_a_failover_is_told_when_it_begins_and_when_it_is_confirmed():
    begun, succeeded = notices(failover())
    assert begun.kind is NoticeKind.BEGUN
    assert begun.document["sentence"].startswith("fencing pg1")
    assert succeeded.kind is NoticeKind.SUCCEEDED
    assert succeeded.document["primary"] == "pg2"
    assert succeeded.document["incident"] == 1
    assert succeeded.document["report"] == "failoverd report 1 --cluster main"


def test_one_that_was_cancelled_is_told_so():
    story = Story().all_well().primary_dies().answers(StillAlive)
    assert [one.kind for one in notices(story)] == [NoticeKind.BEGUN, NoticeKind.CANCELLED]


def test_what_blocks_is_told_once_with_the_command_that_helps():
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    failed = EffectFailed("timed_out", Evidence("no answer"), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    story.primary_dies()
    kinds = [one.kind for one in notices(story)]
    assert kinds == [NoticeKind.BEGUN, NoticeKind.BLOCKED]
    assert "failoverd fenced pg1" in list(notices(story))[-1].document["advice"]


def test_what_is_left_to_others_is_told_with_what_would_have_been_done():
    story = Story(policy=replace(POLICY, mode=Mode.OBSERVE)).all_well().primary_dies()
    (told,) = notices(story)
    assert told.kind is NoticeKind.OBSERVED
    assert "it would fence pg1" in told.document["sentence"]
    assert all(one.is_news for *_, one, _ in story.steps if one is not None and one.outcome)


def test_a_stumble_is_told_nobody():
    assert list(notices(Story().all_well().stumbles().all_well())) == []


# Telling.


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(notifications, "FIRST_AGAIN_S", 0.01)


@contextlib.asynccontextmanager
async def telling(told, directory, metrics=None):
    """As a daemon does from its start to its end."""
    running = Notifications([Notify(**one) for one in told], directory, metrics or Metrics())
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        running.close()


@contextlib.asynccontextmanager
async def hook(answers, tls=None):
    """A webhook that answers as it is told, and what it was sent."""
    got = asyncio.Queue()

    async def post(request):
        body = await request.read()
        status = answers.pop(0) if answers else 200
        got.put_nowait((status, dict(request.headers), body))
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/hook", post)
    server = TestServer(app, scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls)
    async with server:
        yield str(server.make_url("/hook")), got


async def next_of(queue):
    async with asyncio.timeout(WITHIN_S):
        return await queue.get()


SAID = Notice(NoticeKind.BLOCKED, {"kind": "blocked", "cluster": "main", "sentence": "why"})


async def test_a_webhook_gets_the_document_and_can_see_that_it_is_ours(tmp_path, quick):
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    async with hook([]) as (url, got):
        told = [{"webhook": {"url": url, "secret": {"file": str(secret)}}}]
        async with telling(told, tmp_path) as running:
            running.note(SAID)
            _, headers, body = await next_of(got)
    assert json.loads(body)["sentence"] == "why"
    assert headers["X-Failoverd-Signature"] == signature(body, "hunter2")
    assert b"hunter2" not in body


@pytest.mark.parametrize(
    ("believed", "said"), [("authority", ""), ("another", "certificate verify failed")]
)
async def test_a_webhook_is_believed_by_the_authorities_of_the_system_alone(
    tmp_path, monkeypatch, authority, believed, said
):
    written(tmp_path, "another", issue("another authority"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / f"{believed}.crt"))
    webhook.of_the_system.cache_clear()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "failoverd.pem")
    async with hook([], tls) as (url, _):
        for address in (url, url.replace("https:", "HTTPS:")):
            told = await webhook.post(address, b"{}", None, WITHIN_S)
            assert (told == "") == (said == "")
            assert said in told
    webhook.of_the_system.cache_clear()


async def test_one_that_fails_is_told_again_and_nothing_overtakes_it(tmp_path, quick):
    metrics = Metrics()
    async with (
        hook([500, 503]) as (url, got),
        telling([{"webhook": {"url": url}}], tmp_path, metrics) as running,
    ):
        running.note(SAID)
        running.note(Notice(NoticeKind.SUCCEEDED, {"kind": "succeeded"}))
        kinds = [json.loads((await next_of(got))[2])["kind"] for _ in range(4)]
        await until(lambda: not list(tmp_path.rglob("*.json")), "nothing is left to tell")
    assert kinds == ["blocked", "blocked", "blocked", "succeeded"]
    name = "failoverd_notifications_total"
    counted = {dict(k[1])["outcome"]: v for k, v in served(metrics).items() if k[0] == name}
    assert counted == {"told": 2, "failed": 2, "given_up": 0, "dropped": 0}


async def test_what_was_not_told_is_told_after_a_restart(tmp_path, quick):
    told = [{"webhook": {"url": "http://127.0.0.1:9/hook"}}]
    async with telling(told, tmp_path) as running:
        running.note(SAID)
        await until(lambda: list(tmp_path.rglob("*.json")), "it is kept")
    async with hook([]) as (url, got), telling([{"webhook": {"url": url}}], tmp_path):
        assert json.loads((await next_of(got))[2])["sentence"] == "why"


async def test_a_command_gets_the_document_and_is_run_again_until_it_says_well_done(
    tmp_path, quick
):
    program = tmp_path / "tell"
    program.write_text(
        f"#!/bin/sh\ncat >>{tmp_path}/got; echo >>{tmp_path}/got\n"
        f'test -e {tmp_path}/tried && {{ echo "$FAILOVERD_KIND" >{tmp_path}/well; exit 0; }}\n'
        f"touch {tmp_path}/tried; exit 1\n"
    )
    program.chmod(0o755)
    async with telling([{"command": {"argv": [str(program)]}}], tmp_path) as running:
        running.note(SAID)
        await until((tmp_path / "well").exists, "it is well done")
        await until(lambda: not list(tmp_path.rglob("*.json")), "nothing is left to tell")
    lines = [json.loads(line) for line in (tmp_path / "got").read_text().splitlines()]
    assert [one["sentence"] for one in lines] == ["why", "why"]
    assert lines[0]["id"] == lines[1]["id"]
    assert (tmp_path / "well").read_text() == "blocked\n"


async def test_one_that_does_not_answer_keeps_nobody_from_hearing(tmp_path, quick):
    async with hook([]) as (url, got):
        told = [
            {"name": "deaf", "webhook": {"url": "http://127.0.0.1:9/hook"}},
            {"webhook": {"url": url}},
        ]
        async with telling(told, tmp_path) as running:
            running.note(SAID)
            _, _, body = await next_of(got)
    assert json.loads(body)["sentence"] == "why"


def test_a_queue_does_not_grow_for_ever_and_is_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "LONGEST", 3)
    kept = spool.Spool(tmp_path)
    gone = [kept.add("hook", number, 0.0, {"n": number}) for number in range(5)]
    assert gone == [0, 0, 0, 1, 1]
    assert kept.first("hook").document == {"n": 2}
    assert stat.S_IMODE((tmp_path / "hook").stat().st_mode) == 0o700
    for file in (tmp_path / "hook").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_notice_that_was_cut_off_is_no_notice_and_keeps_no_other_back(tmp_path):
    kept = spool.Spool(tmp_path)
    kept.add("hook", 1, 0.0, {"n": 1})
    (tmp_path / "hook" / f"{1:020d}.json").write_text('{"doc')
    kept.add("hook", 2, 0.0, {"n": 2})
    assert kept.first("hook").document == {"n": 2}


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ({"webhook": {"url": "ftp://x"}}, "is no address of a webhook; write one like https://"),
        ({"webhook": {}}, "must have one address; write url or url_secret"),
        ({}, "must be one who is told; write {webhook"),
        ("pagerduty", "is nobody who can be told; write {webhook"),
    ],
)
def test_a_mistake_says_what_to_write_instead(written, wrong):
    with pytest.raises(ValueError, match=wrong.replace("{", r"\{")):
        Notify.model_validate(written)
