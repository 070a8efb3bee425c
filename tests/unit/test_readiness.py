"""Each check both ways: well on a healthy pair, and with its fix where that is broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from failoverd.core.judged import Verdict
from failoverd.core.memory import Memory
from failoverd.core.model import ClusterView, Outcome
from failoverd.core.objectives import Backlog, Means, objectives
from failoverd.core.readiness import NAMES, failing, pasted, readiness
from failoverd.core.replication import Receiver, Sender
from failoverd.core.survey import OwnStanding, Reader, RungTrial, Shared
from tests.unit.story import PG1, PG2, WALL
from tests.unit.survey import (
    DAY,
    GB,
    checks_of,
    healthy,
    host,
    known_as,
    no_host,
    no_server,
    of_host,
    of_server,
    other_directory,
    policy,
    remembers,
    same_server,
    sees,
    setting,
    slot,
    stop_alone,
    target,
    wants,
    whole,
    without_slot,
)

NO_ENTRY = (
    'no pg_hba.conf entry for host "192.0.2.1", user "failoverd", database "postgres", no'
    " encryption (28000)"
)
FAIL, WARN, UNKNOWN = Verdict.FAIL, Verdict.WARN, Verdict.UNKNOWN
STALE = Sender("cdc", "198.51.100.7", "streaming", "async", None)
NAMELESS = Receiver("waiting", "192.0.2.11", 5432, 0.1)
TOLD_NOT = RungTrial(PG1, "agent", False, "Connection timed out")
LONG = Reader(4711, "report", "psql", 1200.0)
BROKEN = [
    # name, what is broken, verdict, in its sentence, in its fix
    ("sql", no_server(PG1, Outcome.REFUSED), FAIL, "refused",
     "systemctl start postgresql   # on pg1 as root"),
    ("sql", no_server(PG1, Outcome.MISCONFIGURED, NO_ENTRY), FAIL, "no pg_hba.conf entry",
     "echo 'host postgres failoverd 192.0.2.1/32 scram-sha-256' >>"),
    ("sql", no_server(PG1, Outcome.MISCONFIGURED, NO_ENTRY.replace("192.0.2.1", "2001:db8::1")),
     FAIL, "no pg_hba.conf entry", "2001:db8::1/128"),
    ("sql", no_server(PG1, Outcome.MISCONFIGURED, "password authentication failed (28P01)"), FAIL,
     "28P01", "failoverd grants --password-file"),
    ("sql", no_server(PG2, Outcome.OUR_FAULT, "no such file"), FAIL, "no such file", "own host"),
    ("ssh_host_key", no_host(PG1, Outcome.MISCONFIGURED, "host key not verifiable"), FAIL,
     "known_hosts", "ssh-keyscan 192.0.2.11"),
    ("ssh_host_key", known_as(no_host(PG1, Outcome.MISCONFIGURED, "host key not verifiable")), FAIL,
     "known_hosts", "ssh-keyscan 192.0.2.11 >> /etc/known"),
    ("ssh_login", no_host(PG1, Outcome.MISCONFIGURED, "no login"), FAIL, "no login", "ssh-copy-id"),
    ("ssh_login", known_as(no_host(PG1, Outcome.MISCONFIGURED, "no login")), FAIL, "no login",
     '"ssh-ed25519 AAAA" >> ~/.ssh/authorized_keys\'   # on pg1 as root'),
    ("ssh_login", no_host(PG1, Outcome.REJECTED, "no data directory"), FAIL, "no data", "data_dir"),
    ("ssh_login", no_host(PG2, Outcome.TIMED_OUT, ""), FAIL, "timed_out", "systemctl start ssh"),
    ("sudo", no_host(PG1, Outcome.MISCONFIGURED, "sudo: a password is required"), FAIL,
     "become", "sudoers"),
    ("sudo", of_host(PG1, owns_data=False), FAIL, "not the owner", "become: [sudo"),
    ("sudo", of_host(PG1, sudo=False), WARN, "systemctl", "/etc/sudoers.d/failoverd"),
    ("identity", other_directory, FAIL, "data directory belongs to 1", "postgres.data_dir"),
    ("identity", remembers(calibrations={}), FAIL, "a fence could not be proved", "data_dir"),
    ("identity", sees(PG2, system_identifier="7"), FAIL, "belongs to", "data_dir"),
    ("node_address", same_server, FAIL, "the very same server", "not to a virtual IP"),
    ("node_address", of_server(PG1, server_port=6432), FAIL, "6432", "{port: 6432}"),
    ("node_address", of_server(PG1, server_address="", server_port=0), FAIL, "pooler", "host"),
    ("node_address", of_host(PG1, address_secondary=True), WARN, "virtual IP", "first address"),
    ("login_shell", of_host(PG1, login_s=0.9), WARN, "900 ms", "chsh"),
    ("clock", of_host(PG2, clock_ahead_s=-90.0), WARN, "90 s behind", "timedatectl"),
    ("certificate", of_server(PG1, certificate_ends_at=WALL + 5 * DAY), WARN, "5.0 days", "renew"),
    ("certificate", of_server(PG1, certificate_ends_at=WALL + DAY), FAIL, "1.0 days", "renew"),
    ("certificate", of_server(PG1, certificate_ends_at=WALL - DAY), FAIL, "has expired", "renew"),
    ("server_tools", of_host(PG2, tools={}), FAIL, "pg_ctl is not in bin_dir", "apt-get install"),
    ("server_tools", of_host(PG2, major=17), FAIL, "PostgreSQL 17", "postgresql-17"),
    ("server_tools",
     of_host(PG2, tools={k: v for k, v in host().tools.items() if k != "pg_rewind"}), WARN,
     "pg_rewind", "bin_dir"),
    ("local_sql", of_host(PG2, local_sql="psql: no pg_hba.conf entry"), FAIL, "Unix socket",
     "local all postgres peer"),
    ("epoch_kept", of_host(PG1, epoch_kept="/root is not writable"), FAIL, "/root", "install -d"),
    ("disk_space", of_host(PG1, wal_free_bytes=1 << 20), FAIL, "free for WAL", "enlarge"),
    ("disk_space", of_host(PG1, wal_free_bytes=500 << 20), WARN, "500 MB", "enlarge"),
    ("disk_space", of_host(PG1, data_free_bytes=500 << 20), WARN, "copied", "enlarge"),
    ("unit_restart", of_host(PG1, restart="on-failure"), WARN, "=on-failure", "daemon-reload"),
    ("unit_restart", of_host(PG1, unit_loaded=False), FAIL, "no unit", "list-units"),
    ("other_manager", remembers(other_managers={PG2: "patroni"}), FAIL, "patroni runs there",
     "disable --now patroni"),
    ("privileges", of_server(PG1, privileges=frozenset()), FAIL, "pg_monitor",
     'GRANT pg_monitor TO "failoverd";'),
    ("privileges", of_server(PG1, privileges=frozenset({"pg_monitor"})), WARN, "pg_promote",
     "GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote"),
    ("rewind", setting(PG1, "wal_log_hints", "off"), WARN, "wal_log_hints", "wal_log_hints = on"),
    ("rewind", setting(PG1, "full_page_writes", "off"), WARN, "full_page_writes", "= on"),
    ("max_wal_senders", setting(PG2, "max_wal_senders", "0"), FAIL, "could not serve", "= 3"),
    ("max_wal_senders", setting(PG2, "max_wal_senders", "1"), WARN, "nothing is left", "= 3"),
    ("max_wal_senders", setting(PG2, "max_replication_slots", "0"), WARN, "slots is 0", "= 3"),
    ("hot_standby", setting(PG1, "hot_standby", "off"), WARN, "answers nobody", "hot_standby = on"),
    ("allow_alter_system", setting(PG2, "allow_alter_system", "off"), FAIL, "detached", "= on"),
    ("durability", setting(PG1, "fsync", "off"), WARN, "fsync is off", "fsync = on"),
    ("durability", setting(PG1, "synchronous_commit", "off"), WARN, "before they are", "= on"),
    ("restore_command", of_server(PG2, restore_command="scp postgres@192.0.2.11:/a/%f %p"), WARN,
     "asks pg1", "no node"),
    ("long_readers", of_server(PG2, reader=LONG), WARN, "4711 of report",
     "pg_terminate_backend(4711)"),
    ("other_failoverd", of_server(PG1, other_daemons=("192.0.2.99",)), FAIL, "192.0.2.99",
     "observe"),
    ("streaming", sees(PG2, receiver=None), FAIL, "does not stream", "failoverd rejoin pg2"),
    ("streaming", sees(PG2, receiver=NAMELESS), FAIL, "(waiting)", "failoverd rejoin pg2"),
    ("streaming", sees(PG2, primary_slot_name="failoverd_frozen_7"), FAIL, "detached", "reset"),
    ("streaming", remembers(timeline=2), FAIL, "timeline 1, not 2", "rejoin"),
    ("lag", policy(max_data_loss_bytes=-1), WARN, "only salvage", "watch"),
    ("lag", policy(max_data_loss_bytes=-1, salvage=False), FAIL, "max_data_loss", "network"),
    ("equal_settings", sees(PG2, limits=(("max_connections", 50),)), FAIL, "would stop it",
     "max_connections = 100"),
    ("equal_settings", sees(PG2, limits=(("max_connections", 200),)), WARN, "would not start",
     "on pg1"),
    ("slots", sees(PG1, slots=()), FAIL, "missing on pg1", "pg_create_physical_replication_slot"),
    ("slots", slot(wal_status="lost"), FAIL, "has lost its WAL", "rejoin pg2"),
    ("slots", slot(wal_status="unreserved"), WARN, "about to lose", "lag"),
    ("slots", slot(active=False, retained_bytes=20 * GB), WARN, "20 GB", "pg_drop_"),
    ("slots", without_slot, WARN, "wal_keep_size is 0", "primary_slot_name = 'pg2'"),
    ("primary_conninfo", sees(PG2, upstream_host=""), FAIL, "names no host", "primary_conninfo"),
    ("primary_conninfo", of_server(PG2, own_name=""), WARN, "no application_name",
     "application_name=pg2"),
    ("primary_conninfo", of_server(PG2, own_name="walreceiver"), WARN, "walreceiver, not pg2",
     "application_name=pg2"),
    ("primary_conninfo", setting(PG2, "recovery_target_timeline", "1"), FAIL, "not latest",
     "= 'latest'"),
    ("primary_conninfo", policy(can_rejoin=False), WARN, "no credentials", "replication:"),
    ("synchronous", setting(PG1, "synchronous_standby_names", "pg9"), WARN, "0 of them stream",
     "synchronous_standby_names = ''"),
    ("synchronous", setting(PG2, "synchronous_standby_names", "pg1"), WARN, "as primary",
     "synchronous: managed"),
    ("one_primary", sees(PG1, in_recovery=True), FAIL, "no node takes writes", "recover"),
    ("failover_possible", whole(obstacles=("cooldown for another 60 s (failoverd ack ends it)",)),
     FAIL, "cooldown", "failoverd ack"),
    ("failover_possible", whole(obstacles=("paused by alice (failoverd resume ends it)",)), FAIL,
     "paused by alice", "failoverd resume"),
    ("failover_possible", whole(obstacles=("mode is manual: it would wait for an operator",)), FAIL,
     "mode is manual", "mode: automatic"),
    ("failover_possible", whole(obstacles=("no candidate",)), FAIL, "no candidate", "status"),
    ("fence_rungs", whole(rungs=(TOLD_NOT,)), WARN, "Connection timed out", "action=status"),
    ("fence_rungs", stop_alone(no_host(PG1, Outcome.TIMED_OUT, "")), FAIL,
     "its host does not answer", "see ssh_login and identity"),
    ("fence_rungs",
     lambda s: no_host(PG1, Outcome.TIMED_OUT, "")(replace(s, rungs=(TOLD_NOT,))), FAIL,
     "no rung of its ladder works", "action=status"),
    ("leadership", whole(shared=Shared(leads=False, failing="no answer", others=("b",))), FAIL,
     "etcd cannot be used, so no daemon acts: no answer", "endpoint health"),
    ("leadership", whole(shared=Shared(leads=False, others=("b",))), FAIL, "no daemon leads",
     "status on each"),
    ("leadership", whole(shared=Shared(leads=True)), WARN, "no other daemon", "another"),
    ("dead_man", whole(dead_man="no standby streams"), FAIL, "no standby streams", "status"),
    ("redirect", target(Outcome.UNKNOWN), FAIL, "cannot be asked", "redirect"),
    ("redirect", target(Outcome.OK, PG2), FAIL, "leads to pg2, not to pg1", "redirect"),
    ("unknown_walsenders", sees(PG1, senders=(STALE,)), WARN, "cdc from 198.51.100.7", "priority"),
    ("state_dir", whole(own=OwnStanding(state_dir="/x", state_dir_fault="permission denied")),
     FAIL, "permission denied", "install -d"),
    ("state_dir", whole(own=OwnStanding(state_dir="/x", state_free_bytes=1)), FAIL, "1 bytes",
     "enlarge"),
    ("rto", wants(3.0), FAIL, "crash", "failover.rto"),
    ("not_covered",
     lambda s: replace(s, objectives=objectives(s.policy, Means(), Backlog())), WARN,
     "host_lost and isolated", "dead_man"),
]  # fmt: skip


def test_a_healthy_pair_passes_every_check_and_each_has_something_to_say():
    found = readiness(healthy())
    worse = [(one.name, one.node, one.sentence) for one in found if one.verdict is not Verdict.PASS]
    assert worse == []
    assert all(one.sentence for one in found)
    assert {one.name for one in found} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "broken", "verdict", "sentence", "fix"),
    BROKEN,
    ids=[f"{c[0]}: {c[3]}" for c in BROKEN],
)
def test_what_is_broken_is_told_by_its_check_with_a_fix(name, broken, verdict, sentence, fix):
    found = [one for one in checks_of(broken(healthy()), name) if one.verdict is verdict]
    assert found, checks_of(broken(healthy()), name)
    assert any(sentence in one.sentence and fix in one.fix for one in found), found


def test_every_check_is_tried_broken():
    assert {case[0] for case in BROKEN} == set(NAMES)


def test_what_could_not_be_looked_at_is_not_known_and_not_well():
    survey = no_server(PG2, Outcome.REFUSED)(healthy())
    (found,) = [one for one in checks_of(survey, "durability") if one.node == PG2]
    assert found.verdict is UNKNOWN
    assert "durability" not in failing(readiness(survey))
    assert "sql" in failing(readiness(survey))


def test_where_no_server_answers_nobody_knows_who_takes_writes():
    nothing = whole(view=ClusterView({}), memory=Memory())(healthy())
    (found,) = checks_of(nothing, "one_primary")
    assert found.verdict is UNKNOWN
    (possible,) = checks_of(
        replace(nothing, obstacles=("no primary is known",)), "failover_possible"
    )
    assert (possible.verdict, possible.fix) == (
        FAIL,
        "mend what fails of the servers first: see sql",
    )


def test_a_fix_says_where_it_is_pasted_and_as_whom():
    assert pasted("on pg1: psql -c 'x'   # then restart it") == (
        "psql -c 'x'   # on pg1 as postgres, then restart it"
    )
    assert pasted("on pg2: apt-get install it") == "apt-get install it   # on pg2 as root"
    assert pasted("failoverd status") == "failoverd status"


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        (None, "alone"),
        (Shared(leads=True, others=("b",)), "this daemon leads; b could take over"),
        (Shared(leads=False, leader="b", others=("b",)), "b leads; this daemon could take over"),
    ],
)
def test_a_leadership_that_is_in_order_is_told(shared, said):
    (found,) = checks_of(replace(healthy(), shared=shared), "leadership")
    assert found.verdict is Verdict.PASS
    assert said in found.sentence


def test_no_secret_of_a_restore_command_is_told():
    survey = of_server(PG2, restore_command="curl -u a:hunter2 192.0.2.11/%f -o %p")(healthy())
    assert "hunter2" not in repr(readiness(survey))
    assert "hunter2" not in repr(survey)


def test_an_address_is_found_as_a_word_only():
    survey = of_server(PG2, restore_command="scp 192.0.2.110:/a/%f %p")(healthy())
    assert all(one.verdict is Verdict.PASS for one in checks_of(survey, "restore_command"))
