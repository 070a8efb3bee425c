"""Who is given nothing but the README sets it up, is told what is missing, and sees a failover."""

from __future__ import annotations

import pytest

from tests.lab.cluster import would_work
from tests.lab.newcomer import Newcomer, fixes, written
from tests.written import blocks

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

LEFT_TO_CHOOSE = ("not_covered", "primary_conninfo")
"""What an operator decides: a rung that works without the host, and a role to replicate by."""
OF_A_BUSY_MACHINE = "login_shell"
TURNS = 6


def until_green(someone: Newcomer, text: str) -> str:
    """Check, paste what it says where it says so, and check again; what it said in the end."""
    told = set()
    for turn in range(TURNS):
        done = someone.types(text)
        written(someone.lab.directory, f"check-{turn}.txt", done.stdout + done.stderr)
        to_paste = [*fixes(done.stdout, "FAIL"), *fixes(done.stdout, "warn")]
        new = [fix for fix in to_paste if fix.host and fix not in told]
        if done.returncode == 0 and not new:
            assert turn > 0, f"nothing was missing:\n{done.stdout}"
            return done.stdout
        assert new, f"it fails, and nothing new is to be pasted:\n{done.stdout}{done.stderr}"
        for fix in new:
            pasted = someone.types(fix.words, someone.host(fix.host), fix.user)
            assert pasted.returncode == 0, f"{fix}\n{pasted.stdout}{pasted.stderr}"
        told.update(new)
    raise AssertionError(f"not green after {TURNS} turns:\n{done.stdout}")


def test_the_readme_leads_from_two_fresh_hosts_to_a_failover_that_is_explained(lab):
    someone = Newcomer(lab)
    said = {}
    for block in blocks("lab"):
        if block.how == "stays":
            someone.leaves_running(block.text)
            someone.sees(lambda: would_work(lab), "a failover would work")
            continue
        if block.how == "until":
            said["check"] = until_green(someone, block.text)
            continue
        done = someone.types(block.text, someone.host(block.how) if block.how else None)
        said[block.text.split()[1]] = done.stdout
        written(lab.directory, f"{block.where.replace(':', '-')}.txt", done.stdout + done.stderr)
        assert done.returncode == 0, f"{block.where}\n{done.stdout}{done.stderr}"
        if block.how:
            someone.sees(
                lambda: (s := lab.monitor.status())["primary"] == "pg2" and not s["incident"],
                "pg2 is the primary",
            )
    warned = {line.split(": ")[1] for line in said["check"].splitlines() if line[:4] == "warn"}
    assert warned <= {*LEFT_TO_CHOOSE, OF_A_BUSY_MACHINE}
    told = said["report"]
    assert "pg1 is crashed" in told
    assert "pg1 is fenced" in told
    assert "elected: pg2" in told
    assert "nothing is missing" in told
    assert "DIFFERS" not in said["explain"]
    assert someone.host("pg2").timeline == 2
