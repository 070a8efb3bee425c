"""Log lines never hold anything up, and nothing is lost unsaid."""

from __future__ import annotations

import json
import logging
import os
import socket

import pytest
import structlog

from failoverd.core.asked import effects
from failoverd.core.events import EffectFailed, Evidence, Replied
from failoverd.observability import log
from failoverd.observability.journald import Journald, message_id
from failoverd.observability.repeats import UnderWay, without_repeats
from tests.unit.story import Story, failover


@pytest.fixture
def pipe():
    """A log and the end of it that is read."""
    reader, writer = os.pipe()
    yield reader, writer
    log.stop_logging()
    os.close(reader)
    os.close(writer)


def written(reader, writer):
    """What came out, once the log has stopped."""
    log.stop_logging()
    os.set_blocking(reader, False)
    text = b""
    try:
        while part := os.read(reader, 65536):
            text += part
    except BlockingIOError:
        pass
    return text.decode().splitlines()


def tell(story):
    for before, event, after, entry, _ in story.steps:
        log.step_logged("main", before, event, after, entry)


def test_a_failover_is_a_line_for_each_entry(pipe):
    log.start_logging("debug", "json", pipe[1])
    story = failover()
    tell(story)
    lines = [json.loads(line) for line in written(*pipe)]
    assert [line["event"] for line in lines] == [e.sentence for e in story.entries]
    assert {line["cluster"] for line in lines} == {"main"}
    confirmed = next(line for line in lines if line.get("outcome"))
    assert confirmed["incident"] == 1
    assert confirmed["level"] == "info"


def test_a_password_is_in_no_line(pipe):
    log.start_logging("debug", "json", pipe[1])
    tell(failover())
    assert "hunter2" not in "".join(written(*pipe))


def test_what_needs_a_person_is_an_error(pipe):
    log.start_logging("info", "json", pipe[1])
    story = Story().all_well().primary_dies()
    fence, *_ = effects(story.machine)
    failed = EffectFailed("timed_out", Evidence("no answer"), "failoverd fenced pg1")
    story.happens(Replied(story.machine.visit, fence, failed))
    tell(story)
    assert json.loads(written(*pipe)[-1])["level"] == "error"


def test_lines_below_the_level_are_left_out(pipe):
    log.start_logging("warning", "json", pipe[1])
    tell(Story().all_well())
    assert written(*pipe) == []


def test_for_people_a_line_begins_with_the_time_and_has_the_sentence(pipe):
    log.start_logging("info", "console", pipe[1])
    log.logger().warning("fencing pg1", cluster="main")
    (line,) = written(*pipe)
    assert "fencing pg1" in line
    assert "cluster=main" in line
    assert "\x1b" not in line


