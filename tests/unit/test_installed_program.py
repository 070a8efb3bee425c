"""The host program as the only command of a key: what is asked of it by whoever has the key."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from failoverd.host_program.installed import installed, names, verbs
from failoverd.host_program.program import program

REQUEST = "timeout -k 2 5 sh -s"
PINS = {
    "data_dir": "/nowhere/data", "bin_dir": "/nowhere/bin", "port": "5432",
    "socket_dir": "/nowhere/run", "superuser": "postgres",
}  # fmt: skip
PLAIN = {"verb": "status", "nonce": "n0nce", **PINS}
REFUSED, CANNOT = 126, 16


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "failoverd-host"
    made.write_text(installed({**PINS, "state_dir": str(tmp_path / "state")}))
    made.chmod(0o755)
    return made


def ask(file, request, text, **environment):
    return subprocess.run(
        ["sh", "-c", str(file)],
        input=text if isinstance(text, bytes) else text.encode(),
        env={"PATH": os.environ["PATH"], "HOME": str(file.parent), "SSH_ORIGINAL_COMMAND": request,
             **environment},
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip


def streamed(text):
    return shlex.join(("timeout", "-k", "2", "5", "sh", "-c",
                       f'exec 3<&0; eval "$(head -c {len(text)})"'))  # fmt: skip


def test_it_answers_what_the_daemon_asks_as_the_program_that_travels_does(file):
    answer = ask(file, REQUEST, program(PLAIN))
    # There is no data directory: the program itself says so, after all checks.
    assert answer.stdout.decode().splitlines()[0] == "begin=n0nce"
    assert "no data directory at /nowhere/data" in answer.stdout.decode()
    assert answer.stdout.decode().splitlines()[-1] == "nonce=n0nce"
    text = program(PLAIN)
    assert ask(file, streamed(text), text + b"data behind it").stdout == answer.stdout


def test_a_value_of_any_text_arrives_as_it_is(file):
    hostile = 'it\'s "a" $(touch owned) `touch owned` \\ \n second line'
    answer = ask(file, REQUEST, program({**PLAIN, "source_conninfo": hostile}))
    assert answer.stdout.decode().splitlines()[-1] == "nonce=n0nce"
    assert not (file.parent / "owned").exists()


OTHER_COMMANDS = {
    "a shell": "sh",
    "nothing at all": "",
    "another program": "cat /etc/passwd",
    "sftp": "/usr/lib/openssh/sftp-server",
    "a command behind ours": f"{REQUEST}; touch owned",
    "a command in the time limit": "timeout -k 2 $(touch owned) sh -s",
    "a file for a program": "timeout -k 2 5 sh -s /tmp/program",
    "another program to evaluate": """timeout -k 2 5 sh -c 'touch owned'""",
    "a command in the length": """timeout -k 2 5 sh -c 'exec 3<&0; eval "$(head -c 5; id)"'""",
    "no end of the length": """timeout -k 2 5 sh -c 'exec 3<&0; eval "$(head -c 5""",
    "an endless time limit": "timeout -k 2 99999999999 sh -s",
    "a second line": f"{REQUEST}\ntouch owned",
}


@pytest.mark.parametrize("what", OTHER_COMMANDS)
def test_it_does_nothing_else_than_what_the_daemon_asks_for(file, what):
    answer = ask(file, OTHER_COMMANDS[what], program(PLAIN))
    assert answer.returncode == REFUSED
    assert answer.stdout == b""
    assert b"failoverd: refused: " in answer.stderr
    assert not (file.parent / "owned").exists()


def lines(**arguments):
    return "".join(f"FD_{n}={shlex.quote(v)}\n" for n, v in {**PLAIN, **arguments}.items())


