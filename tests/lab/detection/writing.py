"""Reads are served, and writes are not, or wait."""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.detection.condition import Condition
from tests.lab.detection.recovery import lose_a_backend
from tests.lab.detection.storage import (
    fill_tables,
    freeze_wal,
    freeze_wal_until_blocked,
    thaw_wal,
    turn_wal_read_only,
    wal_on_a_disk_that_can_fail,
    wal_on_a_small_disk,
    wal_on_ext4,
    write_much,
)
from tests.lab.detection.wraparound import almost_used_up, use_up

UNWRITABLE_FAILS_OVER = {"failover": {"on_unwritable": "failover"}}
WRITE_CHECK = "function pg_logical_emit_message(boolean, text, text)"
ANY_LOSS = {"failover": {"max_data_loss": "1GB"}}
"""A load that fills a disk writes faster than the default lets a failover lose."""


def start_standby(w: Watched) -> None:
    w.pg2.start()
    w.pg2.wait_until_streaming()


WRITING = (
    Condition(
        "the synchronous standby is gone, and commits wait",
        "sync_blocked",
        lambda w: w.pg2.pg_ctl_stop("fast"),
        start_standby,
        synchronous=True,
        own=True,
        serves=False,
    ),
    Condition(
        "the storage of the WAL hangs",
        "unwritable",
        freeze_wal,
        thaw_wal,
        own=True,
        prepare=wal_on_ext4,
        serves=False,
        also=frozenset({"busy", "unclear", "half_hung"}),
    ),
    Condition(
        "our role may not write, and policy fails over an unwritable primary",
        "misconfigured",
        lambda w: w.pg1.sql(f"revoke execute on {WRITE_CHECK} from public"),
        sections=UNWRITABLE_FAILS_OVER,
        note="on_unwritable: failover",
    ),
    Condition(
        "every transaction id is used up",
        "unwritable",
        use_up,
        own=True,
        prepare=almost_used_up,
        serves=False,
        note="a forgotten replication slot keeps vacuum from helping",
    ),
    Condition(
        "a table's disk is full, and the WAL's is not",
        "healthy",
        fill_tables,
        own=True,
    ),
    Condition(
        "only new connections hang",
        "half_hung",
        lambda w: w.pg1.sigstop_postmaster(),
        lambda w: w.pg1.sigcont_all(),
        note="the postmaster alone is frozen",
    ),
    Condition(
        "the disk of the WAL is full",
        "crashed",
        write_much,
        own=True,
        prepare=wal_on_a_small_disk,
        sections=ANY_LOSS,
        fails_over=True,
        note="max_data_loss: 1GB",
    ),
    Condition(
        "the disk of the WAL gives I/O errors",
        "crashed",
        write_much,
        own=True,
        prepare=wal_on_a_disk_that_can_fail,
        sections=ANY_LOSS,
        fails_over=True,
        note="max_data_loss: 1GB",
    ),
    Condition(
        "the file system of the WAL turns read-only",
        "crashed",
        turn_wal_read_only,
        own=True,
        prepare=wal_on_ext4,
        fails_over=True,
    ),
    Condition(
        "the storage of the WAL hangs, and policy fails over",
        "unwritable",
        freeze_wal_until_blocked,
        own=True,
        prepare=wal_on_ext4,
        sections=UNWRITABLE_FAILS_OVER,
        fails_over=True,
        note="on_unwritable: failover; fenced once the storage is back",
    ),
    Condition(
        "crash recovery lasts longer than its limit",
        "recovering",
        lose_a_backend,
        sections={"detection": {"recovery_limit": "5s"}},
        fails_over=True,
        note="recovery_limit: 5s",
    ),
    Condition(
        "only new connections hang, and policy fails over",
        "half_hung",
        lambda w: w.pg1.sigstop_postmaster(),
        sections={"failover": {"on_half_hung": "failover"}, "detection": {"half_hung_after": "5s"}},
        fails_over=True,
        note="on_half_hung: failover, half_hung_after: 5s",
    ),
)
