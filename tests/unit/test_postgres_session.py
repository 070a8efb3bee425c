"""A file of ours that is missing is our fault, and never evidence against a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from failoverd.config.secrets import SecretMissing
from failoverd.core.model import Outcome
from failoverd.daemon.clock import monotonic
from failoverd.transport.postgres import SqlAddress, connect


def gone() -> str:
    raise SecretMissing("/etc/failoverd/password cannot be read: No such file or directory")


@pytest.mark.parametrize(
    "address",
    [
        SqlAddress("127.0.0.1", 1, "failoverd", "postgres", gone),
        SqlAddress(
            "127.0.0.1", 1, "failoverd", "postgres", lambda: "x", "verify-full", Path("/no/ca.pem")
        ),
    ],
    ids=["password", "certificates"],
)
async def test_what_we_cannot_read_is_our_fault(address):
    look, session = await connect(address, monotonic, 1.0)
    assert session is None
    assert look.outcome is Outcome.OUR_FAULT


def test_a_password_is_not_in_the_words_that_an_address_is_told_with():
    address = SqlAddress("127.0.0.1", 1, "failoverd", "postgres", lambda: "hunter2")
    assert "hunter2" not in repr(address)
