"""What a failover would do now, step by step, with its exact commands. Nothing is done.

The commands are those of the effects themselves; what is only known on the way (positions, an
epoch taken by another daemon meanwhile) stands as it would be at this moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from failoverd.core.decision import begun_now, stop_mode, trial
from failoverd.core.diagnosis import Diagnosis, diagnose
from failoverd.core.elected import Election
from failoverd.core.events import Now, OperatorFailover, Trigger
from failoverd.core.following import upstream_for
from failoverd.core.model import FROZEN_SLOT, NodeName
from failoverd.core.operator import refusal
from failoverd.core.outlook import outlook
from failoverd.core.policy import Policy
from failoverd.core.redirection import pauses
from failoverd.core.schedule import OperatorSwitchover
from failoverd.core.situation import Machine
from failoverd.core.states import Incident
from failoverd.effect.confirm import DEFAULT_WRITE, LOCAL_WRITE, PRIMARY
from failoverd.effect.equip import CHECKPOINT
from failoverd.effect.promote import EXPIRES, GUARDED
from failoverd.effect.synchronous import SETTING
from failoverd.effect.world import Node

Order = OperatorFailover | OperatorSwitchover


@dataclass(frozen=True, slots=True)
class Rehearsed:
    step: str
    node: NodeName
    does: str
    commands: tuple[str, ...]


def rehearse(
    m: Machine, now: Now, policy: Policy, nodes: Mapping[NodeName, Node], order: Order
) -> dict[str, Any]:
    """JSON-able. `refused` says why the order would not be taken; None: it would."""
    refused = refusal(m, order, policy)
    if m.memory.primary is None:
        return {"refused": refused, "election": None, "steps": [], "obstacles": []}
    diagnosis = diagnose(m.view, m.memory, policy)
    incident = _incident(m, order, diagnosis)
    election = trial(incident, m, policy)
    steps = tuple(_steps(incident, m, policy, nodes, election))
    if incident.trigger is Trigger.SWITCHOVER and election.candidate is not None:
        steps = (*_before(m), *steps, _after(m, election.candidate, nodes))
    return {
        "refused": refused,
        "obstacles": list(outlook(m, now, policy).obstacles),
        "election": {
            "candidate": election.candidate,
            "position": None if election.position is None else str(election.position),
            "loss": None if election.loss is None else election.loss.sentence,
            "refused": dict(sorted(election.refused.items())),
        },
        "steps": [
            {"step": one.step, "node": one.node, "does": one.does, "commands": list(one.commands)}
            for one in steps
        ],
    }


def _incident(m: Machine, order: Order, diagnosis: Diagnosis) -> Incident:
    if isinstance(order, OperatorSwitchover):
        return begun_now(m, Trigger.SWITCHOVER, diagnosis, order.by, order.to)
    return begun_now(m, order.trigger, diagnosis, order.by, order.to, order.accept_loss_bytes)


def _steps(
    incident: Incident,
    m: Machine,
    p: Policy,
    nodes: Mapping[NodeName, Node],
    election: Election,
) -> Iterator[Rehearsed]:
    old, new = m.memory.primary, election.candidate
    assert old is not None
    if new is None:
        return
    ladder = [_rung(rung.name, nodes[old], incident) for rung in nodes[old].rungs]
    yield Rehearsed("fence", old, "guarded, stopped, and proved so", tuple(ladder))
    for standby in m.standbys(p):
        does = "detached, so that its position stands still"
        yield Rehearsed("freeze", standby, does, _freeze(incident))
    yield Rehearsed("elect", new, "elected anew, on positions that stand still", ())
    salvaged = "WAL that it lacks is brought over from the old primary's disk"
    if p.salvage:
        yield Rehearsed("salvage", new, salvaged, (f"host program on {old}: wal_end, wal_send",))
    emptied = (f"alter system set {SETTING} = ''",) if p.synchronous_managed else ()
    slot = f"{FROZEN_SLOT}{incident.epoch}"
    asked = _one_line(
        GUARDED.replace("$1", f"'{m.memory.system_identifier}'")
        .replace("$2", f"'{election.position}'")
        .replace("$3", f"'{slot}'")
        .replace("$4", f"({EXPIRES})")
    )
    yield Rehearsed("promote", new, "asked until it is out of recovery", (*emptied, asked))
    seen = tuple(_one_line(statement) for statement in (PRIMARY, LOCAL_WRITE, DEFAULT_WRITE))
    yield Rehearsed("confirm", new, "a higher timeline and a committed write", seen)
    yield Rehearsed("equip", new, "slots that were in use, and a checkpoint", (CHECKPOINT,))
    for standby in m.standbys(p):
        if standby == new:
            continue
        own = m.memory.upstreams.get(standby)
        upstream = new if own is None else upstream_for(standby, m.view, m.memory, 0)
        yield _repoint(standby, new if upstream == old else upstream, nodes)


def _before(m: Machine) -> Iterator[Rehearsed]:
    """While the primary serves; a switchover goes back from here to `promote`."""
    assert m.memory.primary is not None
    yield Rehearsed("checkpoint", m.memory.primary, "so that its stop is short", (CHECKPOINT,))
    for effect in pauses(m):
        does = f"applications wait, or are kept out ({effect.target})"
        yield Rehearsed("pause", m.memory.primary, does, ())


def _after(m: Machine, new: NodeName, nodes: Mapping[NodeName, Node]) -> Rehearsed:
    assert m.memory.primary is not None
    address = nodes[new].address
    return Rehearsed(
        "rejoin",
        m.memory.primary,
        f"comes back as a standby of {new}; rewound only if it wrote past the fork",
        (
            f"on {new}: select pg_create_physical_replication_slot(...)",
            f"primary_conninfo = 'host={address.host} port={address.port} ...', and started",
        ),
    )


def _rung(name: str, node: Node, incident: Incident) -> str:
    if name != "stop":
        return f"rung {name} of the ladder"
    data = node.arguments.get("data_dir", "the data directory")
    return (
        f"host program on {node.name}: stop mode={stop_mode(incident)} epoch={incident.epoch}"
        f" (standby.signal and failoverd.guard in {data}; SIGQUIT, then SIGKILL to what runs there)"
    )


def _freeze(incident: Incident) -> tuple[str, ...]:
    return (
        f"alter system set primary_slot_name = '{FROZEN_SLOT}{incident.epoch}'",
        "alter system set primary_conninfo = ''",
        "alter system set max_standby_archive_delay = 0",
        "alter system set max_standby_streaming_delay = 0",
        "select pg_reload_conf()",
    )


def _repoint(standby: NodeName, upstream: NodeName, nodes: Mapping[NodeName, Node]) -> Rehearsed:
    address = nodes[upstream].address
    return Rehearsed(
        "repoint",
        standby,
        f"follows {upstream}, with its own user, password, name and slot",
        (
            f"on {upstream}, where it uses a slot: select pg_create_physical_replication_slot(...)",
            f"alter system set primary_conninfo = 'host={address.host} port={address.port} ...'",
            "alter system set primary_slot_name = its own",
            "select pg_reload_conf()",
        ),
    )


def _one_line(statement: str) -> str:
    return " ".join(statement.split())
