"""A command of the operator's own leads applications over, in a real failover, and is told how."""

from __future__ import annotations

import json

import pytest

from tests.lab.cluster import watched

pytestmark = pytest.mark.lab

PLACE = "/var/lib/failoverd"
SCRIPT = f"""#!/bin/sh
set -eu
told=$(cat)
{{ printf '%s\\n' "$1" "$told"; env | grep ^FAILOVERD_; }} >{PLACE}/telling.$$
mv {PLACE}/telling.$$ {PLACE}/told.$(date +%s%N)
case $FAILOVERD_ACTION in
check) [ "$(cat {PLACE}/led)" = "$FAILOVERD_HOST" ] ;;
redirect)
    # At the first try after a failover it is not to be had.
    if [ "$FAILOVERD_EPOCH" != 0 ] && mkdir {PLACE}/refused 2>/dev/null; then
        echo "not yet"
        exit 3
    fi
    echo "$FAILOVERD_HOST" >{PLACE}/led
    echo "leading to $FAILOVERD_PRIMARY" ;;
esac
"""
TARGET = {"command": {"argv": ["/etc/failoverd/redirect", "word"], "check": True}}
ENVIRONMENT = {
    "FAILOVERD_ACTION", "FAILOVERD_TARGET", "FAILOVERD_CLUSTER", "FAILOVERD_PRIMARY",
    "FAILOVERD_HOST", "FAILOVERD_PORT", "FAILOVERD_TIMELINE", "FAILOVERD_SYSTEM_IDENTIFIER",
    "FAILOVERD_EPOCH", "FAILOVERD_ATTEMPT",
}  # fmt: skip
"""As docs/redirect.md has it."""


def calls(lab):
    """What it was told in each call: its words, its standard input, its environment."""
    for file in sorted(lab.monitor.state.glob("told.*")):
        word, document, *lines = file.read_text().splitlines()
        yield word, json.loads(document), dict(line.split("=", 1) for line in lines)


def led(lab):
    file = lab.monitor.state / "led"
    return file.read_text().strip() if file.exists() else ""


def test_it_is_told_who_the_primary_is_by_both_ways_and_is_tried_until_it_has_done_it(lab):
    def prepare(lab):
        lab.monitor.private_file("redirect", SCRIPT, mode=0o755)

    w = watched(lab, prepare=prepare, synchronous=False, rate=50, redirect=[TARGET])
    w.wait(lambda: led(lab) == w.pg1.address, 15, "applications are led to pg1 at first sight")
    w.pg1.kill9_all()
    w.wait_until_failed_over()
    w.wait(lambda: led(lab) == w.pg2.address, 15, "they are led to pg2")
    tries = [
        (document, environment)
        for _, document, environment in calls(lab)
        if document["action"] == "redirect" and document["primary"] == "pg2"
    ]
    assert len(tries) >= 2
    assert tries[0][0]["attempt"] < tries[1][0]["attempt"]
    status = w.status()
    for document, environment in tries:
        assert document["host"] == w.pg2.address
        assert (document["port"], document["timeline"]) == (5432, 2)
        assert document["cluster"] == "main"
        assert document["epoch"] == status["epoch"]
        assert document["system_identifier"] == status["system_identifier"]
        assert document["nodes"] == {
            one.name: {"host": one.address, "port": 5432} for one in (w.pg1, w.pg2)
        }
        told = {key.removeprefix("FAILOVERD_").lower(): text for key, text in environment.items()}
        assert told == {k: str(v) for k, v in document.items() if not isinstance(v, dict)}
        assert set(environment) == ENVIRONMENT
    assert {word for word, _, _ in calls(lab)} == {"word"}
    assert "check" in {document["action"] for _, document, _ in calls(lab)}
    # It ran beside secrets of ours, and was given none.
    assert all("PASS" not in key for _, _, environment in calls(lab) for key in environment)
    w.wait(
        lambda: "leading to pg2" in lab.monitor.failoverd("report").stdout, 15,
        "its output is in the report",
    )  # fmt: skip
    assert "not yet" in lab.monitor.failoverd("report").stdout
