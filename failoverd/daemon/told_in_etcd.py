"""What daemons write in etcd for each other, as it is read: by whoever may have written it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from failoverd.core.leadership import Term
from failoverd.core.model import DaemonReport, Instant, NodeName
from failoverd.core.situation import Machine
from failoverd.daemon.terms import Held
from failoverd.record.codec import VERSION, RecordError, loads
from failoverd.transport.etcd import Kept

LONGEST_NAME = 200
HIGHEST = 2**53
"""No epoch, visit or term comes near it; what does was not written by a daemon."""
OLDEST_S = 1e6


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
        document = _object(there.value)
        if _whole(document["version"]) > VERSION:
            raise RecordError("the machine in etcd is of a newer version of failoverd")
        text, group = _text(document["machine"]), _text(document["group"], "[0-9A-Za-z]{1,64}")
        held = Held(group, Term(_whole(document["terms_from"])))
    except (ValueError, KeyError) as error:
        raise RecordError(f"the machine in etcd is not understood: {error!r}") from None
    machine = loads(Machine, text)
    counted = (
        machine.epoch,
        machine.memory.highest_epoch,
        machine.visit,
        machine.freezes_from,
        machine.split,
    )
    if not all(0 <= one < HIGHEST for one in counted):
        raise RecordError("the machine in etcd has numbers that no daemon has written")
    return Shared(there.changed, held, machine, there.value)


def read_named(leader: Kept | None) -> tuple[str, str]:
    """Name and address of whoever leads; empty where it is not told."""
    try:
        said = _object(leader.value) if leader is not None else {}
    except ValueError:
        return "", ""
    return _shown(said.get("name", "")), _shown(said.get("address", ""))


def read_said(value: str, after: Instant) -> DaemonReport | None:
    """What another daemon sees of the primary, looked at before `after`; None: nothing is told."""
    try:
        said = _object(value)
        age_s, primary = said["age_s"], said["primary"]
        if type(age_s) not in (int, float) or not 0 <= age_s < OLDEST_S:
            return None
        if not isinstance(primary, str):
            return None
        name, heard, blind = _shown(said["name"]), said["heard"] is True, said["blind"] is True
    except (ValueError, KeyError):
        return None
    return DaemonReport(name, NodeName(primary), heard, Instant(after - age_s), blind)


def _object(text: str) -> dict[str, Any]:
    """Raises ValueError for whatever is no JSON object."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("brackets within brackets without end") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - told as the others are
    return found


def _whole(found: object) -> int:
    if type(found) is not int or not 0 <= found < HIGHEST:
        raise ValueError(f"no number that a daemon writes: {str(found)[:40]!r}")
    return found


def _text(found: object, form: str = ".*") -> str:
    if not isinstance(found, str) or re.fullmatch(form, found, re.DOTALL) is None:
        raise ValueError(f"no text that a daemon writes: {str(found)[:40]!r}")
    return found


def _shown(told: object) -> str:
    """What another daemon calls itself, as people may see it."""
    return "".join(one for one in str(told)[:LONGEST_NAME] if one.isprintable())
