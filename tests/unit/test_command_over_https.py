"""The commands, over HTTPS to a daemon elsewhere."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner

from failoverd.cli.commands import cli
from tests.unit.test_access import TLS, TOKEN, WITH_TOKEN, authority, configured, daemon
from tests.unit.test_tls import issue, written

__all__ = ["authority"]


async def ran(port, *words, root="authority", token=True):
    """Its exit status, and what it said."""
    given = ["--url", f"https://127.0.0.1:{port.port}", "--ca-file", f"{port.folder}/{root}.crt"]
    if token:
        given += ["--token-file", f"{port.folder}/automation"]
    done = await asyncio.to_thread(CliRunner().invoke, cli, [*words, *given])
    return done.exit_code, done.output


async def test_a_command_acts_with_the_token_and_reads_without_it(tmp_path, authority):
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        status, said = await ran(port, "status", token=False)
        assert (status, "cluster main" in said) == (0, True)
        status, said = await ran(port, "reload")
        # Taken, and refused for what it comes to: the keys of the nodes are not there.
        assert (status, "/key cannot be read" in said) == (1, True)
        status, said = await ran(port, "reload", token=False)
        assert (status, "Authorization: Bearer" in said) == (1, True)


@pytest.mark.parametrize("command", ["failover", "switchover", "drill"])
async def test_nothing_is_asked_for_while_no_primary_is_known(tmp_path, authority, command):
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        status, said = await ran(port, command, "--yes")
    assert status == 1
    assert said == (
        "refused: the primary is not known yet:"
        " starting: every node is looked at before anything is believed\n"
    )


async def test_a_daemon_that_has_just_started_has_not_been_starting_for_hours(tmp_path, authority):
    async with daemon(configured(tmp_path, TLS)) as port:
        _, said = await ran(port, "status", "--json", token=False)
    assert json.loads(said)["since_s"] < 60


async def test_a_daemon_that_takes_no_acts_is_said_to_take_none(tmp_path, authority):
    async with daemon(configured(tmp_path, TLS)) as port:
        status, said = await ran(port, "reload")
    assert status == 1
    assert "takes no acts over TCP" in said


async def test_a_daemon_that_is_not_the_right_one_is_not_told_the_token(tmp_path, authority):
    written(tmp_path, "another", issue("another authority"))
    async with daemon(configured(tmp_path, TLS, WITH_TOKEN)) as port:
        status, said = await ran(port, "reload", root="another")
        assert port.kept() == []
    assert status == 3
    assert "no daemon that can be trusted" in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--url", "http://monitor:9187"], "write one like https://monitor:9187"),
        (["--url", "monitor:9187"], "write one like https://monitor:9187"),
        (["--url", "https://monitor:port"], "write one like https://monitor:9187"),
        (["--token-file", "/token"], "belong to --url"),
        (["--url", "https://monitor", "--token-file", "/nowhere"], "/nowhere cannot be read"),
    ],
)
def test_what_is_given_wrongly_is_told_with_what_to_write(given, told):
    done = CliRunner().invoke(cli, ["status", *given])
    assert done.exit_code == 2
    assert told in done.output
