"""Conditions in which the primary is lost, and a failover is right."""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.detection.condition import Condition
from tests.lab.detection.frozen_daemon import sleep_while_the_primary_dies
from tests.lab.detection.refusing import PASSING
from tests.lab.detection.wrong_clock import crashed_after
from tests.lab.lab import Lab


def can_be_turned_off(lab: Lab) -> None:
    lab.monitor.private_file("off", "#!/bin/sh\necho its socket is off\n", mode=0o700)


def lose_host(w: Watched) -> None:
    w.lab.link_down(w.pg1)
    w.pg1.kill9_all()


def demote(w: Watched) -> None:
    (w.pg1.data / "standby.signal").touch()
    w.pg1.pg_ctl("restart", "-m", "fast", "-w", "-s")


BY_COMMAND = {"fencing": {"ladder": ["stop", {"command": {"argv": ["/etc/failoverd/off"]}}]}}

LOST = (
    Condition(
        "the host of the primary is gone",
        "unreachable",
        lose_host,
        fails_over=True,
        own=True,
        sections=BY_COMMAND,
        prepare=can_be_turned_off,
        note="fenced by a command",
    ),
    Condition(
        "the host of the primary is gone, and nothing can fence it",
        "unreachable",
        lose_host,
        own=True,
        sections={"failover": {"mode": "manual"}},
        serves=False,
        note="mode: manual",
    ),
    Condition(
        "somebody makes the primary a standby",
        "demoted",
        demote,
        own=True,
        serves=False,
        roles_change=True,
        also=PASSING,
    ),
    Condition(
        "somebody promotes the standby beside the primary",
        "split_brain",
        lambda w: w.pg2.pg_ctl("promote", "-w"),
        own=True,
        roles_change=True,
    ),
    Condition(
        "the postmaster is killed",
        "crashed",
        lambda w: w.pg1.kill9_postmaster(),
        fails_over=True,
        own=True,
    ),
    Condition(
        "every process of the server is killed",
        "crashed",
        lambda w: w.pg1.kill9_all(),
        fails_over=True,
        own=True,
    ),
    Condition(
        "every process of the server is frozen",
        "hung",
        lambda w: w.pg1.sigstop_all(),
        fails_over=True,
        own=True,
    ),
    Condition(
        "the server is shut down and stays down",
        "stopped",
        lambda w: w.pg1.pg_ctl_stop("fast"),
        fails_over=True,
        own=True,
    ),
    Condition(
        "the server is shut down in immediate mode",
        "crashed",
        lambda w: w.pg1.pg_ctl_stop("immediate"),
        fails_over=True,
        own=True,
    ),
    Condition(
        "the postmaster is killed while our daemon is frozen",
        "crashed",
        sleep_while_the_primary_dies,
        fails_over=True,
        own=True,
    ),
    Condition(
        "the postmaster is killed after our wall clock was stepped forward by 36 hours",
        "crashed",
        crashed_after("+36h"),
        fails_over=True,
        own=True,
    ),
    Condition(
        "the postmaster is killed after our wall clock was stepped backward by 36 hours",
        "crashed",
        crashed_after("-36h"),
        fails_over=True,
        own=True,
    ),
)
