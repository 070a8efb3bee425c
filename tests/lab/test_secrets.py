"""No secret of the lab is in anything that failoverd says, writes for people, or runs."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.lab.planned import planned, wait_until_all_stream
from tests.lab.server import APPLICATION_PASSWORD, MONITOR_PASSWORD, REPLICATION_PASSWORD

pytestmark = pytest.mark.lab

HOOK_SECRET, HOOK_TOKEN = "the hook's own word", "token-in-the-path-0f3a"
TELL = """#!/bin/sh
cat >>/var/lib/failoverd/told
echo >>/var/lib/failoverd/told
"""
PATHS = (
    "/", "/metrics", "/readyz", "/healthz", "/api/v1/clusters", "/api/v1/clusters/main",
    "/api/v1/clusters/main/incidents", "/api/v1/clusters/main/incidents/1",
    "/api/v1/clusters/main/incidents/1?format=markdown",
    "/api/v1/clusters/main/incidents/1?format=svg", "/primary/pg1",
)  # fmt: skip
COMMANDS = (
    ("status",), ("status", "--json"), ("history",), ("report", "1"), ("report", "1", "--json"),
    ("report", "1", "--svg"), ("check",), ("check", "--direct"), ("switchover", "--dry-run"),
    ("failover", "--dry-run"), ("schema",), ("reload",), ("pause",), ("resume",),
    ("grants", "--password-file", "/etc/failoverd/password"),
)  # fmt: skip


def secrets(lab):
    """Every one, and the forms in which it might slip out."""
    key = (lab.monitor.etc / "id_ed25519").read_text().splitlines()[1:-1]
    words = (MONITOR_PASSWORD, REPLICATION_PASSWORD, APPLICATION_PASSWORD, HOOK_SECRET, HOOK_TOKEN)
    forms = [
        form
        for word in words
        for form in (word, quote(word), json.dumps(word)[1:-1], word.replace("'", "''"),
                     word.replace("'", "\\'"))
    ]  # fmt: skip
    return {*forms, *key}


def found_in(wanted, said):
    """Where, and how it begins: never the secret itself."""
    return [(where, word[:4]) for where, text in said.items() for word in wanted if word in text]


def arguments(lab):
    """What anybody on these hosts could read of running programs."""
    return {
        f"argv of {host.name}": "\n".join(process.command for process in host.processes())
        for host in (lab.monitor, *lab.servers)
    }


def files_for_people(lab):
    """All below the state directory but the journal, which is for its owner alone."""
    return {
        str(file.relative_to(lab.monitor.state)): file.read_text(errors="replace")
        for file in lab.monitor.state.rglob("*")
        if file.is_file() and not file.name.startswith("journal.sqlite3")
    }


def test_no_secret_is_in_any_output(lab):
    lab.monitor.private_file("hook-secret", HOOK_SECRET + "\n")
    lab.monitor.private_file("hook", f"http://127.0.0.1:9/{HOOK_TOKEN}\n")
    lab.monitor.private_file("tell", TELL, mode=0o700)
    told = [
        {
            "webhook": {
                "url_secret": {"file": "/etc/failoverd/hook"},
                "secret": {"file": "/etc/failoverd/hook-secret"},
            }
        },
        {"command": {"argv": ["/etc/failoverd/tell"]}},
    ]
    w = planned(lab, daemon={"notify": told, "log": {"format": "json", "level": "debug"}})
    wanted = secrets(lab)
    said = arguments(lab)
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    said = {f"{where} in the failover": text for where, text in arguments(lab).items()} | said
    wait_until_all_stream(w)
    lab.monitor.failoverd("ack")
    for words in COMMANDS:
        done = lab.monitor.failoverd(*words, check=False)
        said[" ".join(words)] = done.stdout + done.stderr
    for path in PATHS:
        said[path] = lab.monitor.fetch(path)[1]
    w.wait((lab.monitor.state / "told").exists, 15, "the command was told")
    # A wrong password makes the server say what it thinks of it.
    lab.monitor.private_file("password", "wrong\n")
    lab.monitor.failoverd("reload")
    w.wait(lambda: w.status().get("diagnosis") == "misconfigured", 30, "it is misconfigured")
    said["status at last"] = lab.monitor.failoverd("status", "--json").stdout
    said |= files_for_people(lab)
    said["log"] = "\n".join(daemon.log_text for daemon in lab.monitor.daemons)
    assert "webhook could not be told" in said["log"]
    kinds = [json.loads(line)["kind"] for line in said["told"].splitlines() if line]
    assert kinds[:2] == ["begun", "succeeded"]
    assert len(said["/"]) > 1000
    assert "main-1.md" in "".join(said)
    assert found_in(wanted, said) == []
    assert found_in(wanted, {"a leak": f"password={MONITOR_PASSWORD}"}) != []