def test_under_systemd_each_line_of_each_entry_begins_with_its_priority(pipe, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.start_logging("info", "console", pipe[1])
    log.logger().info("one")
    log.logger().error("two\nthree")
    assert [line[:3] for line in written(*pipe)] == ["<6>", "<3>", "<3>"]


def test_elsewhere_no_priority_is_written(pipe, monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.start_logging("info", "json", pipe[1])
    log.logger().info("one")
    assert written(*pipe)[0].startswith("{")


def test_a_pipe_that_nobody_reads_holds_nothing_up_and_is_counted(monkeypatch):
    monkeypatch.setattr(log, "QUEUED", 5)
    monkeypatch.setattr(log, "STOP_S", 0.05)
    reader, writer = os.pipe()
    log.start_logging("info", "json", writer)
    thread = log._writers[0]._thread
    before = log.lines_dropped()
    for _ in range(200):
        log.logger().info("x" * 10_000)
    assert log.lines_dropped() - before > 150
    log.stop_logging()
    os.close(reader)
    thread.join(10)
    assert not thread.is_alive()
    os.close(writer)


def test_when_the_reader_is_back_it_is_told_what_it_missed(pipe, monkeypatch):
    monkeypatch.setattr(log, "QUEUED", 2)
    log.start_logging("info", "json", pipe[1])
    before = log.lines_dropped()
    while log.lines_dropped() == before:
        log.logger().info("y" * 10_000)
    text = b""
    while b"log lines were dropped" not in text:
        text += os.read(pipe[0], 1 << 20)
        log.logger().info("back")


def test_a_reader_that_is_gone_holds_nothing_up():
    reader, writer = os.pipe()
    os.close(reader)
    log.start_logging("info", "json", writer)
    before = log.lines_dropped()
    log.logger().info("lost")
    log.stop_logging()
    os.close(writer)
    assert log.lines_dropped() == before + 1


def test_a_warning_of_a_library_takes_the_same_way(pipe):
    log.start_logging("info", "json", pipe[1])
    logging.getLogger("asyncssh").warning("host key of %s changed", "pg1")
    (line,) = written(*pipe)
    assert json.loads(line)["event"] == "host key of pg1 changed"
    assert json.loads(line)["library"] == "asyncssh"


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_written_with_its_trace(pipe, form):
    log.start_logging("info", form, pipe[1])
    try:
        int("seven")
    except ValueError:
        logging.getLogger("asyncio").exception("task failed")
    assert "ValueError: invalid literal" in "\n".join(written(*pipe))


@pytest.fixture
def journald(tmp_path, monkeypatch, pipe):
    """A socket in the place of systemd's, and our output as the stream that systemd gives."""
    path = str(tmp_path / "socket")
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    taken.bind(path)
    taken.settimeout(10)
    monkeypatch.setattr(log, "Journald", lambda: Journald(path))
    stream = os.fstat(pipe[1])
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}")
    yield taken
    taken.close()


def test_the_journal_of_systemd_gets_each_line_with_the_fields_to_search_by(pipe, journald):
    log.start_logging("debug", "json", pipe[1])
    story = failover()
    tell(story)
    log.logger().error("a\nb")
    lines = [journald.recv(65536).decode() for _ in story.entries]
    assert all("\nFAILOVERD_CLUSTER=main\n" in line for line in lines)
    (promoting,) = [line for line in lines if "\nFAILOVERD_FROM_STATE=salvaging\n" in line]
    assert "\nFAILOVERD_STATE=promoting\n" in promoting
    assert f"\nMESSAGE_ID={message_id('transition')}\n" in promoting
    assert "PRIORITY=3\n" in journald.recv(65536).decode()
    assert written(*pipe) == []


def test_what_the_journal_of_systemd_does_not_take_is_written_as_ever(pipe, journald):
    journald.close()
    log.start_logging("debug", "json", pipe[1])
    log.logger().warning("all is not well")
    (line,) = written(*pipe)
    assert line.startswith("<4>{")


def test_the_same_sentence_is_written_once_a_minute_and_then_with_how_often_it_was_left_out():
    now = [100.0]
    once = without_repeats(lambda: now[0])
    line = {"event": "no answer from pg1 in 3.1 s", "cluster": "main"}
    assert once(None, "warning", dict(line)) == line
    for seconds in (3, 4.25, 17):
        with pytest.raises(structlog.DropEvent):
            once(None, "warning", {**line, "event": f"no answer from pg1 in {seconds} s"})
    now[0] += 61
    assert once(None, "warning", dict(line))["repeated"] == 3


def test_another_node_another_level_and_a_change_of_state_are_no_repeats():
    once = without_repeats(lambda: 100.0)
    line = {"event": "no answer from pg1 in 3.1 s", "cluster": "main"}
    once(None, "warning", dict(line))
    for level, other in (
        ("warning", {**line, "event": "no answer from pg2 in 3.1 s"}),
        ("error", line),
        ("warning", {**line, "cluster": "other"}),
        ("warning", {**line, "from_state": "watching"}),
        ("warning", {**line, "from_state": "watching"}),
    ):
        assert once(None, level, dict(other)) == other


def test_during_an_incident_every_line_has_its_number_and_afterwards_none():
    under_way = UnderWay()
    under_way.is_now("main", 7)
    assert under_way.numbered(None, "info", {"event": "x"})["incident"] == 7
    assert under_way.numbered(None, "info", {"event": "x", "cluster": "main"})["incident"] == 7
    assert "incident" not in under_way.numbered(None, "info", {"event": "x", "cluster": "other"})
    under_way.is_now("other", 9)
    assert "incident" not in under_way.numbered(None, "info", {"event": "x"})
    under_way.is_now("main", None)
    under_way.is_now("other", None)
    assert under_way.numbered(None, "info", {"event": "x"}) == {"event": "x"}
