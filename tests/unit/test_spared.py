"""A daemon carries nothing that it has no use for: what its start has imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.unit.test_tls import issue, written

AFTER_A_START = """
import json, sys
from failoverd.__main__ import main
try:
    main()
except SystemExit as ended:
    status = ended.code
import aiohttp.connector as connector
contexts = connector._SSL_CONTEXT_VERIFIED, connector._SSL_CONTEXT_UNVERIFIED
print(json.dumps({
    "status": status,
    "imported": sorted(name for name, module in sys.modules.items() if module is not None),
    "authorities": [one.cert_store_stats()["x509_ca"] for one in contexts],
}))
"""
FOR_COMMANDS = ("click", "rich", "failoverd.demo", "failoverd.cli.commands", "failoverd.cli.screen")
FOR_DEVELOPERS = ("unittest", "pdb", "pydoc", "doctest", "tkinter")
FOR_OTHERS = ("uvloop", "dns", "multiprocessing", "xml", "setuptools", "pkg_resources", "ensurepip")


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """As far as a daemon comes without a configuration, where the system has one authority."""
    folder = tmp_path_factory.mktemp("start")
    written(folder, "authority", issue("our authority"))
    done = subprocess.run(
        [sys.executable, "-c", AFTER_A_START, "run", "--config", str(folder / "config.yaml")],
        env={**os.environ, "SSL_CERT_FILE": str(folder / "authority.crt")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_a_start_imports_the_whole_daemon_so_that_a_failover_needs_no_file_of_it(started):
    assert started["status"] == 78
    assert {
        "failoverd.daemon.service",
        "failoverd.effect.promote",
        "failoverd.effect.rejoin",
        "failoverd.transport.etcd",
        "failoverd.transport.webhook",
    } <= set(started["imported"])


@pytest.mark.parametrize("what", [*FOR_COMMANDS, *FOR_DEVELOPERS, *FOR_OTHERS])
def test_a_start_imports_nothing_that_a_daemon_has_no_use_for(started, what):
    assert [one for one in started["imported"] if f"{one}.".startswith(f"{what}.")] == []


def test_a_start_reads_no_authorities_before_somebody_is_told_over_tls(started):
    assert started["authorities"] == [0, 0]
