"""An act that the daemon carries through is followed from here, sentence by sentence."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from failoverd.cli.context import EXIT_TIMED_OUT, Context, fail

POLL_S = 0.2

Status = dict[str, Any]

SERVES = frozenset({"healthy", "read_only", "sync_blocked"})
"""Diagnoses of a primary that is well."""


def as_it_is(primary: str, now: Status) -> str:
    """Of a primary that nobody has replaced: whether it serves."""
    if now["diagnosis"] in SERVES:
        return f"{primary} is the primary as before"
    advice = (now["blocked"] or {}).get("advice") or "failoverd status says what is tried"
    return f"nobody has replaced {primary}, which is {now['diagnosis']}: {advice}"


def taken_back(now: Status) -> bool:
    """Nothing goes forward, or a primary serves: one that was just started may not yet."""
    return now["state"] == "blocked" or (now["state"] == "watching" and now["diagnosis"] in SERVES)


def follow(obj: Context, cluster: str, timeout_s: float, over: Callable[[Status], bool]) -> Status:
    """Print what changes until it is over, and return the status then. Ends with 4 if it is not."""
    deadline = time.monotonic() + timeout_s  # noqa: TID251 - a person waits at this end
    said = ""
    while True:
        _, now = obj.ask("GET", f"/api/v1/clusters/{cluster}")
        details = (node["job_detail"] for node in now["nodes"].values() if node["job_detail"])
        words = "; ".join([now["sentence"], *details])
        if words != said:
            said = words
            click.echo(words)
        if over(now):
            return dict(now)
        if time.monotonic() >= deadline:  # noqa: TID251
            fail("it is not over yet: failoverd status says where it is", EXIT_TIMED_OUT)
        time.sleep(POLL_S)
