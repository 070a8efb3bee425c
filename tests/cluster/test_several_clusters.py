"""One daemon, two clusters: a signal that names none of them is refused."""

from __future__ import annotations

import signal

import yaml

from failoverd.demo import watched
from failoverd.demo.postgres import free_ports, wait_for


def cluster(ports):
    nodes = {
        f"pg{n}": {"host": "127.0.0.1", "postgres": {"port": port}} for n, port in enumerate(ports)
    }
    postgres = {"bin_dir": "/nonexistent", "data_dir": "/nonexistent"}
    return {"transport": "local", "nodes": nodes, "postgres": postgres}


def test_sigusr1_says_what_to_type_where_there_are_several(tmp_path):
    port, *servers = free_ports(5)
    config = tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "clusters": {"one": cluster(servers[:2]), "two": cluster(servers[2:])},
                "daemon": {
                    "listen": f"127.0.0.1:{port}",
                    "state_dir": str(tmp_path / "state"),
                    "control_socket": str(tmp_path / "control.sock"),
                },
            }
        )
    )
    log = tmp_path / "daemon.log"
    daemon = watched.start(config, port, log)
    try:
        wait_for(lambda: daemon.get("/healthz") is not None, "it runs")
        daemon.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "failoverd failover --cluster NAME" in log.read_text(), "it is refused")
        assert daemon.exit_status is None
        assert not daemon.ready()
    finally:
        daemon.stop()
    assert daemon.exit_status == 0
