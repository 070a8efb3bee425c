"""A server as Debian's postgresql-common runs it: configuration in /etc, pg_ctlcluster."""

from __future__ import annotations

from typing import ClassVar

from tests.lab.machine import BIN_DIR
from tests.lab.server import DATA_DIR, DatabaseHost
from tests.lab.systemd_host import SystemdHost
from tests.waiting import wait_until

CLUSTER = "15/main"
ETC = f"/etc/postgresql/{CLUSTER}"
LAID_OUT = "/etc/postgresql/laid-out"
# As pg_createcluster leaves it.
LAY_OUT = f"""
rm -rf /etc/postgresql/15
install -d -o postgres -g postgres -m 755 /etc/postgresql/15 {ETC}
install -d -o root -g postgres -m 1775 /var/log/postgresql
for name in postgresql pg_hba pg_ident; do cp {DATA_DIR}/$name.conf {ETC}/; done
cat >>{ETC}/postgresql.conf <<END
data_directory = '{DATA_DIR}'
hba_file = '{ETC}/pg_hba.conf'
ident_file = '{ETC}/pg_ident.conf'
external_pid_file = '/run/postgresql/15-main.pid'
END
echo auto >{ETC}/start.conf
echo "pg_ctl_options = ''" >{ETC}/pg_ctl.conf
: >{ETC}/environment
chown -R postgres:postgres {ETC}
: >{LAID_OUT}
"""


def lay_out(host: DatabaseHost) -> None:
    """Once. What it is copied from stays for those who clone it."""
    if host.run(["test", "-e", LAID_OUT], check=False).returncode != 0:
        host.run(["sh", "-c", LAY_OUT])


def wait_until_up(host: DatabaseHost) -> None:
    asked = [f"{BIN_DIR}/pg_isready", "-q", "-h", host.socket_dir]
    wait_until(
        lambda: host.run(asked, check=False).returncode == 0, 30, f"{host.name}'s server answers"
    )


class DebianHost(SystemdHost):
    """Its unit is postgresql@15-main, which a generator puts into its boot."""

    service = "postgresql@15-main"
    units: ClassVar = {}
    wants = f"{SystemdHost.wants} postgresql.service"

    def start(self) -> None:
        lay_out(self)
        self.systemctl("daemon-reload")
        self.run(["pg_ctlcluster", "15", "main", "start"])
        wait_until_up(self)


class DebianWithoutSystemd(DatabaseHost):
    """As in a container: pg_ctlcluster alone."""

    def start(self) -> None:
        lay_out(self)
        command = 'pg_ctlcluster 15 main start >"$HOME/pg_ctl.log" 2>&1 </dev/null'
        self.run(["sh", "-c", command], user="postgres")
        wait_until_up(self)
