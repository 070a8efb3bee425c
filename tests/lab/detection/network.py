"""The network in between, in whole or in part. None of it is the primary's fault.

Where a cut leaves the two database hosts alone, the host of the standby reaches the primary,
and the primary's own Unix socket answers over SSH where SSH gets through: `partitioned`.
"""

from __future__ import annotations

from tests.lab.cluster import Watched
from tests.lab.detection.again import Again, Pause
from tests.lab.detection.condition import Condition, nothing
from tests.lab.detection.names import BY_NAME, forget_names, known_by_name, lose_name_server
from tests.lab.detection.pooler import BEHIND_POOLER, install_pooler, kill_pooler, restart_pooler
from tests.lab.detection.slow_link import SlowLink
from tests.lab.server import PORT, SOCKET_DIR

SSH = 22
MOVED_TO = 5433
ANY_BUT_HEALTHY = frozenset({"partitioned", "unclear", "half_hung", "hung", "blind"})


def heal(w: Watched) -> None:
    w.lab.heal()


# An idle cluster


def be_idle(w: Watched, silent_s: float) -> None:
    """The application is cut off, so nothing is committed and the standby hears nothing."""
    w.lab.part(w.lab.app, w.pg1)
    w.pg2.wait_for_sql(
        f"select clock_timestamp() - last_msg_receipt_time > interval '{silent_s} s'"
        " from pg_stat_wal_receiver",
        "t",
        timeout_s=30,
    )


def be_idle_and_cut_off(w: Watched) -> None:
    be_idle(w, 3)
    w.lab.part(w.lab.monitor, w.pg1)


# The port


def reject(answer: str, *ports: int):
    def begin(w: Watched) -> None:
        for port in ports:
            w.lab.network.reject(w.lab.monitor, w.pg1, port, answer)

    return begin


def drop_port_and_remove_socket(w: Watched) -> None:
    """As by somebody who tidies up in the socket directory."""
    w.pg1.run(["rm", f"{SOCKET_DIR}/.s.PGSQL.{PORT}"])
    w.lab.drop(w.lab.monitor, w.pg1, PORT)


def drop_new_connections(w: Watched) -> None:
    """As a stateful firewall does whose rule was taken away."""
    w.lab.network.drop_new(w.lab.monitor, w.pg1, PORT)


def refuse_ssh_everywhere(w: Watched) -> None:
    for server in w.lab.servers:
        w.lab.network.reject(w.lab.monitor, server, SSH)


def move_port(w: Watched, port: int) -> None:
    w.pg1.configure({"port": str(port)})
    w.pg1.pg_ctl("restart", "-m", "fast", "-w", "-s")


# Sessions and packets


def cut_sessions(w: Watched, pause: Pause) -> None:
    w.lab.network.cut_sessions(w.lab.monitor, w.pg1, PORT)
    pause(0.3)


CUT_SESSIONS = Again(cut_sessions)


def lose_packets(w: Watched) -> None:
    w.lab.drop(w.lab.monitor, w.pg1, percent=30)
    w.lab.drop(w.pg1, w.lab.monitor, percent=30)


def go_on_for_half_a_minute_and_heal(w: Watched) -> None:
    """The application's 50 commits a second are the clock."""
    begun = w.failovers_begun()
    w.ledger.wait_for(50 * 21, 60)
    assert w.failovers_begun() == begun
    heal(w)


# A primary that answers now and then


def freeze_for(stopped_s: float, running_s: float) -> Again:
    def freeze(w: Watched, pause: Pause) -> None:
        w.pg1.sigstop_all()
        pause(stopped_s)
        w.pg1.sigcont_all()
        pause(running_s)

    return Again(freeze)


def drop_for(lost_s: float, through_s: float) -> Again:
    def drop(w: Watched, pause: Pause) -> None:
        w.lab.drop(w.lab.monitor, w.pg1)
        pause(lost_s)
        w.lab.heal()
        pause(through_s)

    return Again(drop)


EVERY_OTHER_POLL = freeze_for(1.5, 1.5)
ALMOST_TOO_LONG = freeze_for(2.5, 1)
EVERY_OTHER_PACKET = drop_for(1.5, 1.5)

SLOW = SlowLink(there_s=0.1)
TOO_SLOW = SlowLink(there_s=0.3)

