"""Checks: could each standby take over, and follow another primary."""

from __future__ import annotations

from failoverd.core.checks.row import OfNode, OfServer, Row
from failoverd.core.checks.server import alter_system
from failoverd.core.election import wal_loss
from failoverd.core.judged import Judged, fault, fine, megabytes, untold, worry
from failoverd.core.model import FROZEN_SLOT, NodeName
from failoverd.core.replication import Slot
from failoverd.core.survey import ServerStanding, Survey
from failoverd.core.synchronous import parse

MUCH_WAL = 10 << 30


def streaming(s: Survey, node: NodeName) -> Judged | None:
    server = s.report(node).server
    if node == s.primary or s.primary is None:
        return None
    if server is None:
        return untold("SQL did not answer")
    if not server.in_recovery:
        return fault("it is no standby: it takes writes", f"failoverd rejoin {node}")
    if not server.receiver_readable:
        return untold("the role lacks pg_monitor")
    if server.primary_slot_name.startswith(FROZEN_SLOT):
        return fault(
            "it is still detached from a failover that is over",
            f"on {node}: psql -c 'alter system reset primary_slot_name' -c 'select"
            " pg_reload_conf()'   # and primary_conninfo as it was; first see failoverd status",
        )
    if server.receiver is None or not server.receiver.streams:
        status = "nothing" if server.receiver is None else server.receiver.status
        leads_to = server.upstream_host or "nobody"
        return fault(
            f"it does not stream ({status}); its primary_conninfo leads to {leads_to}",
            f"failoverd rejoin {node}   # where it has diverged; its log says why",
        )
    if server.timeline and s.memory.timeline and server.timeline != s.memory.timeline:
        said = f"it streams timeline {server.timeline}, not {s.memory.timeline}"
        return fault(said, f"failoverd rejoin {node}")
    return fine(f"it streams from {server.receiver.sender_host}")


def lag(s: Survey, node: NodeName) -> Judged | None:
    server = s.report(node).server
    if node == s.primary or s.primary is None or server is None or not server.in_recovery:
        return None
    if server.received_lsn is None or s.memory.primary_lsn is None:
        return untold("a position is unknown")
    lost = wal_loss(server.received_lsn, s.memory, None).lost_bytes
    limit = s.policy.max_data_loss_bytes
    if lost <= limit:
        return fine(f"{megabytes(lost)} of WAL would be lost with it at most")
    said = f"{megabytes(lost)} of WAL are missing there, more than max_data_loss"
    fix = f"see what holds it up: network, disk or replay of {node}; failoverd status --watch"
    if s.policy.salvage and s.policy.disk_first:
        return worry(f"{said}: only salvage from the primary's disk would make up for it", fix)
    return fault(said, fix)


def equal_settings(s: Survey, node: NodeName) -> Judged | None:
    server = s.report(node).server
    required = dict(s.memory.required)
    if node == s.primary or server is None or not required or not server.limits:
        return None
    for name, value in server.limits:
        needed = required.get(name, value)
        if value < needed:
            return fault(
                f"{name} is {value}, and the primary's {needed}: a promotion would stop it",
                alter_system(node, name, str(needed), restart=True),
            )
    for name, value in server.limits:
        needed = required.get(name, value)
        if value > needed and s.primary is not None:
            return worry(
                f"{name} is {value}, and the primary's {needed}: as a standby of it the old"
                " primary would not start",
                alter_system(s.primary, name, str(value), restart=True),
            )
    return fine("no setting is below the primary's")


