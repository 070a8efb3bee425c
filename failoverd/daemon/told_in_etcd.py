"""What daemons write in etcd for each other, as it is read: by whoever may have written it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from failoverd.core.leadership import Term
from failoverd.core.model import DaemonReport, Instant, NodeName
from failoverd.core.situation import Machine
from failoverd.daemon.terms import Held
from failoverd.record.codec import VERSION, RecordError, loads
from failoverd.transport.etcd import Kept

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Shared:
    """The journal that is shared: the machine, and whose terms count for it."""

    changed: int = 0
    """The revision at which it was written last; 0: never."""
    held: Held | None = None
    """The group, and what its terms begin from."""
    machine: Machine | None = None
    text: str = ""


def read_shared(there: Kept | None) -> Shared:
    """Raises RecordError where a newer version has written it, or somebody else."""
    if there is None:
        return Shared()
    try:
        document = json.loads(there.value)
        version, text = int(document["version"]), str(document["machine"])
        held = Held(str(document["group"]), Term(int(document["terms_from"])))
    except (ValueError, TypeError, KeyError) as error:
        raise RecordError(f"the machine in etcd is not understood: {error!r}") from None
    if version > VERSION:
        raise RecordError("the machine in etcd is of a newer version of failoverd")
    return Shared(there.changed, held, loads(Machine, text), there.value)


def read_named(leader: Kept | None) -> tuple[str, str]:
    try:
        said: Any = json.loads(leader.value) if leader is not None else {}
        return _shown(said.get("name", "")), _shown(said.get("address", ""))
    except (ValueError, AttributeError):
        return "", ""


def read_said(value: str, after: Instant) -> DaemonReport | None:
    try:
        said = json.loads(value)
        looked_at = Instant(after - max(0.0, float(said["age_s"])))
        return DaemonReport(
            _shown(said["name"]),
            NodeName(str(said["primary"])),
            said["heard"] is True,
            looked_at,
            said["blind"] is True,
        )
    except (ValueError, TypeError, KeyError):
        return None


def _shown(told: object) -> str:
    """What another daemon calls itself, as people may see it."""
    return "".join(one for one in str(told) if one.isprintable())[:LONGEST_NAME]
