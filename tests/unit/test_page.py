"""The status page is whole by itself, and the stream of events loses nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from aiohttp.test_utils import TestClient, TestServer

from failoverd.core.asked import effects
from failoverd.core.events import EffectFailed, Evidence, Replied
from failoverd.core.model import WallTime
from failoverd.observability import live as live_module
from failoverd.observability import report
from failoverd.observability.http import application
from failoverd.observability.limits import AT_ONCE, Rate, limited
from failoverd.observability.live import Live
from failoverd.observability.page import POLICY as CONTENT_POLICY
from failoverd.observability.page import SCRIPT, Shown, page
from failoverd.observability.status import status_document
from tests.unit.story import Story, failover

EMPTY = {"meta", "img", "br", "link", "input"}


class Checked(HTMLParser):
    """Every element is closed where it was opened; each id is there once."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.ids, self.text, self.addresses = [], [], [], [], []
        self.feed(text)
        self.close()
        self.wrong += self.open
        self.wrong += [one for one in self.ids if self.ids.count(one) > 1]

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def shown(story, incidents=(), name="main"):
    return Shown(status_document(name, story.machine, story.now, story.policy), incidents)


def parsed(*clusters, events=()):
    checked = Checked(page(clusters, events))
    assert checked.wrong == []
    return checked


