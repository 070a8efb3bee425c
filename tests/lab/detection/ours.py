"""What is our own fault, or another node's, is never held against the primary."""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.detection.condition import Condition
from tests.lab.detection.descriptors import get_them_back, run_out
from tests.lab.detection.frozen_daemon import sleep_and_wake, suspend_and_resume
from tests.lab.detection.full_disk import ask_in_vain, fill, make_room, small_state_directory
from tests.lab.detection.overload import Overload
from tests.lab.detection.wrong_clock import stepped

OVERLOAD = Overload(nice=5)


def set_link(state: str):
    def act(w: Watched) -> None:
        w.lab.monitor.run_in_network(["ip", "link", "set", "eth0", state])

    return act


def be_alone(w: Watched) -> None:
    w.lab.link_down(w.pg2)
    w.lab.part(w.lab.monitor, w.pg1)


def heal(w: Watched) -> None:
    w.lab.heal()


OURS: tuple[Condition, ...] = (
    Condition(
        "the daemon is frozen for longer than the threshold",
        "healthy",
        sleep_and_wake,
        also=frozenset({"blind"}),
    ),
    Condition(
        "the host of the daemon is suspended for longer than the threshold",
        "healthy",
        suspend_and_resume,
        also=frozenset({"blind"}),
    ),
    Condition(
        "our wall clock is stepped forward by 36 hours",
        "healthy",
        stepped("+36h"),
        own=True,
    ),
    Condition(
        "our wall clock is stepped backward by 36 hours",
        "healthy",
        stepped("-36h"),
        own=True,
    ),
    Condition(
        "our network cable is pulled",
        "blind",
        lambda w: w.lab.link_down(w.lab.monitor),
        heal,
    ),
    Condition(
        "our network interface is shut down",
        "blind",
        set_link("down"),
        set_link("up"),
    ),
    Condition(
        "the daemon has no file descriptor left",
        "blind",
        run_out,
        get_them_back,
    ),
    Condition(
        "the state directory is full",
        "blind",
        lambda w: (fill(w), ask_in_vain(w)),
        make_room,
        prepare=small_state_directory,
        own=True,
        said="the journal failed: nothing is done without it",
        note="as soon as something was to be journaled; the status says so, and nothing is done",
    ),
    Condition(
        "the host of the daemon is overloaded, and the daemon comes last",
        "healthy",
        OVERLOAD.begin,
        OVERLOAD.end,
        also=frozenset({"blind"}),
    ),
    Condition(
        "the host of the standby is away",
        "healthy",
        lambda w: w.lab.link_down(w.pg2),
        heal,
    ),
    Condition(
        "the host of the standby is away, and the monitor is cut off from the primary",
        "blind",
        be_alone,
        heal,
    ),
)
