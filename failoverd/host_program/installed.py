"""The host program as a file: the only command of the daemon's key on a database host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from failoverd.host_program.program import source

PINNED = (
    "become", "bin_dir", "data_dir", "debian_cluster", "port", "root", "server_log", "service",
    "socket_dir", "start_command", "state_dir", "stop_command", "superuser",
)  # fmt: skip
"""What a host is told once, when the file is made: it leads to what is run there, and where."""
NOT_OF_DATABASES = frozenset({"databases", "virtual_ip"})
_HEAD = """\
#!/bin/sh
set -uf
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
"""
_INTERNAL = frozenset({"dead_man_watch", "rejoin_run"})
"""Verbs that only the program itself begins, in a process that it leaves behind."""
_VERB = re.compile(r"^([a-z_ |]+)\) \"verb_\$FD_verb\"", re.MULTILINE)
_ARGUMENT = re.compile(r"FD_([a-z][a-z0-9_]*)")
_RESTORED = tuple(
    f"restore_{setting}_{how}"
    for setting in (
        "max_standby_archive_delay", "max_standby_streaming_delay", "primary_conninfo",
        "primary_slot_name",
    )
    for how in ("b64", "unset")
)  # fmt: skip


def verbs() -> frozenset[str]:
    """Every verb that the program knows."""
    found = " | ".join(_VERB.findall(source()))
    return frozenset(found.replace(" ", "").split("|"))


def names() -> frozenset[str]:
    """Every argument that it reads."""
    found = {name for name in _ARGUMENT.findall(source()) if not name.endswith("_")}
    return (frozenset(found) | frozenset(_RESTORED)) - {"program", "file", "lines", "name"}


def installed(
    pinned: Mapping[str, str],
    become: Sequence[str] = (),
    addresses: Sequence[str] = (),
    interfaces: Sequence[str] = (),
) -> str:
    """The text of the file. `become`: words by which whoever logs in becomes the owner."""
    allowed = verbs() - NOT_OF_DATABASES - _INTERNAL
    if addresses:
        allowed |= {"virtual_ip"}
    told = {
        "BECOME": " ".join(become),
        "VERBS": " ".join(sorted(allowed)),
        "NAMES": " ".join(sorted(names())),
        "PINNED": " ".join(PINNED),
        **{f"PINNED_{name}": pinned.get(name, "") for name in PINNED},
        "AMONG_address": " ".join(addresses),
        "AMONG_interface": " ".join(interfaces),
    }
    gate = (Path(__file__).parent / "installed.sh").read_text()
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in told.items())
    return _HEAD + lines + gate + source()
