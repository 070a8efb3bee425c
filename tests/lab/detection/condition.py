"""One condition that a primary can be in, as data: how it comes about, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.cluster import Watched
from tests.lab.lab import Lab

Act = Callable[[Watched], None]


def nothing(_: object) -> None:
    """It needs no preparation, or ends by itself."""


@dataclass(frozen=True, slots=True)
class Condition:
    name: str
    """As the table has it, in a few plain words: `every connection slot is taken`."""
    diagnosis: str
    """The diagnosis that must be reached, as `status` names it."""
    begin: Act
    """Make it so. Detection time counts from its return."""
    end: Act = nothing
    """Make it good again; a healthy pair must come of it (unless `own`)."""
    fails_over: bool = False
    """True: pg2 must be the primary at the end. False: nothing may begin, for three thresholds."""
    also: frozenset[str] = frozenset()
    """Other diagnoses that may be seen while it lasts, beside the one above."""
    own: bool = False
    """It spoils the pair: it gets a lab of its own, which is thrown away."""
    sections: Mapping[str, Any] = field(default_factory=dict)
    """Of the configuration, as `Monitor.write_config` takes them; a lab of its own comes of it."""
    prepare: Callable[[Lab], None] = nothing
    """Before the daemon is configured: certificates, names, a third node ... Takes `own`."""
    synchronous: bool = False
    """pg1 waits for pg2."""
    serves: bool = True
    """Where nothing fails over: the application goes on committing on pg1 all the while."""
    went_wrong: bool = False
    """It was once diagnosed wrongly, and is tried each time."""
    detail: str = ""
    """What `status` says beside the diagnosis, as a pattern: the words that were heard."""
    said: str = ""
    """What the log says, where it is not the diagnosis."""
    roles_change: bool = False
    """Somebody else promotes or demotes: who has a standby.signal is theirs to say."""
    note: str = ""
    """What a reader of the table should know, in a few words."""