TEXTS = {
    "another program than its own": lines() + "touch owned\n#!/bin/sh\n",
    "a command as a value": lines() + "FD_epoch=$(touch owned)\n#!/bin/sh\n",
    "a command behind a value": lines() + "FD_epoch='1'; touch owned\n#!/bin/sh\n",
    "a command between two values": lines() + "FD_epoch='1'$(touch owned)'2'\n#!/bin/sh\n",
    "a value that does not end": lines() + "FD_epoch='1\n#!/bin/sh\n",
    "half a request": lines(),
    "nothing": "",
    "a variable of the shell": lines() + "PATH=/tmp\n#!/bin/sh\n",
    "an argument that nobody knows": lines() + "FD_x=1\n#!/bin/sh\n",
    "a name that is code": lines() + "FD_x;touch owned;y=1\n#!/bin/sh\n",
    "a variable of the program": lines() + "FD_name=1\n#!/bin/sh\n",
    "programs from elsewhere": lines(bin_dir="/tmp/evil") + "#!/bin/sh\n",
    "another data directory": lines(data_dir="/home") + "#!/bin/sh\n",
    "another server": lines(port="5433") + "#!/bin/sh\n",
    "another socket": lines(socket_dir="/tmp") + "#!/bin/sh\n",
    "another superuser": lines(superuser="mallory") + "#!/bin/sh\n",
    "a command to start it by": lines(start_command="touch\nowned") + "#!/bin/sh\n",
    "a command to stop it by": lines(stop_command="touch\nowned") + "#!/bin/sh\n",
    "a command before others": lines(become="touch owned") + "#!/bin/sh\n",
    "another unit": lines(service="ssh") + "#!/bin/sh\n",
    "a log that is none": lines(verb="log", server_log="/etc/shadow") + "#!/bin/sh\n",
    "files of a pooler": lines(verb="databases", mode="read") + "#!/bin/sh\n",
    "an address": lines(verb="virtual_ip", mode="add", address="192.0.2.9/24") + "#!/bin/sh\n",
    "a verb of its own processes": lines(verb="rejoin_run") + "#!/bin/sh\n",
    "a verb that is code": lines(verb="status; touch owned") + "#!/bin/sh\n",
    "a setting that runs a command": lines(
        verb="rejoin_start", secret_settings="archive_command = 'touch owned'"
    ) + "#!/bin/sh\n",
    "a setting behind another": lines(
        verb="rejoin_start",
        secret_settings="primary_slot_name = 'a'\narchive_command = 'touch owned'",
    ) + "#!/bin/sh\n",
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
def test_it_takes_no_argument_that_leads_elsewhere(file, what):
    answer = ask(file, REQUEST, TEXTS[what])
    assert answer.returncode == REFUSED, answer
    assert answer.stdout == b""
    assert not (file.parent / "owned").exists()


VALUES = {
    "epoch": "1'; drop table x; --",
    "slots": "a', ' '))); alter system set archive_command = 'x'; --",
    "slot": "a'; select 1; --",
    "pids": "1; select 1",
    "history": "1:a[$(touch owned)]",
    "timeline": "x[$(touch owned)]",
    "total": "a[$(touch owned)]",
    "start": "0/$(touch owned)",
    "forward": "nonce;touch owned",
    "expires": "99999+99999",
    "seconds": "5 sh -c touch",
    "arming": "../../x",
    "restore_primary_conninfo_b64": "'; x",
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("how", ["installed", "travelling"])
def test_what_other_hosts_told_cannot_become_sql_or_arithmetic(file, tmp_path, name, how):
    """Also where the program is not installed: what a primary said goes to its standbys."""
    text = program({**PLAIN, name: VALUES[name]})
    if how == "installed":
        answer = ask(file, REQUEST, text)
    else:
        answer = subprocess.run(
            ["sh", "-s"], input=text, capture_output=True, cwd=tmp_path, timeout=30, check=False
        )
    assert answer.returncode == CANNOT
    assert f"{name} has a character that it may not have" in answer.stdout.decode()
    assert not (tmp_path / "owned").exists()


def test_it_knows_every_verb_and_argument_of_the_program():
    assert {"status", "stop", "promote", "wal_receive", "databases", "rejoin_start"} <= verbs()
    assert {"data_dir", "epoch", "secret_passfile", "restore_primary_conninfo_b64"} <= names()
    assert not {"program", "file", "lines"} & names()