def blocked(said="no answer from pg1"):
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    failed = EffectFailed("timed_out", Evidence(said), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    return story


def test_who_is_the_primary_and_who_streams_from_whom_can_be_read():
    words = parsed(shown(Story().all_well())).words
    assert "pg1 primary" in words
    assert "pg2 standby, streaming, 0 B behind" in words
    assert "fence pg1 and promote pg2" in words


def test_a_standby_stands_below_the_node_that_it_streams_from():
    text = page([shown(Story().all_well())], [])
    tree = text[text.index('<ul class="tree">') :]
    assert re.match(r'<ul class="tree"><li><strong>pg1</strong>.*?<ul><li><strong>pg2', tree)


def test_what_blocks_is_an_alert_with_the_command_that_would_help():
    text = page([shown(blocked())], [])
    assert 'role="alert"' in text
    assert "<code>failoverd fenced pg1</code>" in text


def test_what_a_server_said_is_text_and_nothing_else():
    evil = "<img src=x onerror=alert(1)>"
    text = page([shown(blocked(evil))], [{**happening(), "sentence": evil}])
    assert evil not in text
    assert "&lt;img src=x" in text


def test_nothing_comes_from_elsewhere_and_only_its_own_script_may_run():
    story = failover()
    rows = [(now.wall, entry) for *_, entry, now in story.steps if entry is not None]
    line = report.summary("main", 1, rows)
    checked = parsed(shown(story, [line]))
    assert checked.addresses
    assert all(one.startswith(("/", "#")) for one in checked.addresses)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in CONTENT_POLICY
    assert "default-src 'none'" in CONTENT_POLICY


def test_an_incident_has_its_picture_its_words_and_its_report():
    story = failover()
    rows = [(now.wall, entry) for *_, entry, now in story.steps if entry is not None]
    checked = parsed(shown(story, [report.summary("main", 1, rows)]))
    base = "/api/v1/clusters/main/incidents/1"
    assert f"{base}?format=svg" in checked.addresses
    assert f"{base}?format=markdown" in checked.addresses
    assert "1 succeeded crashed" in checked.words


def test_many_clusters_are_a_list_that_leads_to_each():
    story = Story().all_well()
    checked = parsed(*(shown(story, name=f"c{n}") for n in range(30)))
    assert "/?cluster=c29" in checked.addresses


def test_what_stands_in_the_way_has_its_fix():
    one = shown(Story().all_well())
    check = {"check": "sudo", "node": "pg2", "verdict": "fail", "sentence": "no sudo",
             "fix": "visudo\ntrue"}  # fmt: skip
    passing = {**check, "verdict": "pass", "sentence": "fine"}
    fault = {"fault": "crash", "worst_s": 0.9, "by": "stop", "sentence": "crash: at most 0.9 s"}
    readiness = {"ready": False, "checks": [check, passing], "objectives": [fault]}
    words = parsed(Shown({**one.status, "readiness": readiness}, ())).words
    assert "1 checks pass, 1 do not." in words
    assert "fail: pg2: no sudo To mend it: visudo true" in words
    assert "crash: at most 0.9 s" in words


# The events.


def happening(**other):
    told = {"cluster": "main", "at": "2026-01-02T03:04:05.678+00:00", "state": "watching"}
    return {**told, "sentence": "watching: pg1 is the primary", **other}


class Source:
    """As the daemon has it."""

    def __init__(self):
        self.live = Live(WallTime(1000.0))
        self.story = Story().all_well()

    def clusters(self):
        return ["main"]

    def status(self, cluster):
        return shown(self.story).status

    def incidents(self, cluster):
        return []

    def ready(self, cluster):
        return True

    def metrics(self, wanted):
        return iter([b""])


@pytest.fixture
async def asked():
    """A client of what is served, and the source behind it."""
    source = Source()
    async with TestClient(TestServer(application(source))) as client:
        client.source = source
        yield client


async def read_event(stream):
    """The next one: its id, and what it tells."""
    found = {}
    async with asyncio.timeout(60):
        while line := (await stream.content.readline()).decode().strip() or not found:
            if isinstance(line, str) and ": " in line and not line.startswith(("retry", ":")):
                key, _, value = line.partition(": ")
                found[key] = value
    return int(found["id"]), json.loads(found["data"])


async def listening(client, after=None):
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    stream = await client.get("/api/v1/events", headers=headers)
    assert stream.headers["Content-Type"] == "text/event-stream"
    await stream.content.readline()
    return stream


async def test_an_event_reaches_whoever_listens(asked):
    stream = await listening(asked)
    asked.source.live.publish(happening(state="suspect"))
    _, told = await read_event(stream)
    assert told["state"] == "suspect"


async def test_whoever_was_cut_off_gets_what_was_missed(asked):
    stream = await listening(asked)
    asked.source.live.publish(happening(state="suspect"))
    number, _ = await read_event(stream)
    stream.close()
    asked.source.live.publish(happening(state="fencing"))
    again = await listening(asked, after=number)
    _, told = await read_event(again)
    assert told["state"] == "fencing"


def test_numbers_of_events_grow_over_a_restart():
    first, later = Live(WallTime(1000.0)), Live(WallTime(1010.0))
    first.publish(happening())
    later.publish(happening())
    assert later.recent()[0].number > first.recent()[0].number


async def test_a_listener_that_does_not_read_costs_nobody_anything():
    live = Live(WallTime(1000.0))
    with live.listening() as queue:
        for _ in range(live_module.BEHIND + 10):
            live.publish(happening())
        assert await queue.get() is None


async def test_so_many_may_listen_and_no_more(asked, monkeypatch):
    monkeypatch.setattr(live_module, "LISTENERS", 1)
    stream = await listening(asked)
    assert (await asked.get("/api/v1/events")).status == 503
    stream.close()


async def test_the_last_events_can_be_had_as_json(asked):
    asked.source.live.publish(happening())
    answer = await asked.get("/api/v1/events", headers={"Accept": "application/json"})
    assert [one["state"] for one in (await answer.json())["events"]] == ["watching"]


async def test_the_page_is_served_with_its_policy(asked):
    answer = await asked.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Security-Policy"] == CONTENT_POLICY
    assert "pg1 is the primary" in await answer.text()
    assert (await asked.get("/?cluster=none")).status == 404


# What may be asked at most.


def test_an_address_may_ask_so_often_and_others_are_not_kept_from_it():
    now = [100.0]
    rate = Rate(lambda: now[0])
    assert [rate.allows("a") for _ in range(int(AT_ONCE))] == [True] * int(AT_ONCE)
    assert not rate.allows("a")
    assert rate.allows("b")
    now[0] += 1
    assert rate.allows("a")


async def test_too_many_requests_are_told_so():
    source = Source()
    app = application(source, limited(lambda: 100.0))
    async with TestClient(TestServer(app)) as client:
        answers = [(await client.get("/healthz")).status for _ in range(int(AT_ONCE) + 1)]
        assert answers[-2:] == [200, 429]


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
async def test_over_tcp_nothing_can_be_done(asked, method):
    ask = getattr(asked, method)
    for path in ("/api/v1/clusters/main/failover", "/api/v1/reload", "/"):
        assert (await ask(path)).status in (404, 405)
