"""The manual page and the completions of shells, made from the commands themselves."""

from __future__ import annotations

import re

import click
from click.shell_completion import get_completion_class

from failoverd.cli.commands import cli

SIGNALS = {
    "SIGUSR1": "Fail over now. With several clusters: refused, with what to type.",
    "SIGUSR2": "Pause, and again: resume. It survives restarts.",
    "SIGHUP": "Reload the configuration: all of it or none; during a failover, after it.",
    "SIGTERM": "Stop. From the guard to the confirmation it finishes the failover first.",
}
EXIT_STATUSES = {
    "0": "Done.",
    "1": "Refused, or failed.",
    "2": "Usage.",
    "3": "The daemon is not reachable.",
    "4": "Timed out.",
    "78": "The configuration is at fault.",
}
FILES = {
    "/etc/failoverd/config.yaml": "The configuration; $FAILOVERD_CONFIG or -c names another.",
    "/run/failoverd/control.sock": "The daemon's socket; $FAILOVERD_SOCKET names another.",
    "/var/lib/failoverd": "The journal, and the reports.",
}


def manual() -> str:
    """failoverd(8), in the man macros that every system has."""
    # With the same settings as in use: click keeps the first option for help that it has made.
    context = click.Context(cli, info_name="failoverd", **cli.context_settings)
    lines = [
        '.\\" This page is made from the source: make docs',
        ".TH FAILOVERD 8",
        ".SH NAME",
        "failoverd \\- automatic failover for PostgreSQL streaming replication",
        ".SH SYNOPSIS",
        ".B failoverd",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        _text(cli.help or ""),
        ".SH OPTIONS",
        *_options(cli, context),
        ".SH COMMANDS",
    ]
    for name, command in sorted(cli.commands.items()):
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        lines += [".SS", f"\\fB{_text(name)}\\fR {_text(usage)}", ".PP", _text(command.help or "")]
        lines += _options(command, inner)
    lines += [".SH SIGNALS", *_terms(SIGNALS), ".SH EXIT STATUS", *_terms(EXIT_STATUSES)]
    lines += [".SH FILES", *_terms(FILES)]
    return "\n".join([*lines, ""])


def completion(shell: str) -> str:
    """What click gives that shell; it asks the command itself for the words."""
    made = get_completion_class(shell)
    assert made is not None, shell
    return made(cli, {}, "failoverd", "_FAILOVERD_COMPLETE").source().strip() + "\n"


def _options(command: click.Command, context: click.Context) -> list[str]:
    found: list[str] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option) and parameter.name != "help":
            found += [".TP", f"\\fB{_text(record[0])}\\fR", _text(record[1])]
    return found


def _terms(told: dict[str, str]) -> list[str]:
    return [line for name, said in told.items() for line in (".TP", f"\\fB{name}\\fR", _text(said))]


def _text(said: str) -> str:
    """As one line that no macro is taken out of."""
    one = re.sub(r"\s+", " ", said).strip()
    escaped = one.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
