"""A standby that lacks what the primary has acknowledged, and what is really lost with it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable

from failoverd.core.lsn import Lsn
from tests.lab.lab import Lab
from tests.lab.server import DATA_DIR, DatabaseHost
from tests.waiting import wait_until


def hold_back(primary: DatabaseHost, *standbys: DatabaseHost) -> None:
    """Their walsenders are stopped: nothing that is committed from now on leaves the primary."""
    for standby in standbys:
        asked = f"select pid from pg_stat_replication where application_name = '{standby.name}'"
        pid = int(primary.sql(asked))
        inside = {process.pid: process for process in primary.processes("postgres")}
        os.kill(inside[pid].outer_pid, signal.SIGSTOP)


TIMEOUTS = ("wal_sender_timeout", "wal_receiver_timeout")


def hold_back_by_filter(lab: Lab, primary: DatabaseHost, standbys: Iterable[DatabaseHost]) -> None:
    """Nothing of the primary arrives there; it may end, since it waits for them 3 s at most."""
    for host in (primary, *standbys):
        for timeout in TIMEOUTS:
            host.sql(f"alter system set {timeout} = '3s'")
        host.sql("select pg_reload_conf()")
    for standby in standbys:
        lab.drop(primary, standby)


def release(lab: Lab) -> None:
    """Every packet goes through again; stopped processes are left to `rebuild`."""
    lab.heal()
    for host in lab.servers:
        if host.postmaster is not None and "T" not in host.postmaster.state:
            for timeout in TIMEOUTS:
                host.sql(f"alter system reset {timeout}")
            host.sql("select pg_reload_conf()")


def fill(primary: DatabaseHost, megabytes: int) -> None:
    """So much WAL beside the application's, committed."""
    primary.sql(
        "set synchronous_commit = local; create table if not exists filling (b text);"
        f" insert into filling select repeat('x', 1000) from generate_series(1, {megabytes * 950})",
        timeout_s=60,
    )


def true_end(host: DatabaseHost, timeline: int) -> Lsn:
    """Where the WAL of a stopped server ends, by pg_waldump over every segment that it has."""
    wal = host.data / "pg_wal"
    prefix = f"{timeline:08X}"
    names = sorted(file.name for file in wal.glob(f"{prefix}????????????????"))
    command = [f"{host.bin_dir}/pg_waldump", "-p", f"{DATA_DIR}/pg_wal", names[0], names[-1]]
    said = host.run(command, user="postgres", check=False).stderr
    found = re.search(r"invalid record length at ([0-9A-F]+/[0-9A-F]+)", said)
    assert found, said
    return Lsn.parse(found[1])


def switch_point(host: DatabaseHost) -> Lsn:
    """Where the present timeline of a primary left the one before."""
    history = (host.data / "pg_wal" / f"{host.timeline:08X}.history").read_text()
    return Lsn.parse(history.strip().splitlines()[-1].split()[1])


def rebuild(old: DatabaseHost, primary: DatabaseHost) -> None:
    """The old primary anew, by pg_basebackup, as a streaming standby."""
    old.sigcont_all()
    old.kill9_all()
    wait_until(lambda: not old.processes("postgres"), 10, f"{old.name} is down")
    empty(old)
    primary.sql(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
        f" where slot_name = '{old.name}'"
    )
    old.clone_from(primary, slot=old.name)


def empty(host: DatabaseHost) -> None:
    host.run(["sh", "-c", f"rm -rf {DATA_DIR}"], user="postgres")
