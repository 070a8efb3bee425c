"""What no key of `redirect` can know alone: names, nodes, addresses, files."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path

from failoverd.config.document import Place
from failoverd.config.files import Wrong, wrong_program, wrong_secrets
from failoverd.config.models import Cluster
from failoverd.config.redirect import Dns, Haproxy
from failoverd.config.section import Section


def check_targets(name: str, cluster: Cluster) -> Iterator[Wrong]:
    """The ways of the applications: names, nodes, and addresses that must be IP addresses."""
    called: set[str] = set()
    for number, target in enumerate(cluster.redirect):
        at: Place = ("clusters", name, "redirect", number)
        if target.called in called:
            yield (
                (*at, "name"),
                f"is called like another (got {target.called}); write a name for each",
            )
        called.add(target.called)
        for kind, section in target.kinds().items():
            if section is not None:
                yield from _wrong_nodes(section, cluster, (*at, kind))


def _wrong_nodes(section: Section, cluster: Cluster, at: Place) -> Iterator[Wrong]:
    for key in ("servers", "addresses", "interfaces"):
        for node in getattr(section, key, {}):
            if node not in cluster.nodes:
                known = " or ".join(sorted(cluster.nodes))
                yield (*at, key, node), f"is no node of this cluster; write {known}"
    by_number = isinstance(section, Dns) or (
        isinstance(section, Haproxy) and section.server is not None
    )
    if not by_number:
        return
    addresses: Mapping[str, str] = getattr(section, "addresses", {})
    for node, written in cluster.nodes.items():
        address = addresses.get(node, written.host)
        try:
            ipaddress.ip_address(address)
        except ValueError:
            told = f"has no IP address for {node} (got {address}); write addresses: {{{node}: IP}}"
            yield (*at, "addresses"), told


def target_files(name: str, cluster: Cluster) -> Iterator[Wrong]:
    """Programs that cannot be run, secrets that others may read."""
    for number, target in enumerate(cluster.redirect):
        at: Place = ("clusters", name, "redirect", number)
        if target.command is not None:
            yield from wrong_program(Path(target.command.argv[0]), (*at, "command", "argv"))
        if target.pgbouncer is not None and target.pgbouncer.password is not None:
            secrets = {"password": target.pgbouncer.password}
            yield from wrong_secrets(secrets, (*at, "pgbouncer"))
        if target.dns is not None:
            yield from wrong_secrets({"secret": target.dns.key.secret}, (*at, "dns", "key"))
