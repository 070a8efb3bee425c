"""Checks: the cluster as a whole, its fences, its applications' ways, and the daemon itself."""

from __future__ import annotations

from failoverd.core.checks.row import OfCluster, OfNode, Row
from failoverd.core.judged import Judged, fault, fine, megabytes, untold, worry
from failoverd.core.model import NodeName
from failoverd.core.objectives import beyond
from failoverd.core.survey import RungTrial, Survey

OUR_LEAST, OUR_LITTLE = 16 << 20, 200 << 20
BACKUPS = frozenset({"pg_basebackup", "pg_receivewal", "pg_rewind", "barman", "pgbackrest"})


def one_primary(s: Survey) -> Judged | None:
    writable = sorted(name for name, report in s.view.nodes.items() if report.writable)
    said = f"{' and '.join(writable) or 'no node'} takes writes"
    if len(writable) == 1:
        return fine(said)
    if not writable and s.primary is not None and s.report(s.primary).server is None:
        return untold("the primary does not answer")
    if not writable and all(s.report(node).server is None for node in s.policy.nodes):
        return untold("no server answers")
    return fault(said, "exactly one node must be the primary: docs/recover.md")


def failover_possible(s: Survey) -> Judged | None:
    if not s.obstacles:
        return fine("somebody could take over this second")
    if s.primary is None:
        return fault("; ".join(s.obstacles), "mend what fails of the servers first: see sql")
    fixes = [fix for one in s.obstacles for word, fix in _ENDED_BY.items() if word in one]
    return fault("; ".join(s.obstacles), "\n".join(fixes) or "failoverd status")


_ENDED_BY = {
    "failoverd ack ends it": "failoverd ack",
    "failoverd ack starts anew": "failoverd ack",
    "paused by": "failoverd resume",
    "it would wait for an operator": "failover: {mode: automatic}   # then failoverd reload",
}
"""Words of an obstacle (core/outlook.py), and what takes it away."""


def unknown_walsenders(s: Survey) -> Judged | None:
    server = None if s.primary is None else s.report(s.primary).server
    if server is None:
        return untold("the primary does not answer")
    known = {*s.policy.nodes, *s.memory.application_names.values()}
    addresses = {node.host for node in s.policy.nodes.values()}
    strangers = sorted(
        f"{one.application_name or 'no name'} from {one.client_address or 'its own host'}"
        for one in server.senders
        if one.application_name not in known | BACKUPS
        and one.client_address.partition("/")[0] not in addresses
    )
    if not strangers:
        return fine("only nodes of this cluster stream from the primary")
    told = " and ".join(strangers)
    return worry(
        f"{told} streams from the primary and is no node here: nobody would lead it to a new one",
        "nodes: {NAME: {host: ITS_ADDRESS, priority: never}}   # or without priority, or end it",
    )


def fence_rungs(s: Survey, node: NodeName) -> Judged | None:
    """Each rung is tried as far as that does no harm."""
    trials = [*_stop(s, node), *(one for one in s.rungs if one.node == node)]
    failed = [one for one in trials if one.works is False]
    if len(trials) < len(s.means.rungs):
        return untold("not every rung was tried yet")
    if not failed:
        return fine("; ".join(f"{one.rung}: {one.sentence}" for one in trials))
    told = "; ".join(f"{one.rung}: {one.sentence}" for one in failed)
    fix = (
        "mend what fails of that host first: see ssh_login and identity"
        if failed[-1].rung == "stop"
        else f"try {failed[-1].rung} by hand with action=status (docs/fencing.md), and correct"
        " fencing.ladder or the node's agent"
    )
    if len(failed) < len(trials):
        return worry(f"a rung of its ladder does not work ({told})", fix)
    return fault(f"no rung of its ladder works ({told})", fix)


def _stop(s: Survey, node: NodeName) -> list[RungTrial]:
    """The rung `stop` needs its host, and the right to signal there."""
    if all(rung.name != "stop" for rung in s.means.rungs):
        return []
    host = s.hosts.get(node)
    if host is None:
        return [RungTrial(node, "stop", False, "its host does not answer")]
    works = host.owns_data and node in s.memory.calibrations
    said = "its host sees the server" if works else "its host does not see its server so"
    return [RungTrial(node, "stop", works, said)]


def dead_man(s: Survey) -> Judged | None:
    if s.dead_man is None:
        return None
    if not s.dead_man:
        return fine("the dead-man is armed on the primary's host")
    return fault(f"no dead-man is armed: {s.dead_man}", "failoverd status says what it waits for")


