"""The demo's config.yaml: the same keys as in production, with `transport: local`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from failoverd.demo.pair import MONITOR, Pair
from failoverd.demo.postgres import SUPERUSER, Server
from failoverd.demo.watched import CLUSTER


def write_configuration(directory: Path, pair: Pair, port: int) -> Path:
    """`config.yaml` in the demo's directory, and the directories that it names."""
    state = directory / "state"
    for made in (state, *map(_host_state_dir, pair.servers)):
        made.mkdir(mode=0o700)
    path = directory / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": {CLUSTER: _cluster(pair)},
                "daemon": {
                    "listen": f"127.0.0.1:{port}",
                    "control_socket": str(directory / "control.sock"),
                    "state_dir": str(state),
                    "log": {"format": "json", "level": "info"},
                },
            },
            sort_keys=False,
        )
    )
    return path


def _host_state_dir(server: Server) -> Path:
    """Per server: each plays a host of its own."""
    return server.directory / "host-state"


def _cluster(pair: Pair) -> dict[str, Any]:
    become = pair.primary.become
    return {
        "transport": "local",
        "nodes": {
            server.name: {
                "host": "127.0.0.1",
                "postgres": {
                    "port": server.port,
                    "data_dir": str(server.data_dir),
                    "socket_dir": str(server.socket_dir),
                    "server_log": str(server.log),
                    "host_state_dir": str(_host_state_dir(server)),
                },
            }
            for server in pair.servers
        },
        "postgres": {
            "bin_dir": str(pair.primary.binaries.directory),
            "superuser": SUPERUSER,
            **({"become": list(become)} if become else {}),
        },
        "sql": {
            "user": MONITOR,
            "password_file": str(pair.password_file),
            "sslmode": "disable",
        },
    }
