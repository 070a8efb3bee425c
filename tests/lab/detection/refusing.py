"""Alive, but refusing: the server answers, and what it says is no."""

from __future__ import annotations

import os
import signal

from tests.lab.cluster import Watched
from tests.lab.detection.again import Again, Pause
from tests.lab.detection.certificates import (
    REQUIRED,
    VERIFIED,
    let_it_expire,
    turn_tls_off,
    with_certificates,
)
from tests.lab.detection.condition import Act, Condition
from tests.lab.detection.crowd import GREEDY, WORKING, Crowd
from tests.lab.detection.held_lock import HeldLock
from tests.lab.detection.recovery import (
    let_it_recover,
    lose_a_backend,
    restart_in_immediate_mode,
)
from tests.lab.lab import Lab
from tests.lab.server import quoted

SLOTS = 20
OUR_SESSIONS_END = (
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'failoverd'"
)
SUPERUSERS_SLOTS = 3


def sql(statement: str) -> Act:
    return lambda w: _each(w, statement)


def _each(w: Watched, statement: str) -> None:
    # ALTER SYSTEM runs in no transaction, so one statement at a time.
    for one in statement.split(";"):
        w.pg1.sql(one)


def setting(name: str, value: str) -> Act:
    return sql(f"alter system set {name} = {quoted(value)}; select pg_reload_conf()")


def no_setting(name: str) -> Act:
    return sql(f"alter system reset {name}; select pg_reload_conf()")


def few_slots(lab: Lab) -> None:
    primary = lab.servers[0]
    primary.configure({"max_connections": str(SLOTS)})
    primary.pg_ctl_stop()
    primary.start()
    lab.servers[1].wait_until_streaming()


def turn_us_away(w: Watched) -> None:
    rules = w.pg1.data / "pg_hba.conf"
    rules.write_text("host all failoverd all reject\n" + rules.read_text())
    w.pg1.reload()


def let_us_in(w: Watched) -> None:
    rules = w.pg1.data / "pg_hba.conf"
    rules.write_text(rules.read_text().removeprefix("host all failoverd all reject\n"))
    w.pg1.reload()


def scratch_database(lab: Lab) -> None:
    lab.servers[0].sql("create database scratch")


def never_finish_shutting_down(w: Watched) -> None:
    """A fast shutdown waits for the standby to have received everything."""
    receiver = next(p for p in w.pg2.processes("postgres") if "walreceiver" in p.command)
    os.kill(receiver.outer_pid, signal.SIGSTOP)
    w.pg1.pg_ctl("stop", "-m", "fast", "-W", "-s")


def end_our_sessions(w: Watched, pause: Pause) -> None:
    w.pg1.sql(OUR_SESSIONS_END)
    pause(0.2)


def checkpoint_under_load(w: Watched, pause: Pause) -> None:
    w.pg1.sql("create table if not exists churn (id bigint)")
    w.pg1.sql("insert into churn select generate_series(1, 200000)", timeout_s=60)
    w.pg1.sql("checkpoint", timeout_s=60)
    pause(0.01)


def restart(mode: str) -> Act:
    return lambda w: w.pg1.pg_ctl("restart", "-m", mode, "-w", "-s")


def delay_standby(w: Watched, delay: str) -> None:
    w.pg2.sql(f"alter system set recovery_min_apply_delay = {quoted(delay)}")
    w.pg2.reload()


def delay_standby_and_be_cut_off(w: Watched) -> None:
    delay_standby(w, "1h")
    w.lab.part(w.lab.monitor, w.pg1)


def heal_and_catch_up(w: Watched) -> None:
    w.lab.heal()
    delay_standby(w, "0")


GREEDY_CROWD = Crowd(GREEDY)
GREEDIEST_CROWD = Crowd(GREEDY, superusers=SUPERUSERS_SLOTS)
WORKING_CROWD = Crowd(WORKING, "60")
SESSIONS_ENDED = Again(end_our_sessions)
ROLES_LOCKED = HeldLock("pg_authid")
CHECKPOINTS = Again(checkpoint_under_load)
STRAINED = frozenset({"busy", "unclear", "half_hung", "partitioned", "unwritable", "blind"})
PASSING = frozenset({"unclear", "busy", "recovering", "stopped", "crashed"})

READS = r"it reads [0-9A-F]{24}\) for \d+ s \(recovery_limit is 300 s\)"

