"""A key that may run failoverd's program on a database host, and nothing else."""

from __future__ import annotations

import pytest

from tests.lab.planned import planned, wait_until_all_stream
from tests.lab.server import HOME

pytestmark = pytest.mark.lab
FILE = f"{HOME}/failoverd-host"


def hardened(lab):
    """As docs/install.md says; below the home directory, since a lab host's /usr is read-only."""
    lab.monitor.write_config(lab.servers)
    for server in lab.servers:
        text = lab.monitor.failoverd("host-program", server.name).stdout
        file = server.home / "failoverd-host"
        file.write_text(text)
        file.chmod(0o755)
        keys = server.home / ".ssh/authorized_keys"
        keys.write_text(f'restrict,command="{FILE}" {lab.monitor.public_key}')


def test_a_failover_and_the_way_back_need_no_more_than_that_program(lab):
    servers = lab.pair(synchronous=False)
    hardened(lab)
    w = planned(lab, servers=servers)
    for words in (["id"], ["sh"], ["cat", "/etc/passwd"]):
        refused = lab.monitor.ssh(w.pg1, *words)
        assert (refused.returncode, refused.stdout) == (126, "")
        assert "failoverd: refused: " in refused.stderr
    w.pg1.kill9_postmaster()
    w.wait_until_failed_over()
    wait_until_all_stream(w)
    assert w.pg1.in_recovery
    w.ledger.wait_for(100)
    assert w.ledger.check(w.pg2, enough=100).lost == ()
