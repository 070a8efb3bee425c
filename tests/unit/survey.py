"""A pair that no check finds fault with, and what may be changed in it."""

from __future__ import annotations

from dataclasses import replace

from failoverd.core.memory import Calibration
from failoverd.core.model import NodeName, Outcome, WallTime
from failoverd.core.objectives import Backlog, Means, RungMeans, objectives
from failoverd.core.policy import DeadManPolicy, TargetName, TargetPolicy
from failoverd.core.readiness import readiness
from failoverd.core.replication import Sender, Slot
from failoverd.core.survey import (
    PRIVILEGES,
    HostStanding,
    Login,
    OwnStanding,
    RungTrial,
    ServerStanding,
    Survey,
)
from failoverd.core.target import TargetReport
from tests.unit.story import ADDRESSES, PG1, PG2, POLICY, WALL, Story, look, well

PG3 = NodeName("pg3")
DAY = 86400.0
GB = 1 << 30
TOOLS = ("pg_ctl", "pg_controldata", "pg_isready", "psql", "pg_waldump", "pg_rewind")
SETTINGS = {
    "wal_log_hints": "on",
    "data_checksums": "off",
    "full_page_writes": "on",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "hot_standby": "on",
    "recovery_target_timeline": "latest",
    "synchronous_standby_names": "",
    "synchronous_commit": "on",
    "fsync": "on",
    "allow_alter_system": "on",
    "wal_keep_size": "1024",
}


def server(node) -> ServerStanding:
    return ServerStanding(
        version=160004,
        settings=SETTINGS,
        privileges=frozenset(PRIVILEGES),
        role="failoverd",
        server_address=ADDRESSES[node],
        server_port=5432,
        databases_bytes=GB if node == PG1 else None,
        own_name=str(node),
        own_user="replicator",
        restore_command="cp /archive/%f %p",
        certificate_ends_at=WallTime(WALL + 300 * DAY),
    )


def host() -> HostStanding:
    return HostStanding(
        user="postgres",
        owns_data=True,
        major=16,
        tools={tool: f"{tool} (PostgreSQL) 16.4" for tool in (*TOOLS, "pg_basebackup")},
        data_free_bytes=50 * GB,
        wal_free_bytes=50 * GB,
        unit="postgresql-16",
        restart="no",
        sudo=True,
        login_s=0.03,
    )


def facts(report):
    found = well(report.name, 9, report.began_at).host.facts
    assert found is not None
    return found


def healthy() -> Survey:
    """A pair that nothing is wrong with, where every check applies."""
    story = Story().all_well()
    sees = story.machine.view
    one, two = sees.report(PG1), sees.report(PG2)
    limits = (("max_connections", 100),)
    assert one.server is not None and two.server is not None
    senders = (Sender("pg2", ADDRESSES[PG2], "streaming", "async", None),)
    slots = (Slot("pg2", active=True, wal_status="reserved", retained_bytes=0),)
    one = replace(one, server=replace(one.server, limits=limits, senders=senders, slots=slots))
    two = replace(
        two,
        server=replace(
            two.server, limits=limits, primary_slot_name="pg2", upstream_host=ADDRESSES[PG1],
            postmaster_started="1699990500", data_directory="/data2",
        ),
    )  # fmt: skip
    hosts = {node: replace(r.host, facts=facts(r)) for node, r in ((PG1, one), (PG2, two))}
    one, two = replace(one, host=hosts[PG1]), replace(two, host=hosts[PG2])
    target = TargetName("haproxy")
    policy = replace(
        POLICY, can_rejoin=True, targets={target: TargetPolicy()}, dead_man=DeadManPolicy(5.0)
    )
    calibration = Calibration("b", "postgres", "1:2", 4, "1699990000")
    memory = replace(
        story.machine.memory, required=limits, calibrations={PG1: calibration, PG2: calibration}
    )
    means = Means((RungMeans("stop"), RungMeans("agent", 2.0)), rto_s=20.0)
    fine = look(Outcome.OK, story.at)
    return Survey(
        at=WallTime(WALL),
        view=replace(sees, nodes={PG1: one, PG2: two}),
        memory=memory,
        policy=policy,
        server_looks={PG1: fine, PG2: fine},
        servers={PG1: server(PG1), PG2: server(PG2)},
        host_looks={PG1: fine, PG2: fine},
        hosts={PG1: host(), PG2: host()},
        rungs=tuple(RungTrial(node, "agent", True, "it says on") for node in (PG1, PG2)),
        targets={target: TargetReport(target, fine, frozenset({PG1}), "leads to pg1")},
        own=OwnStanding(state_dir="/var/lib/failoverd", state_free_bytes=GB),
        dead_man="",
        means=means,
        objectives=tuple(
            one for one in objectives(policy, means, Backlog()) if one.worst_s is not None
        ),
    )