def slots(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    """The WAL that a standby needs is kept for it, and no slot fills the primary's disk."""
    if node == s.primary:
        return _left_slots(s, node)
    report, primary = s.report(node).server, s.primary
    theirs = None if primary is None else s.report(primary).server
    if report is None or theirs is None or primary is None or not report.in_recovery:
        return None
    if s.memory.upstreams.get(node) is not None or report.receiver is None:
        return None
    name = report.primary_slot_name
    if not name:
        return _without_slot(s, primary, node, server)
    found = next((slot for slot in theirs.slots if slot.name == name), None)
    made = f"on {primary}: psql -c \"select pg_create_physical_replication_slot('{name}', true)\""
    if found is None:
        return fault(f"its slot {name} is missing on {primary}", made)
    if found.wal_status == "lost":
        return fault(f"its slot {name} has lost its WAL on {primary}", f"failoverd rejoin {node}")
    if found.wal_status == "unreserved":
        return worry(f"its slot {name} is about to lose its WAL", "free WAL is short: see the lag")
    return fine(f"its slot {name} is kept on {primary}")


def _without_slot(
    s: Survey, primary: NodeName, node: NodeName, server: ServerStanding
) -> Judged | None:
    theirs = s.servers.get(primary)
    keeps = theirs is None or theirs.settings.get("wal_keep_size", "") not in ("0", "0MB")
    if keeps or server.restore_command:
        return fine("no slot; WAL is kept for it otherwise")
    slot = node.replace("-", "_").replace(".", "_").lower()
    return worry(
        "it has no slot, and wal_keep_size is 0: after a longer break its WAL is gone",
        f"on {primary}: psql -c \"select pg_create_physical_replication_slot('{slot}', true)\"\n"
        f"on {node}: psql -c \"alter system set primary_slot_name = '{slot}'\""
        " -c 'select pg_reload_conf()'",
    )


def _left_slots(s: Survey, node: NodeName) -> Judged | None:
    server = s.report(node).server
    if server is None:
        return None
    left = [slot for slot in server.slots if _holds_back(slot)]
    if not left:
        return fine("no slot that nobody uses holds WAL back")
    slot = left[0]
    return worry(
        f"nobody uses its slot {slot.name}, which holds {megabytes(slot.retained_bytes or 0)} back",
        f"on {node}: psql -c \"select pg_drop_replication_slot('{slot.name}')\""
        "   # if nobody wants it",
    )


def _holds_back(slot: Slot) -> bool:
    return not slot.active and (slot.retained_bytes or 0) > MUCH_WAL


def primary_conninfo(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    report = s.report(node).server
    if report is None:
        return None
    if not report.in_recovery:
        return _as_standby(s, node)
    if not report.upstream_host:
        return fault(
            "its primary_conninfo names no host",
            alter_system(node, "primary_conninfo", "'host=PRIMARY user=REPLICATOR ...'"),
        )
    if not server.own_name:
        return worry(
            "its primary_conninfo has no application_name: it is told apart by address alone",
            _named(node),
        )
    if server.own_name != node:
        return worry(
            f"its application_name is {server.own_name}, not {node}",
            _named(node),
        )
    if server.settings.get("recovery_target_timeline", "latest") != "latest":
        return fault(
            "its recovery_target_timeline is not latest: it would not follow another primary",
            alter_system(node, "recovery_target_timeline", "'latest'", restart=True),
        )
    return fine(f"it follows {report.upstream_host} as {server.own_name}")


def _named(node: NodeName) -> str:
    """Of a conninfo that says it twice, libpq takes what stands last."""
    longer = f"current_setting('primary_conninfo') || ' application_name={node}'"
    statement = f"select format('alter system set primary_conninfo = %L', {longer})"
    return f"on {node}: psql -Atc \"{statement}\" | psql && psql -c 'select pg_reload_conf()'"


def _as_standby(s: Survey, node: NodeName) -> Judged | None:
    if node != s.primary:
        return None
    if s.policy.can_rejoin:
        return fine("as a standby it is given the credentials of `replication`")
    return worry(
        "as an old primary it would not come back by itself: there are no credentials for it",
        "replication: {user: replicator, password_file: /etc/failoverd/replication}   # in that"
        " cluster; failoverd grants --replication replicator makes the role (docs/rejoin.md)",
    )


def synchronous(s: Survey, node: NodeName, server: ServerStanding) -> Judged | None:
    setting = server.settings.get("synchronous_standby_names", "")
    if s.policy.synchronous_managed:
        return None
    required = parse(setting)
    if required is None:
        return fine("no commit waits for a standby")
    if node == s.primary:
        return _promised_now(s, node, setting)
    others = [name for name in s.policy.nodes if name not in (node, s.primary)]
    able = [name for name in others if required.covers(name)]
    if len(able) >= required.count:
        return fine(f"as primary it would wait for {' or '.join(sorted(able))}")
    return worry(
        f"as primary its commits would wait for {setting!r}, and nobody of those would be there",
        alter_system(node, "synchronous_standby_names", "''")
        + "   # or synchronous: managed in failoverd's configuration",
    )


def _promised_now(s: Survey, node: NodeName, setting: str) -> Judged | None:
    server, required = s.report(node).server, parse(setting)
    if server is None or required is None:
        return None
    able = [one for one in server.senders if one.streams and required.covers(one.application_name)]
    if len(able) < required.count:
        return worry(
            f"commits wait for {required.count} of {setting!r}, and {len(able)} of them stream",
            alter_system(node, "synchronous_standby_names", "''") + "   # gives the promise up",
        )
    if len(able) == required.count:
        return fine(f"commits wait for {setting!r}; each of them must stay")
    return fine(f"commits wait for {setting!r}")


ROWS: tuple[Row, ...] = (
    OfNode("streaming", "Each standby streams, on the primary's timeline.",
           "The standby's log says why; `failoverd rejoin NODE`.", streaming),
    OfNode("lag", "With each standby no more would be lost than `failover.max_data_loss`.",
           "Network, disk or replay of that standby.", lag),
    OfNode("equal_settings", "`max_connections` and the like are not below the primary's on a"
           " standby (a promotion would stop it), nor above.", "The same value on both.",
           equal_settings),
    OfServer("slots", "The WAL that a standby needs is kept for it; no slot that nobody uses holds"
             " back more than 10 GB.", "`pg_create_physical_replication_slot`; drop the other.",
             slots),
    OfServer("primary_conninfo", "Each standby's `primary_conninfo` is usable after a change of"
             " roles, with its own name; for the primary there are credentials.",
             "`application_name`; the section `replication`.", primary_conninfo),
    OfServer("synchronous", "`synchronous_standby_names` can be kept now, and by each standby once"
             " it is primary.", "`synchronous: managed`, or another list.", synchronous),
)  # fmt: skip
