"""docs/configuration.md, made from the models: their docstrings are the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from failoverd.config.load import schema

HEAD = """# Configuration

One YAML file, `/etc/failoverd/config.yaml` by default (`-c`, `$FAILOVERD_CONFIG`).
[config.yaml](../config.yaml) is a complete example with every key at its default. Unknown keys,
keys written twice and YAML's traps (`on`, `no`, `1:30`, `010`) are errors; all errors of a file are
told at once, each with its line, and exit status 78. `failoverd schema` prints the JSON Schema, for
editors. Secrets are never written in the file; the files that hold them must be private.

This page is made from the source (`make docs`).
"""


def page() -> str:
    """The whole page, one table a section, in the order of the models."""
    whole = schema()
    sections: dict[str, Any] = {"the file": whole, **whole["$defs"]}
    order = (
        "the file", "Cluster", "Node", "Postgres", "Sql", "Secret", "Ssh", "Detection", "Failover",
        "Fencing", "Rung", "Agent", "OwnCommand", "DeadMan", "NodeAgent", "Limits",
        "Target", "Haproxy", "AgentCheck", "PgBouncer", "VirtualIp", "Dns", "DnsKey",
        "RedirectCommand", "Daemon", "Tls", "Log",
        "Leadership", "Notify", "Webhook", "NotifyCommand",
    )  # fmt: skip
    return HEAD + "".join(line for name in order for line in _section(name, sections[name]))


def _section(name: str, section: Any) -> Iterator[str]:
    yield f"\n## {_KEY.get(name, name.lower())}\n\n{section.get('description', '')}\n\n"
    yield "| key | default | meaning |\n|---|---|---|\n"
    required = set(section.get("required", ()))
    for key, field in section["properties"].items():
        default = "must be written" if key in required else _default(field)
        meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
        yield f"| `{key}` | {default} | {meaning} |\n"


_KEY = {
    "Cluster": "clusters.NAME",
    "Node": "clusters.NAME.nodes.NODE",
    "Secret": "clusters.NAME.sql.password",
    "Notify": "daemon.notify[]",
    "Webhook": "daemon.notify[].webhook",
    "NotifyCommand": "daemon.notify[].command",
    "Rung": "clusters.NAME.fencing.ladder[]",
    "Agent": "clusters.NAME.fencing.ladder[].agent",
    "OwnCommand": "clusters.NAME.fencing.ladder[].command",
    "DeadMan": "clusters.NAME.fencing.ladder[].dead_man",
    "NodeAgent": "clusters.NAME.nodes.NODE.agent",
    "Target": "clusters.NAME.redirect[]",
    "Haproxy": "clusters.NAME.redirect[].haproxy",
    "AgentCheck": "clusters.NAME.redirect[].haproxy.agent",
    "PgBouncer": "clusters.NAME.redirect[].pgbouncer",
    "VirtualIp": "clusters.NAME.redirect[].virtual_ip",
    "Dns": "clusters.NAME.redirect[].dns",
    "DnsKey": "clusters.NAME.redirect[].dns.key",
    "RedirectCommand": "clusters.NAME.redirect[].command",
    **{
        name: f"clusters.NAME.{name.lower()}"
        for name in (
            "Postgres",
            "Sql",
            "Ssh",
            "Detection",
            "Failover",
            "Fencing",
            "Limits",
            "Replication",
            "Switchover",
        )
    },
    "Daemon": "daemon",
    "Tls": "daemon.tls",
    "Log": "daemon.log",
    "Leadership": "daemon.leadership",
}


def _default(field: Any) -> str:
    if "default" not in field:
        return ""
    value = field["default"]
    if isinstance(value, dict):
        return "see below" if value else "`{}`"
    if value is None:
        return "none"
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"