def redirect(s: Survey) -> Judged | None:
    if not s.policy.targets:
        return None
    wrong: list[str] = []
    for name in sorted(s.policy.targets):
        report = s.targets.get(name)
        if report is None:
            continue
        if not report.look.ok:
            wrong.append(f"{name} cannot be asked: {report.sentence or report.look.detail}")
        elif not report.leads_to(s.primary):
            where = " and ".join(sorted(report.points_at)) or "nobody"
            wrong.append(f"{name} leads to {where}, not to {s.primary}")
    if wrong:
        return fault("; ".join(wrong), "correct `redirect`, or that program (docs/redirect.md)")
    return fine("the applications' ways lead to the primary")


def state_dir(s: Survey) -> Judged | None:
    own = s.own
    fix = f"install -d -o failoverd -g failoverd -m 750 {own.state_dir}"
    if own.state_dir_fault:
        return fault(f"{own.state_dir} cannot be written: {own.state_dir_fault}", fix)
    if s.view.journal_failing:
        return fault(f"the journal cannot be written: {s.view.journal_failing}", fix)
    free = own.state_free_bytes
    if free is None or free >= OUR_LITTLE:
        return fine("the journal can be written")
    said = f"only {megabytes(free)} are free in {own.state_dir}"
    grow = "enlarge that file system: without a journal nothing is done"
    return fault(said, grow) if free < OUR_LEAST else worry(said, grow)


def leadership(s: Survey) -> Judged | None:
    shared = s.shared
    if shared is None:
        return fine("this daemon is alone, and acts")
    if shared.failing:
        return fault(
            f"etcd cannot be used, so no daemon acts: {shared.failing}",
            "mend etcd (`etcdctl endpoint health`); the cluster goes on: docs/leadership.md",
        )
    if not shared.leads and not shared.leader:
        return fault("no daemon leads", "failoverd status on each of them: docs/leadership.md")
    if not shared.others:
        return worry("no other daemon is there to take over from this one", "start another one")
    if shared.leads:
        return fine(f"this daemon leads; {' and '.join(shared.others)} could take over from it")
    return fine(f"{shared.leader} leads; this daemon could take over from it")


def rto(s: Survey) -> Judged | None:
    wanted = s.means.rto_s
    if wanted is None or not s.objectives:
        return None
    late = beyond(s.objectives, wanted)
    if late:
        told = "; ".join(one.sentence for one in late)
        return fault(f"longer than failover.rto ({wanted:g} s): {told}",
                     "shorten the longest step (detection.failures, limits, the rung's timeout), or"
                     " raise failover.rto")  # fmt: skip
    return fine(f"the worst case of each covered fault is within {wanted:g} s")


def not_covered(s: Survey) -> Judged | None:
    if not s.objectives:
        return None
    gaps = [one for one in s.objectives if one.worst_s is None]
    unfenced = [one for one in gaps if not one.chosen]
    if unfenced:
        names = " and ".join(one.fault for one in unfenced)
        return worry(
            f"not covered: {names} ({unfenced[0].why})",
            "fencing: {ladder: [stop, {dead_man: {ttl: 5s}}]}   # or an agent: docs/fencing.md",
        )
    if gaps:
        return fine(f"left to an operator: {' and '.join(one.fault for one in gaps)}")
    return fine("each kind of fault is covered")


ROWS: tuple[Row, ...] = (
    OfCluster("one_primary", "Exactly one node takes writes.", "docs/recover.md.", one_primary),
    OfCluster("failover_possible", "Somebody could take over now, and no rule stands in the way"
              " (cooldown, pause, mode).", "`failoverd status`.", failover_possible),
    OfNode("fence_rungs", "Each rung of the fencing ladder, tried without harm: an agent is asked"
           " for `status`.", "Agent by hand with `action=status`.", fence_rungs),
    OfCluster("dead_man", "Where the ladder has it, the dead-man is armed.", "`failoverd status`.",
              dead_man),
    OfCluster("redirect", "Each way of the applications can be asked, and leads to the primary.",
              "The section `redirect`, or that program.", redirect),
    OfCluster("unknown_walsenders", "Only nodes of this cluster stream from the primary.",
              "Add it to `nodes`, with `priority: never`.", unknown_walsenders),
    OfCluster("state_dir", "The journal can be written: without it nothing is done.",
              "`install -d -o failoverd /var/lib/failoverd`.", state_dir),
    OfCluster("leadership", "Of several daemons one leads, and another one could take over.",
              "`etcdctl endpoint health`.", leadership),
    OfCluster("rto", "The worst case of each covered fault is within `failover.rto`.",
              "Shorter limits, or a longer `rto`.", rto),
    OfCluster("not_covered", "Each kind of fault is covered by a rung of the ladder; those that are"
              " not are named.", "A rung that works without the host.", not_covered),
)  # fmt: skip
