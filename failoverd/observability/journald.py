"""Lines with fields, to systemd's journal: one datagram of KEY=value lines each.

Source: systemd.io/JOURNAL_NATIVE_PROTOCOL. Where the journal does not take one (it is too
long, or the journal is being restarted), the line goes to standard output, as without it.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from typing import Any

SOCKET = "/run/systemd/journal/socket"
OWN = uuid.UUID("5a3f5e1c-0b0a-4a63-9a39-0d0c5b8f7a11")
"""Whose children the message ids are, so that nobody else has them."""
_FIELDS = ("cluster", "state", "from_state", "kind", "diagnosis", "incident", "trigger", "outcome")


def message_id(kind: str) -> str:
    """The same for every line of that kind, in every version: `journalctl MESSAGE_ID=...`."""
    return uuid.uuid5(OWN, kind).hex


def fields_of(line: Mapping[str, Any]) -> dict[str, str]:
    """What of a log line can be searched for, by the names of the journal."""
    found = {
        f"FAILOVERD_{name.upper()}": str(line[name])
        for name in _FIELDS
        if line.get(name) is not None
    }
    if "kind" in line:
        found["MESSAGE_ID"] = message_id(str(line["kind"]))
    return found


def is_behind(descriptor: int) -> bool:
    """Whether the descriptor is the journal's own stream. Source: systemd.exec(5)."""
    try:
        device, inode = map(int, os.environ.get("JOURNAL_STREAM", "").split(":"))
        found = os.fstat(descriptor)
    except (ValueError, OSError):
        return False
    return (found.st_dev, found.st_ino) == (device, inode)


class Journald:
    """One socket, of the thread that writes."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def send(self, priority: int, message: str, fields: Mapping[str, str]) -> bool:
        """Whether the journal took it."""
        every = {
            "MESSAGE": message,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": "failoverd",
            **fields,
        }
        try:
            self._socket.sendto(b"".join(_line(k, v) for k, v in every.items()), self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


def _line(key: str, value: str) -> bytes:
    data = value.encode(errors="backslashreplace")
    if b"\n" not in data:
        return key.encode() + b"=" + data + b"\n"
    return key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