REFUSING = (
    Condition(
        "every connection slot but the reserved ones is taken",
        "busy",
        GREEDY_CROWD.begin,
        GREEDY_CROWD.end,
        own=True,
        prepare=few_slots,
    ),
    Condition(
        "every connection slot is taken, the reserved ones too",
        "busy",
        GREEDIEST_CROWD.begin,
        GREEDIEST_CROWD.end,
        own=True,
        prepare=few_slots,
    ),
    Condition(
        "a backend is killed, and crash recovery takes long",
        "recovering",
        lose_a_backend,
        let_it_recover,
        serves=False,
        detail=r"recovery_limit is 300 s",
    ),
    Condition(
        "the server is restarted in immediate mode, and crash recovery takes long",
        "recovering",
        restart_in_immediate_mode,
        let_it_recover,
        also=PASSING,
        serves=False,
        detail=READS,
    ),
    Condition(
        "the server shuts down, and does not come to its end",
        "busy",
        never_finish_shutting_down,
        own=True,
        serves=False,
    ),
    Condition(
        "the server shuts down as soon as its clients have gone, and they stay",
        "busy",
        lambda w: w.pg1.pg_ctl("stop", "-m", "smart", "-W", "-s"),
        own=True,
    ),
    Condition(
        "our password was changed",
        "misconfigured",
        sql("alter role failoverd password 'changed'"),
        sql("alter role failoverd password 'the monitor''s word'"),
    ),
    Condition(
        "pg_hba.conf turns us away",
        "misconfigured",
        turn_us_away,
        let_us_in,
        detail="it said: pg_hba.conf rejects connection",
    ),
    Condition(
        "our role may not log in",
        "misconfigured",
        sql("alter role failoverd nologin"),
        sql("alter role failoverd login"),
    ),
    Condition(
        "our role is gone",
        "misconfigured",
        sql("alter role failoverd rename to somebody"),
        sql("alter role somebody rename to failoverd"),
    ),
    Condition(
        "the database that we connect to takes no connections",
        "misconfigured",
        sql("alter database scratch with allow_connections false"),
        sections={"sql": {"database": "scratch"}},
        prepare=scratch_database,
    ),
    Condition(
        "the database that we connect to is dropped",
        "misconfigured",
        sql("drop database scratch with (force)"),
        sections={"sql": {"database": "scratch"}},
        prepare=scratch_database,
    ),
    Condition(
        "the server's certificate has expired",
        "misconfigured",
        let_it_expire,
        sections=VERIFIED,
        prepare=with_certificates,
    ),
    Condition(
        "the server does not speak TLS any more, and we require it",
        "misconfigured",
        turn_tls_off,
        sections=REQUIRED,
        prepare=with_certificates,
    ),
    Condition(
        "the server is set read-only",
        "read_only",
        setting("default_transaction_read_only", "on"),
        no_setting("default_transaction_read_only"),
        serves=False,
    ),
    Condition(
        "a time limit ends every statement of ours",
        "busy",
        sql("alter role failoverd set statement_timeout = 1;" + OUR_SESSIONS_END),
        sql("alter role failoverd reset statement_timeout"),
        also=frozenset({"unclear", "unwritable"}),
    ),
    Condition(
        "sixty sessions compute at once",
        "healthy",
        WORKING_CROWD.begin,
        WORKING_CROWD.end,
        also=STRAINED,
        serves=False,
    ),
    Condition(
        "checkpoints under bulk load, one after the other",
        "healthy",
        CHECKPOINTS.begin,
        CHECKPOINTS.end,
        also=STRAINED,
    ),
    Condition(
        "the standby replays an hour late",
        "healthy",
        lambda w: delay_standby(w, "1h"),
        lambda w: delay_standby(w, "0"),
    ),
    Condition(
        "the standby replays an hour late, and the monitor is cut off from the primary",
        "partitioned",
        delay_standby_and_be_cut_off,
        heal_and_catch_up,
        note="what it receives counts, not what it replays",
    ),
    Condition(
        "somebody locks the table of the roles, and nobody can log in",
        "half_hung",
        ROLES_LOCKED.begin,
        ROLES_LOCKED.end,
        also=frozenset({"hung", "unclear", "busy", "partitioned"}),
        note="old sessions go on; the lock is replicated, so that no standby can take over",
    ),
    Condition(
        "somebody ends our sessions five times a second",
        "healthy",
        SESSIONS_ENDED.begin,
        SESSIONS_ENDED.end,
        also=frozenset({"busy", "unclear"}),
    ),
    Condition(
        "idle sessions are ended after 0.1 s",
        "healthy",
        setting("idle_session_timeout", "100ms"),
        no_setting("idle_session_timeout"),
        also=frozenset({"busy", "unclear"}),
    ),
    Condition(
        "the server is restarted in fast mode",
        "healthy",
        restart("fast"),
        also=PASSING,
        own=True,
    ),
    Condition(
        "the server is restarted in immediate mode",
        "healthy",
        restart("immediate"),
        also=PASSING,
        own=True,
    ),
)
