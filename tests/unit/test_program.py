"""The text that is fed to a host's shell, and how its answer is read."""

import base64
import re
import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failoverd.core.model import ControlState, Guard, Instant, Lsn, NodeName, Outcome
from failoverd.host_program import program as program_module
from failoverd.host_program.program import program, source
from failoverd.transport.host import OUTPUT_LIMIT, Call, host_facts

FOLDER = Path(program_module.__file__).parent
NONCE = "0123456789abcdef"
STATUS = """\
boot_id=8b4a3c0f-d2e4-4fe8-9442-3505baa0941a
uptime=5467.53
user=postgres
directory_identity=65024:2187930
system_identifier=7711318959800486687
control_state=in production
control_timeline=2
checkpoint_lsn=0/16ED3E0
process=100 S
process=101 T
postmaster_pid=100
postmaster_started=1795431357
listener=yes
guard=ours
guard_epoch=4
guard_incident=4
epoch=5
verdict=seen
"""
OPTIONAL = {
    "checkpoint_lsn",
    "process",
    "postmaster_pid",
    "postmaster_started",
    "guard_epoch",
    "guard_incident",
    "verdict",
}


def call(**arguments):
    return Call(NodeName("pg1"), "status", arguments, NONCE)


def answered(output, exit_status=0):
    return call().answer(exit_status, f"{output}nonce={NONCE}\n", 0.1)


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])))
def test_a_shell_reads_each_argument_as_it_was_given(value):
    assignments = program({"value": value}).removesuffix(source().encode())
    said = subprocess.run(
        ["sh", "-s"],
        input=assignments + b'printf %s. "$FD_value"\n',
        capture_output=True,
        check=True,
    )
    assert said.stdout == value.encode() + b"."


@pytest.mark.parametrize("name", ["a b", "a;b", "$(a)", "A", "", "1a", "a=b", "a\nb", "a\n"])
def test_a_name_that_is_not_one_is_refused(name):
    with pytest.raises(ValueError, match="not an argument"):
        program({name: "value"})


def test_a_value_that_no_shell_can_hold_is_refused():
    with pytest.raises(ValueError, match="not an argument"):
        program({"value": "a\0b"})


def test_every_file_is_part_of_the_program_and_every_verb_is_dispatched():
    text = source()
    files = set(FOLDER.glob("*.sh")) - {FOLDER / "installed.sh"}
    assert all(file.read_text() in text for file in files)
    verbs = set(re.findall(r"^verb_(\w+)\(\)", text, re.MULTILINE))
    lines = re.findall(r'^([a-z_ |]+)\) "verb_', (FOLDER / "dispatch.sh").read_text(), re.MULTILINE)
    dispatched = set(" | ".join(lines).split(" | "))
    assert verbs == dispatched
    assert text.isascii()


def test_the_prologue_knows_every_argument_that_is_used():
    declared = set(re.findall(r"\{(FD_\w+)=", (FOLDER / "prologue.sh").read_text()))
    used = set(re.findall(r"\$\{?(FD_[a-z]\w*)", source()))
    assert {name for name in used if not name.startswith("FD_restore_")} == declared


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here")
def test_shellcheck_finds_nothing():
    files = sorted(FOLDER.glob("*.sh"))
    said = subprocess.run(
        ["shellcheck", "-s", "sh", *files], capture_output=True, text=True, check=False
    )
    assert said.stdout == ""


def test_an_answer_counts_if_it_ends_with_our_nonce_whatever_the_exit_status():
    for exit_status in (0, 11, 13):
        assert answered("verdict=seen\n", exit_status).outcome is Outcome.OK
    assert answered("", 0).done
    assert not answered("", 11).done


@pytest.mark.parametrize(
    ("exit_status", "output", "outcome"),
    [
        (0, "", Outcome.LOST),
        (0, "verdict=stopped\n", Outcome.LOST),
        (0, "nonce=another\n", Outcome.LOST),
        (0, f"nonce={NONCE}\nverdict=stopped\n", Outcome.LOST),
        (0, f"nonce={NONCE[:-1]}", Outcome.LOST),
        (None, f"verdict=stopped\nnonce={NONCE}\n", Outcome.LOST),
        (-1, f"verdict=stopped\nnonce={NONCE}\n", Outcome.LOST),
        (-9, "", Outcome.LOST),
        (2, "", Outcome.LOST),
        (124, "boot_id=x\n", Outcome.TIMED_OUT),
        (137, "", Outcome.TIMED_OUT),
        (127, "", Outcome.MISCONFIGURED),
        (126, "", Outcome.MISCONFIGURED),
    ],
)
def test_anything_else_is_unknown_and_never_done(exit_status, output, outcome):
    answer = call().answer(exit_status, output, 0.1)
    assert answer.outcome is outcome
    assert not answer.done
    assert host_facts(answer, Instant(0.0)) is None


def test_what_a_login_shell_says_first_is_not_the_programs():
    noise = "Welcome!\nuser=somebody\nguard=foreign\n"
    answer = answered(f"{noise}begin={NONCE}\nuser=postgres\nguard=none\n")
    assert (answer.field("user"), answer.field("guard")) == ("postgres", "none")
    assert "Welcome" not in answer.run.output