def of_server(node, **changed):
    return lambda s: replace(s, servers={**s.servers, node: replace(s.servers[node], **changed)})


def setting(node, name, value):
    return lambda s: of_server(node, settings={**s.servers[node].settings, name: value})(s)


def of_host(node, **changed):
    return lambda s: replace(s, hosts={**s.hosts, node: replace(s.hosts[node], **changed)})


def no_host(node, outcome, detail):
    def change(s):
        hosts = {n: h for n, h in s.hosts.items() if n != node}
        return replace(s, hosts=hosts, host_looks={**s.host_looks, node: look(outcome, 9, detail)})

    return change


def no_server(node, outcome, detail=""):
    def change(s):
        servers = {n: h for n, h in s.servers.items() if n != node}
        looks = {**s.server_looks, node: look(outcome, 9, detail)}
        return replace(s, servers=servers, server_looks=looks)

    return change


def sees(node, **changed):
    """In what the watch sees of the server by SQL."""

    def change(s):
        report = s.view.report(node)
        seen = replace(report, server=replace(report.server, **changed))
        return replace(s, view=replace(s.view, nodes={**s.view.nodes, node: seen}))

    return change


def remembers(**changed):
    return lambda s: replace(s, memory=replace(s.memory, **changed))


def policy(**changed):
    return lambda s: replace(s, policy=replace(s.policy, **changed))


def whole(**changed):
    return lambda s: replace(s, **changed)


def wants(rto_s):
    return lambda s: replace(s, means=replace(s.means, rto_s=rto_s))


def other_directory(s):
    report = s.view.report(PG2)
    found = replace(report.host.facts, system_identifier="1")
    seen = replace(report, host=replace(report.host, facts=found))
    return replace(s, view=replace(s.view, nodes={**s.view.nodes, PG2: seen}))


def same_server(s):
    mine = s.view.report(PG1).server
    return sees(
        PG2, in_recovery=False, postmaster_started=mine.postmaster_started,
        data_directory=mine.data_directory,
    )(s)  # fmt: skip


def slot(**changed):
    usual = Slot("pg2", active=True, wal_status="reserved", retained_bytes=0)
    return sees(PG1, slots=(replace(usual, **changed),))


def without_slot(s):
    changed = sees(PG2, primary_slot_name="")(setting(PG1, "wal_keep_size", "0")(s))
    return of_server(PG2, restore_command="")(changed)


def target(outcome, *points_at):
    name = TargetName("haproxy")
    report = TargetReport(name, look(outcome, 9), frozenset(points_at), "it does not answer")
    return whole(targets={name: report})


def stop_alone(change):
    """No rung of the ladder but the first."""
    return lambda s: change(replace(s, rungs=(), means=Means((RungMeans("stop"),))))


def known_as(change):
    """And failoverd's own key can be read."""
    login = Login("postgres", "/etc/known", "ssh-ed25519 AAAA")
    return lambda s: replace(change(s), logins={PG1: login})


def checks_of(survey, name):
    return [one for one in readiness(survey) if one.name == name]
