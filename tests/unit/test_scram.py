"""A password that `failoverd grants` sets is told to nobody, and is the one that logs in."""

from __future__ import annotations

import base64

import pytest
from click.testing import CliRunner

from failoverd.cli.commands import cli
from failoverd.config.scram import verifier

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")


def test_it_is_what_the_standard_says():
    """Source: RFC 7677, section 3, whose exchange needs these two keys."""
    told = verifier("pencil", SALT)
    keys = (
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert told == f"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${keys}"


def test_no_two_are_the_same():
    assert verifier("pencil") != verifier("pencil")


@pytest.mark.parametrize("password", ["größer", "a\tb", "a\u00a0b"])
def test_what_would_have_to_be_prepared_is_refused_and_not_repeated(password):
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        verifier(password)
    assert password not in str(caught.value)


def test_the_sql_has_what_postgres_keeps_and_never_the_password(tmp_path):
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    said = CliRunner().invoke(cli, ["grants", "--version", "15", "--password-file", str(file)])
    assert said.exit_code == 0
    assert "PASSWORD 'SCRAM-SHA-256$4096:" in said.output
    assert "hunter2" not in said.output
    assert "\\password" not in said.output


def test_a_file_that_is_not_there_is_told(tmp_path):
    said = CliRunner().invoke(cli, ["grants", "--password-file", str(tmp_path / "none")])
    assert said.exit_code == 2
    assert "--password-file" in said.output
