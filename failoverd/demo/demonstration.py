"""`failoverd demo`: a real primary and standby, a writer, the daemon; a fault; what happens then.

Nothing is acted here: the daemon is the one of production, with a configuration file, and the
demo looks at its HTTP interface and its log as any operator could.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from failoverd.demo import pair as servers
from failoverd.demo import postgres, unprivileged, writer
from failoverd.demo.narration import Narration
from failoverd.demo.outcome import Result, failovers, show, transitions
from failoverd.demo.pair import FAULT_SENTENCES, Fault
from failoverd.demo.postgres import PostgresFailed
from failoverd.demo.screen import Colour, Screen, open_screen
from failoverd.demo.stage import (
    Stage,
    clear_up,
    end_writer,
    footing,
    say_what_is_left,
    set_the_stage,
    short_directory,
)
from failoverd.demo.watched import Sample

_READY_LIMIT_S = 60
_FAILOVER_LIMIT_S = 30
_REPORT_LIMIT_S = 10
_WARM_UP_COMMITS = 200
_AFTERMATH_COMMITS = 100
_TROUBLE = 1


@dataclass(frozen=True, slots=True)
class Before:
    """How things were just before the fault."""

    timeline: int
    samples: tuple[Sample, ...]


def demonstrate(fault: str, *, keep: bool, directory: Path | None) -> int:
    """The exit status: 0 only if all went as it should.

    As root all of it runs in a user namespace, in a process of its own, where there are any.
    """
    if not sys.platform.startswith("linux"):
        print("the demo needs Linux: it looks at the servers' processes in /proc", file=sys.stderr)
        return _TROUBLE
    if unprivileged.needed() and (prefix := unprivileged.namespace_prefix()):
        return _run_again(prefix, fault, keep=keep, directory=directory)
    screen = open_screen()
    with _signals_as_interrupts():
        try:
            return _perform(Fault(fault), screen, keep=keep, directory=directory)
        except KeyboardInterrupt:
            screen.say("Interrupted; nothing is left running.", Colour.YELLOW)
            return 128 + signal.SIGINT
        except BrokenPipeError:  # whoever read our output has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        except (PostgresFailed, PermissionError) as failure:
            screen.say(f"The demo could not go on: {failure}", Colour.RED)
            return _TROUBLE


def _run_again(prefix: tuple[str, ...], fault: str, *, keep: bool, directory: Path | None) -> int:
    """The whole demo once more, as a process that is not root; signals are passed on."""
    child = subprocess.Popen(
        [
            *(*prefix, sys.executable, "-m", "failoverd.demo", "--fault", fault),
            *(("--keep",) if keep else ()),
            *(("--postgres", str(directory.resolve())) if directory else ()),
        ]
    )

    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    with _handling(pass_on):
        status = child.wait()
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _handling(handler: signal._HANDLER) -> Iterator[None]:
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """The first signal interrupts; later ones do not disturb the clearing up, which is short."""

    def interrupt(_: int, __: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    with _handling(interrupt):
        yield


def _perform(fault: Fault, screen: Screen, *, keep: bool, directory: Path | None) -> int:
    place = short_directory()
    with contextlib.ExitStack() as running:
        running.callback(clear_up, place)
        stage = set_the_stage(place, footing(place, directory), running, screen)
        narration = Narration(stage.daemon, screen)
        before = _warm_up(stage, narration)
        fault_at_s = _strike(stage, fault, screen)
        _follow(stage, fault_at_s, narration)
        good = show(_result(stage, before, fault_at_s), stage.pair.standby.name, screen)
        if keep:
            stage.application.terminate()
            running.pop_all()
            say_what_is_left(stage, screen)
            return 0 if good else _TROUBLE
    screen.say(f"Nothing is left running; logs and the report stay in {place}", Colour.DIM)
    return 0 if good else _TROUBLE


def _warm_up(stage: Stage, narration: Narration) -> Before:
    """Until the daemon is ready and has seen both hosts, and the writer writes."""

    def ready() -> bool:
        narration.tell()
        if stage.daemon.exit_status is not None:
            raise PostgresFailed(
                f"the daemon ended with status {stage.daemon.exit_status}: see {stage.daemon.log}"
            )
        return stage.daemon.ready() and narration.prepared

    postgres.wait_for(ready, f"the daemon is ready ({stage.daemon.log})", timeout_s=_READY_LIMIT_S)
    postgres.wait_for(
        lambda: len(stage.acknowledgements) >= _WARM_UP_COMMITS,
        f"{_WARM_UP_COMMITS} acknowledged commits",
    )
    narration.tell()
    narration.screen.say(
        f"All is well, {len(stage.acknowledgements)} commits acknowledged so far. "
        f"If the primary died now, failoverd would: {narration.outlook}."
    )
    return Before(servers.timeline(stage.pair.primary), stage.daemon.metrics())


def _strike(stage: Stage, fault: Fault, screen: Screen) -> float:
    """The fault, and the instant from which everything is counted."""
    screen.say()
    at_s = time.monotonic()
    screen.fault_at_s = at_s
    screen.event("fault", FAULT_SENTENCES[fault], Colour.RED, at_s=at_s)
    servers.inject(stage.pair, fault)
    return at_s


def _follow(stage: Stage, fault_at_s: float, narration: Narration) -> None:
    """Tell what happens until the daemon watches again and the writer has gone on for a while."""
    standby = stage.pair.standby.name
    told = False

    def over() -> bool:
        nonlocal told
        narration.tell()
        if stage.daemon.exit_status is not None:
            return True
        acknowledged = stage.acknowledgements
        pause = writer.outage(acknowledged, fault_at_s)
        if pause is None:
            return False
        if not told:
            told = True
            narration.screen.event(
                "writer",
                f"commit {pause.first_after.number} acknowledged by {pause.first_after.server}",
                Colour.GREEN,
                at_s=pause.first_after.at_s,
            )
        on_standby = sum(1 for each in acknowledged if each.server == standby)
        return narration.settled_on(standby) and on_standby >= _AFTERMATH_COMMITS

    with contextlib.suppress(PostgresFailed):  # the summary says what is missing
        postgres.wait_for(over, "the failover", timeout_s=_FAILOVER_LIMIT_S)
    narration.tell()


def _result(stage: Stage, before: Before, fault_at_s: float) -> Result:
    """Stop the writer, then compare its account with the new primary's table."""
    status = stage.daemon.status()
    end_writer(stage.application)
    acknowledged = stage.acknowledgements
    numbers = frozenset(each.number for each in acknowledged)
    try:
        timeline: int | None = servers.timeline(stage.pair.standby)
    except PostgresFailed:
        timeline = None  # still in recovery
    samples = stage.daemon.metrics()
    return Result(
        outage=writer.outage(acknowledged, fault_at_s),
        acknowledged=len(acknowledged),
        lost=numbers - servers.committed(stage.pair.standby),
        timeline_before=before.timeline,
        timeline_after=timeline,
        state=str(status.get("state", "unknown")),
        primary=str(status.get("primary", "")),
        transitions=transitions(samples) - transitions(before.samples),
        failovers=failovers(samples) - failovers(before.samples),
        report=_report(stage.directory / "state" / "reports"),
    )


def _report(directory: Path) -> Path | None:
    def found() -> list[Path]:
        return sorted(directory.glob("*.md"))

    with contextlib.suppress(PostgresFailed):
        postgres.wait_for(lambda: bool(found()), "the report", timeout_s=_REPORT_LIMIT_S)
    return found()[-1] if found() else None
