"""A primary that has used up its transaction ids: it reads, and refuses whatever would write.

What keeps vacuum from giving them back is a replication slot that somebody forgot, as in life.
Source: PostgreSQL documentation, "Preventing Transaction ID Wraparound Failures".
"""

from __future__ import annotations

import shutil

from tests.lab.cluster import Watched
from tests.lab.lab import Lab
from tests.lab.server import BIN_DIR, DATA_DIR, DatabaseHost

IDS_LEFT = 20_000
"""Of the application and the daemon, until the condition begins: minutes of theirs."""
KEPT_BACK = 3_000_000
"""Ids before the wraparound that PostgreSQL gives to nobody."""
HALF_OF_ALL = 2**31 - 1
IDS_A_SEGMENT = 2**20
SEGMENT_BYTES = 2**18
"""Of pg_xact: two bits an id."""
USE_UP = f"""
do $$ begin
    for each in 1 .. {IDS_LEFT * 2} loop
        perform pg_current_xact_id();
        commit;
    end loop;
end $$
"""


def almost_used_up(lab: Lab) -> None:
    """pg_resetwal moves the next id on; the standby is then cloned anew."""
    primary, standby = lab.servers[:2]
    _forget_a_slot(primary, standby)
    standby.pg_ctl_stop()
    primary.pg_ctl_stop()
    _move_on(primary, _oldest(primary) + HALF_OF_ALL - KEPT_BACK - IDS_LEFT)
    primary.start()
    shutil.rmtree(standby.data)
    standby.clone_from(primary, slot="anew")


def _forget_a_slot(primary: DatabaseHost, standby: DatabaseHost) -> None:
    """With it the oldest id that anybody may still have to see."""
    standby.sql("alter system set hot_standby_feedback = on")
    standby.reload()
    primary.wait_for_sql("select xmin is not null from pg_replication_slots", "t")


def _oldest(host: DatabaseHost) -> int:
    said = host.run([f"{BIN_DIR}/pg_controldata", "-D", DATA_DIR], user="postgres").stdout
    (line,) = [line for line in said.splitlines() if "oldestXID:" in line]
    return int(line.split()[-1])


def _move_on(host: DatabaseHost, next_id: int) -> None:
    reset = [f"{BIN_DIR}/pg_resetwal", "-x", str(next_id), "-D", DATA_DIR]
    host.run(reset, user="postgres")
    segment = f"{DATA_DIR}/pg_xact/{next_id // IDS_A_SEGMENT:04X}"
    zeros = ["dd", "if=/dev/zero", f"of={segment}", f"bs={SEGMENT_BYTES}", "count=1", "status=none"]
    host.run(zeros, user="postgres")


def use_up(w: Watched) -> None:
    command = [f"{BIN_DIR}/psql", "-X", "-q", "-h", w.pg1.socket_dir, "-d", "postgres"]
    done = w.pg1.run(command, user="postgres", input=USE_UP, check=False)
    assert "not accepting commands to avoid wraparound" in done.stderr, done.stderr
