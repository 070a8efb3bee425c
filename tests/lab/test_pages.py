"""What the pages tell an operator to type is typed, on real servers."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Watched, watched, would_work
from tests.lab.machine import BIN_DIR
from tests.lab.planned import REPLICATION, wait_until_all_stream
from tests.lab.server import DATA_DIR, REPLICATION_PASSWORD, REPLICATION_ROLE
from tests.lab.service_monitor import ServiceMonitor
from tests.written import block

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def typed(host, commands, *, user="root", **environment):
    """What it said. A server that it starts holds our pipe no longer than a terminal."""
    script = f"cd; (set -e\n{commands}) >typed.log 2>&1; status=$?; cat typed.log; exit $status"
    return host.run(["sh", "-c", script], user=user, timeout_s=120, env=environment).stdout


class InstalledMonitor(ServiceMonitor):
    """Where `systemctl edit` has given the daemon one secret more, and the page starts it."""

    def _install(self):
        super()._install()
        lines = block("install.md", "LoadCredential=replication", __file__)
        (self._root / "etc/systemd/system/failoverd.service.d/override.conf").write_text(lines)

    def start_daemon(self, *_, **__):
        self.run(["install", "-d", "-o", "failoverd", "-g", "failoverd", "/var/lib/failoverd"])
        said = typed(self, block("install.md", "systemctl enable --now failoverd", __file__))
        assert "main" in said
        return super().start_daemon()


@pytest.mark.systemd
@pytest.mark.campaign
def test_it_is_checked_started_and_drilled_by_what_the_pages_say(lab):
    monitor = lab.watched_from(InstalledMonitor)
    pg1, pg2 = lab.pair(synchronous=False)
    monitor.private_file("replication", REPLICATION_PASSWORD + "\n")
    monitor.write_config(lab.servers, replication=REPLICATION, rejoin_delay="0s")
    daemon = monitor.start_daemon()
    monitor.wait_until(lambda: would_work(lab), 15, "a failover would work")
    w = Watched(lab, pg1, pg2, daemon, lab.app.start_ledger([pg1, pg2], rate=100))
    w.ledger.wait_for(50, 30)

    yes = {"failoverd drill": "failoverd drill --yes"}  # there is no terminal to ask on
    said = typed(monitor, block("drill.md", "failoverd drill", __file__, **yes))
    assert "pg1" in said.splitlines()[-1]
    wait_until_all_stream(w)
    typed(pg1, block("drill.md", "kill -9", __file__, **{"17/main": "15/main"}))
    w.wait_until_failed_over()
    wait_until_all_stream(w)
    typed(monitor, block("drill.md", "failoverd ack", __file__))
    assert "promoting" in typed(monitor, "cat drill-*.md\n")
    number = str(monitor.status()["epoch"])
    searched = block("operation.md", "journalctl", __file__, **{"INCIDENT=7": f"INCIDENT={number}"})
    for line in searched.splitlines():
        assert "-- No entries --" not in typed(monitor, f"{line}\n")
    assert w.ledger.check(pg2, enough=100).lost == ()


def test_an_old_primary_is_looked_at_and_rebuilt_by_hand_as_the_page_says(lab):
    w = watched(lab, synchronous=False, rate=100, rejoin="manual")
    w.pg1.kill9_all()
    w.wait_until_failed_over()
    passwords = f"*:*:*:{REPLICATION_ROLE}:{REPLICATION_PASSWORD}\n"
    w.pg1.run(["sh", "-c", "umask 077; cat >~/.pgpass"], user="postgres", input=passwords)

    def by_hand(host, words, **instead):
        commands = block("recover.md", words, __file__, **instead)
        path = f"{BIN_DIR}:/usr/bin:/bin"
        return typed(host, commands, user="postgres", PGDATA=DATA_DIR, PATH=path)

    question = {"SELECT ... FROM ... WHERE ...": "SELECT 'rows', count(*) FROM ledger"}
    assert "rows" in by_hand(w.pg1, "restore_command", **question)
    by_hand(w.pg2, "psql -c CHECKPOINT")
    by_hand(w.pg1, "pg_rewind --no-ensure-shutdown", NEW=w.pg2.address, THIS="pg1")
    w.wait(
        lambda: w.status()["nodes"]["pg1"]["receiver"] == "streaming", 30, "pg1 streams from pg2"
    )
    assert w.pg1.in_recovery
    w.wait(lambda: would_work(lab), 30, "a failover back would work")
    assert w.ledger.check(w.pg2, enough=100).lost == ()
