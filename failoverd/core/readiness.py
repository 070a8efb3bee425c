"""Could a failover succeed right now? A table of checks; pure: what was looked at in, verdicts out.

A standby's failure is a warning where another standby has none: it could take over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from failoverd.core.checks import cluster, host, reach, server, standby
from failoverd.core.checks.row import OfCluster, OfHost, OfNode, OfServer, Row
from failoverd.core.judged import Judged, Verdict, untold
from failoverd.core.model import NodeName
from failoverd.core.survey import Survey

ROWS: tuple[Row, ...] = (
    *reach.ROWS, *host.ROWS, *server.ROWS, *standby.ROWS, *cluster.ROWS,
)  # fmt: skip
NAMES = tuple(row.name for row in ROWS)


@dataclass(frozen=True, slots=True)
class Check:
    """What one check came to; `node` is empty for one of the whole cluster."""

    name: str
    node: str
    verdict: Verdict
    sentence: str
    fix: str = ""

    @property
    def failed(self) -> bool:
        return self.verdict is Verdict.FAIL


def readiness(s: Survey) -> tuple[Check, ...]:
    """Every check that applies, in the order of the table."""
    found = tuple(
        Check(row.name, node or "", judged.verdict, judged.sentence, pasted(judged.fix))
        for row in ROWS
        for node, judged in _judged(row, s)
    )
    return tuple(_weighed(found, s))


def pasted(fix: str) -> str:
    """With host and user as a comment of the shell behind it: each line can be pasted as it is."""
    return "\n".join(_pasted(line) for line in fix.split("\n"))


def _pasted(line: str) -> str:
    where, found, command = line.partition(": ")
    if not (found and where.startswith("on ")):
        return line
    command, noted, note = command.partition("   # ")
    user = "postgres" if command.startswith(_OF_THE_OWNER) else "root"
    return f"{command}   # {where} as {user}{f', {note}' if noted else ''}"


_OF_THE_OWNER = ("psql ", "pg_ctl ", "echo 'host ", "sed -i '1i local ")
"""Words of the owner of the data directory; whatever else is done there needs root."""


def _judged(row: Row, s: Survey) -> Iterator[tuple[NodeName | None, Judged]]:
    if isinstance(row, OfCluster):
        judged = row.judge(s)
        if judged is not None:
            yield None, judged
        return
    for node in sorted(s.policy.nodes):
        judged = _of_node(row, s, node)
        if judged is not None:
            yield node, judged


def _of_node(row: Row, s: Survey, node: NodeName) -> Judged | None:
    match row:
        case OfNode():
            return row.judge(s, node)
        case OfServer():
            known = s.servers.get(node)
            return untold("SQL did not answer") if known is None else row.judge(s, node, known)
        case OfHost():
            told = s.hosts.get(node)
            return untold("its host did not answer") if told is None else row.judge(s, node, told)
        case _:
            raise TypeError(row)


def _weighed(found: tuple[Check, ...], s: Survey) -> Iterator[Check]:
    failed = {check.node for check in found if check.failed and check.node}
    able = [n for n in s.standbys if n not in failed and not s.policy.nodes[n].never]
    for check in found:
        spared = check.failed and check.node in s.standbys and check.name not in ALONE
        others = [name for name in able if name != check.node]
        if spared and others and s.primary is not None:
            said = f"{check.sentence} ({' or '.join(others)} could take over)"
            yield replace(check, verdict=Verdict.WARN, sentence=said)
        else:
            yield check


ALONE = frozenset({"other_failoverd", "other_manager", "node_address"})
"""What is a failure of the whole, on whichever node it is found."""


def failing(checks: tuple[Check, ...]) -> frozenset[str]:
    """Names of the checks that fail on any node."""
    return frozenset(check.name for check in checks if check.failed)