NETWORK: tuple[Condition, ...] = (
    Condition(
        "the cluster is idle: the standby's last message is old",
        "healthy",
        lambda w: be_idle(w, 5),
        heal,
        serves=False,
        note="our own write check, every 10 s, is all that it hears",
    ),
    Condition(
        "the cluster is idle, and only the monitor is cut off from the primary",
        "partitioned",
        be_idle_and_cut_off,
        heal,
        serves=False,
        note="the standby's silence is no evidence: its host tries",
    ),
    Condition(
        "a firewall drops what goes to the PostgreSQL port",
        "partitioned",
        lambda w: w.lab.drop(w.lab.monitor, w.pg1, PORT),
        heal,
    ),
    Condition(
        "a firewall drops what goes to the PostgreSQL port, and its Unix socket was removed",
        "partitioned",
        drop_port_and_remove_socket,
        own=True,
        note="no socket is not a silent one: the standby and its host still reach it",
        went_wrong=True,
    ),
    Condition(
        "a firewall resets what goes to the PostgreSQL port",
        "partitioned",
        reject("tcp reset", PORT),
        heal,
    ),
    Condition(
        "a firewall answers that the PostgreSQL port is unreachable",
        "partitioned",
        reject("icmp type port-unreachable", PORT),
        heal,
    ),
    Condition(
        "a firewall answers that the host is prohibited",
        "partitioned",
        reject("icmp type host-prohibited", PORT, SSH),
        heal,
    ),
    Condition(
        "a firewall drops new connections to the PostgreSQL port, and old ones go on",
        "partitioned",
        drop_new_connections,
        heal,
        note="its own Unix socket takes new connections: it is not half hung",
        went_wrong=True,
    ),
    Condition(
        "new connections to the PostgreSQL port are dropped where a half-hung primary is replaced",
        "partitioned",
        drop_new_connections,
        heal,
        sections={
            "detection": {"half_hung_after": "3s"},
            "failover": {"on_half_hung": "failover"},
        },
        note="with `on_half_hung: failover`",
    ),
    Condition(
        "the server was restarted on another port",
        "unclear",
        lambda w: move_port(w, MOVED_TO),
        lambda w: move_port(w, PORT),
        also=frozenset({"stopped"}),
        serves=False,
        note="processes run and nobody listens on the port that is configured",
        went_wrong=True,
    ),
    Condition(
        "the monitor is cut off from the primary",
        "partitioned",
        lambda w: w.lab.part(w.lab.monitor, w.pg1),
        heal,
    ),
    Condition(
        "what the monitor sends to the primary is lost",
        "partitioned",
        lambda w: w.lab.drop(w.lab.monitor, w.pg1),
        heal,
    ),
    Condition(
        "what the primary sends to the monitor is lost",
        "partitioned",
        lambda w: w.lab.drop(w.pg1, w.lab.monitor),
        heal,
    ),
    Condition(
        "the monitor is cut off from the standby",
        "healthy",
        lambda w: w.lab.part(w.lab.monitor, w.pg2),
        heal,
    ),
    Condition(
        "the primary is cut off from the standby",
        "healthy",
        lambda w: w.lab.part(w.pg1, w.pg2),
        heal,
    ),
    Condition(
        "the monitor is cut off from both database hosts",
        "blind",
        lambda w: (w.lab.part(w.lab.monitor, w.pg1), w.lab.part(w.lab.monitor, w.pg2)),
        heal,
    ),
    Condition(
        "SSH to every host is refused",
        "healthy",
        refuse_ssh_everywhere,
        heal,
    ),
    Condition(
        "the names of the nodes no longer resolve",
        "blind",
        forget_names,
        also=frozenset({"partitioned"}),
        sections=BY_NAME,
        prepare=known_by_name,
    ),
    Condition(
        "the name server does not answer",
        "blind",
        lose_name_server,
        also=frozenset({"partitioned"}),
        sections=BY_NAME,
        prepare=known_by_name,
        went_wrong=True,
    ),
    Condition(
        "something in between resets our sessions, again and again",
        "healthy",
        CUT_SESSIONS.begin,
        CUT_SESSIONS.end,
        also=frozenset({"partitioned"}),
        note="`partitioned` where both looks of one round are hit",
    ),
    Condition(
        "a pooler in between closes our sessions, again and again",
        "healthy",
        nothing,
        sections=BEHIND_POOLER,
        prepare=install_pooler,
        note="each of them lives for half a second at most",
    ),
    Condition(
        "a pooler in between is killed and started again",
        "healthy",
        restart_pooler.begin,
        restart_pooler.end,
        also=frozenset({"partitioned", "unclear"}),
        sections=BEHIND_POOLER,
        prepare=install_pooler,
    ),
    Condition(
        "a pooler in between is killed and stays down",
        "partitioned",
        lambda w: kill_pooler(w.pg1),
        also=frozenset({"unclear"}),
        sections=BEHIND_POOLER,
        prepare=install_pooler,
        note="PostgreSQL runs, and nobody listens on the port that is configured",
    ),
    Condition(
        "the postmaster behind a pooler is killed",
        "busy",
        lambda w: w.pg1.kill9_postmaster(),
        also=frozenset({"partitioned", "unclear"}),
        sections=BEHIND_POOLER,
        prepare=install_pooler,
        serves=False,
        note="the pooler answers and listens: name PostgreSQL's own port, not the pooler's",
    ),
    Condition(
        "a link loses 30 % of all packets both ways",
        "healthy",
        lose_packets,
        go_on_for_half_a_minute_and_heal,
        also=ANY_BUT_HEALTHY,
    ),
    Condition(
        "the primary freezes for one and a half seconds, again and again",
        "healthy",
        EVERY_OTHER_POLL.begin,
        EVERY_OTHER_POLL.end,
        also=ANY_BUT_HEALTHY,
    ),
    Condition(
        "the primary freezes for a little less than the threshold, again and again",
        "healthy",
        ALMOST_TOO_LONG.begin,
        ALMOST_TOO_LONG.end,
        also=ANY_BUT_HEALTHY,
    ),
    Condition(
        "the link to the primary fails for one and a half seconds, again and again",
        "healthy",
        EVERY_OTHER_PACKET.begin,
        EVERY_OTHER_PACKET.end,
        also=ANY_BUT_HEALTHY,
    ),
    Condition(
        "what goes to the primary and back takes 0.1 s each way",
        "healthy",
        SLOW.begin,
        SLOW.end,
    ),
    Condition(
        "what goes to the primary and back takes 0.3 s each way",
        "partitioned",
        TOO_SLOW.begin,
        TOO_SLOW.end,
        also=ANY_BUT_HEALTHY,
        note="a login takes longer than `detection.timeout`, which is to be raised",
    ),
)