def test_repeated_keys_are_all_kept_and_absent_ones_are_empty():
    answer = answered("process=1 S\nprocess=2 S\n")
    assert answer.fields["process"] == ("1 S", "2 S")
    assert answer.field("process") == "1 S"
    assert answer.field("absent") == ""


def test_secrets_are_in_no_command_no_output_and_no_repr():
    spoken = call(
        data_dir="/data",
        restore_primary_conninfo_b64="c2VjcmV0",
        saved_primary_conninfo_b64="c2VjcmV0",
        empty="",
    )
    answer = spoken.answer(0, f"saved_primary_conninfo_b64=c2VjcmV0\na=b\nnonce={NONCE}\n", 0.1)
    assert answer.field("saved_primary_conninfo_b64") == "c2VjcmV0"
    assert answer.run.command == "status data_dir=/data"
    assert answer.run.output == "a=b"
    assert "c2VjcmV0" not in f"{answer!r} {spoken!r}"


def test_what_is_kept_of_an_answer_is_bounded():
    assert len(answered("x=" + "y" * 100_000 + "\n").run.output) == OUTPUT_LIMIT


def test_a_status_is_read_as_facts():
    facts = host_facts(answered(STATUS), Instant(7.0))
    assert (facts.seen_at, facts.uptime_s, facts.user) == (7.0, 5467.53, "postgres")
    assert facts.control_state is ControlState.IN_PRODUCTION
    assert facts.checkpoint_lsn == Lsn.parse("0/16ED3E0")
    assert facts.processes == ((100, "S"), (101, "T"))
    assert (facts.postmaster_pid, facts.postmaster_started) == (100, "1795431357")
    assert (facts.listener, facts.guard, facts.guard_epoch, facts.epoch) == (True, Guard.OURS, 4, 5)


def test_an_unknown_control_state_is_unknown():
    text = STATUS.replace("in production", "unrecognized status code")
    assert host_facts(answered(text), Instant(0.0)).control_state is ControlState.UNKNOWN


def test_a_server_that_is_down_has_facts_too():
    text = "\n".join(line for line in STATUS.splitlines() if line.partition("=")[0] not in OPTIONAL)
    facts = host_facts(answered(f"{text}\n"), Instant(0.0))
    assert facts == replace(
        facts, processes=(), postmaster_pid=None, postmaster_started="", guard_epoch=None
    )


@pytest.mark.parametrize("key", [line.partition("=")[0] for line in STATUS.splitlines()])
def test_without_one_of_the_facts_there_are_none(key):
    without = "".join(f"{line}\n" for line in STATUS.splitlines() if line.partition("=")[0] != key)
    found = host_facts(answered(without), Instant(0.0))
    assert (found is not None) == (key in OPTIONAL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("listener=yes", "listener=maybe"),
        ("guard=ours", "guard=somebody's"),
        ("epoch=5", "epoch=five"),
        ("uptime=5467.53", "uptime=long"),
        ("process=101 T", "process=101"),
        ("process=101 T", "process=T 101"),
        ("checkpoint_lsn=0/16ED3E0", "checkpoint_lsn=16ED3E0"),
        ("postmaster_pid=100", "postmaster_pid=-"),
        ("control_timeline=2", "control_timeline="),
        ("user=postgres", "user="),
    ],
)
def test_a_fact_that_is_not_understood_spoils_them_all(old, new):
    assert old in STATUS
    assert host_facts(answered(STATUS.replace(old, new)), Instant(0.0)) is None


def test_facts_are_read_from_a_refusal_too_since_it_tells_what_was_seen():
    assert host_facts(answered(STATUS, 13), Instant(0.0)) is not None
    assert {field.name for field in fields(host_facts(answered(STATUS), Instant(0.0)))}


def test_a_line_of_a_server_log_is_told_as_it_was_written():
    call = Call(NodeName("pg1"), "log", {}, "nonce")
    encoded = base64.b64encode(b"LOG:  selected new timeline ID: 2").decode()
    answer = call.answer(0, f"begin=nonce\nsize=1\nline_b64={encoded}\nnonce=nonce\n", 0.0)
    assert answer.done
    assert answer.run.output == "size=1\nLOG:  selected new timeline ID: 2"
    assert answer.field("line_b64") == encoded


def test_an_answer_that_ends_after_its_first_line_is_lost():
    assert call().answer(2, f"begin={NONCE}\n", 0.1).outcome is Outcome.LOST


def test_what_refuses_to_make_us_the_owner_is_a_mistake_of_ours_and_is_told():
    refused = call().answer(1, "sudo: a password is required\n", 0.1, become=True)
    assert refused.outcome is Outcome.MISCONFIGURED
    assert refused.run.output == "sudo: a password is required"
    assert call().answer(1, "", 0.1).outcome is Outcome.LOST
    cut_off = call().answer(1, f"begin={NONCE}\n", 0.1, become=True)
    assert cut_off.outcome is Outcome.LOST
