"""PgBouncer between failoverd and the primary, on the primary's host, on a port of its own."""

from __future__ import annotations

import signal

from tests.lab.cluster import Watched
from tests.lab.detection.again import Again, Pause
from tests.lab.host import signal_all
from tests.lab.lab import Lab
from tests.lab.server import (
    MONITOR_PASSWORD,
    MONITOR_ROLE,
    PORT,
    SOCKET_DIR,
    DatabaseHost,
    give_to_postgres,
)
from tests.waiting import wait_until

POOLER_PORT = 6432
DIRECTORY = "/var/lib/postgresql/pooler"
BEHIND_POOLER = {"nodes": {"pg1": {"postgres": {"port": POOLER_PORT}}}}
SETTINGS = f"""
[databases]
* = host={SOCKET_DIR} port={PORT}
[pgbouncer]
listen_addr = *
listen_port = {POOLER_PORT}
unix_socket_dir = {SOCKET_DIR}
auth_type = hba
auth_hba_file = {DIRECTORY}/hba
auth_file = {DIRECTORY}/users
pool_mode = session
logfile = {DIRECTORY}/log
pidfile = {DIRECTORY}/pid
server_lifetime = 1
server_idle_timeout = 1
client_idle_timeout = 0.4
"""
HBA = "local all all peer\nhost all all 0.0.0.0/0 scram-sha-256\n"
USERS = f'"{MONITOR_ROLE}" "{MONITOR_PASSWORD}"\n"postgres" ""\n'


def install_pooler(lab: Lab) -> None:
    (pg1, *_) = lab.servers
    # It logs in for everybody over the socket, so PostgreSQL asks for a password or its own word.
    hba = pg1.data / "pg_hba.conf"
    hba.write_text(f"local all {MONITOR_ROLE} scram-sha-256\n" + hba.read_text())
    pg1.reload()
    folder = pg1.home / "pooler"
    folder.mkdir()
    give_to_postgres(folder)
    for name, text in (("settings", SETTINGS), ("hba", HBA), ("users", USERS)):
        (folder / name).write_text(text)
    start_pooler(pg1)


def start_pooler(server: DatabaseHost) -> None:
    server.run(["/usr/sbin/pgbouncer", "-q", "-d", f"{DIRECTORY}/settings"], user="postgres")
    wait_until(lambda: server.processes("pgbouncer"), 5, "the pooler runs")


def kill_pooler(server: DatabaseHost) -> None:
    signal_all(server, "pgbouncer", signal.SIGKILL)
    wait_until(lambda: not server.processes("pgbouncer"), 5, "the pooler is gone")
    server.run(["rm", "-f", f"{DIRECTORY}/pid"])


def kill_and_start(w: Watched, pause: Pause) -> None:
    kill_pooler(w.pg1)
    start_pooler(w.pg1)
    pause(2)


restart_pooler = Again(kill_and_start)
