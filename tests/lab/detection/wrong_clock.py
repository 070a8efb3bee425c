"""The wall clock of the daemon alone is stepped, while it runs. Its monotonic clock is not.

By libfaketime, which reads what is added to the time from a file, at each reading of the clock.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.cluster import Watched, would_work

STEP = "/run/failoverd/step"


def library() -> str:
    (found,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return str(found)


def begin_with_a_clock_that_can_be_stepped(w: Watched) -> None:
    """The daemon is started again, under it."""
    w.daemon.stop()
    step(w, "+0")
    monitor = w.lab.monitor
    words = [
        f"LD_PRELOAD={library()}",
        f"FAKETIME_TIMESTAMP_FILE={STEP}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]
    w.daemon = monitor.start_daemon(wrapper=["env", *words])
    monitor.wait_ready(20)
    monitor.wait_until(lambda: would_work(w.lab), 15, "a failover would work")


def step(w: Watched, by: str) -> None:
    """`+36h`, `-36h`: as libfaketime has it. At once: a half-written step would be none."""
    script = f"echo '{by}' >{STEP}.new && mv {STEP}.new {STEP} && chmod 644 {STEP}"
    w.lab.monitor.run(["sh", "-c", script])


def stepped(by: str):
    def begin(w: Watched) -> None:
        begin_with_a_clock_that_can_be_stepped(w)
        step(w, by)

    return begin


def crashed_after(by: str):
    def begin(w: Watched) -> None:
        stepped(by)(w)
        w.pg1.kill9_postmaster()

    return begin
