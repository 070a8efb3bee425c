"""`make ci` tries once more what waited in vain, in whatever way it waited; and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from failoverd.demo import postgres
from tests.lab.machine import run
from tests.lab.monitor import Unanswered
from tests.waiting import NotYetError, until, wait_until

MAKEFILE = Path(__file__).parents[2] / "Makefile"
(AGAIN,) = re.findall(r"--only-rerun '(.*?)'", MAKEFILE.read_text())


def is_tried_again(failure):
    """As the plugin sees it."""
    return re.search(AGAIN, f"{type(failure).__name__}: {failure}") is not None


def a_wait_of_a_test():
    wait_until(lambda: False, 0, "it comes", evidence=lambda: "nothing came")


def a_wait_for_servers():
    postgres.wait_for(lambda: False, "it comes", timeout_s=0)


def a_program_that_does_not_end():
    run([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.1)


@pytest.mark.parametrize(
    "waits", [a_wait_of_a_test, a_wait_for_servers, a_program_that_does_not_end]
)
def test_what_waited_in_vain_is_tried_again(waits):
    with pytest.raises(Exception, match="not within") as failed:
        waits()
    assert is_tried_again(failed.value)


async def test_a_task_that_waited_in_vain_is_tried_again_and_says_what_was_seen_last():
    with pytest.raises(AssertionError, match="nothing came") as failed:
        await until(lambda: False, "it comes", 0, evidence=lambda: "nothing came")
    assert is_tried_again(failed.value)


@pytest.mark.parametrize(
    "failure",
    [
        AssertionError("assert 1 == 2"),
        AssertionError("it was lost\nassert not within"),
        postgres.PostgresFailed("initdb: exit status 1: not within its rights"),
        KeyError("state"),
    ],
)
def test_a_wrong_fact_is_final(failure):
    assert not is_tried_again(failure)


def test_whoever_does_not_answer_is_asked_again_in_a_wait_and_nowhere_else():
    answers = [Unanswered(), Unanswered(), {"state": "watching"}]
    with pytest.raises(NotYetError, match="'state' is not known"):
        answers.pop(0)["state"]
    assert wait_until(lambda: answers.pop(0)["state"], 30, "it answers") == "watching"
    with pytest.raises(AssertionError, match=r"(?s)not within.*'state' is not known"):
        wait_until(lambda: Unanswered()["state"], 0, "it answers")


def test_make_passes_the_pattern_on_as_it_stands():
    """Through a make that calls a make: what has a meaning for a shell would be lost."""
    said = subprocess.run(
        ["make", "-n", "ci"], cwd=MAKEFILE.parent, capture_output=True, text=True, check=True
    ).stdout
    assert f"--only-rerun '{AGAIN}'" in said
