"""A journaled decision, made again from what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from failoverd.core.explanation import Explanation, explain
from failoverd.core.incident import describe
from failoverd.core.model import ClusterView
from failoverd.core.situation import Machine
from failoverd.core.step import step
from failoverd.record.record import Record


@dataclass(frozen=True, slots=True)
class Replayed:
    record: Record
    explanation: Explanation | None
    """None where the basis was not kept."""
    differs: tuple[str, ...] = ()
    """What this version of the decisions would come to otherwise than the journal says."""


def replay(record: Record) -> Replayed:
    """The same `step` as then, from the machine, event, clocks and policy of then."""
    basis = record.basis
    if basis is None:
        return Replayed(record, None)
    after = step(basis.before, basis.event, basis.now, basis.policy).machine
    entry = describe(basis.before, basis.event, after, basis.policy, owed=True)
    differs = _unlike(after, record.machine)
    if entry != record.entry:
        differs = (*differs, "sentence")
    why = explain(basis.before, basis.event, after, basis.now, basis.policy)
    return Replayed(record, why, differs)


def _unlike(one: Machine, other: Machine) -> tuple[str, ...]:
    one, other = _bare(one), _bare(other)
    names = (field.name for field in fields(Machine))
    return tuple(name for name in names if getattr(one, name) != getattr(other, name))


def _bare(machine: Machine) -> Machine:
    return replace(machine, view=ClusterView({}))
