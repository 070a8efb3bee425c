"""What no key can know alone: between nodes, between sections, and on this machine's disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from failoverd.config.access import check_access, check_access_files
from failoverd.config.document import Place
from failoverd.config.files import file_of, wrong_program, wrong_secrets, wrong_with
from failoverd.config.leadership import check_leadership, check_leadership_files
from failoverd.config.models import Cluster, Configuration
from failoverd.config.nodes import NodeSettings, node_settings
from failoverd.config.notify import check_notify, check_notify_files
from failoverd.config.ways import check_targets, target_files

Wrong = tuple[Place, str]


def check_together(configuration: Configuration) -> Iterator[Wrong]:
    """Addresses that differ, and keys that must be given by the cluster or by its nodes."""
    yield from check_access(configuration.daemon.tls, configuration.daemon.token_file)
    yield from check_notify(configuration.daemon.notify)
    yield from check_leadership(configuration.daemon.leadership)
    taken: dict[tuple[str, int], str] = {}
    for name, cluster in configuration.clusters.items():
        every = {node: node_settings(name, cluster, node) for node in cluster.nodes}
        for node, settings in every.items():
            address = (settings.host.lower(), settings.postgres.port)
            if address in taken:
                told = (
                    f"is the address of {taken[address]}, too (got {settings.host}:{address[1]});"
                    " write another host or postgres: {port: N}"
                )
                yield ("clusters", name, "nodes", node, "host"), told
            taken.setdefault(address, f"{name}.{node}")
            if settings.sql.password_file is not None and settings.sql.password is not None:
                told = "has password and password_file both; write one"
                yield _place(cluster, settings, "sql", "password"), told
        yield from _required(name, cluster, every)
        yield from _limits(name, cluster, every)
        yield from check_targets(name, cluster)
        yield from _wrong_dead_man(name, cluster)


KILLING_S = 5.0
"""What SIGKILL and the looks of a fence may take beside the waits for a stop."""


def _limits(name: str, cluster: Cluster, every: Mapping[str, NodeSettings]) -> Iterator[Wrong]:
    """A fence that is cut off in the middle of its own waits would never prove anything."""
    limits = cluster.limits
    commands = [one.postgres.command_timeout for one in every.values() if one.postgres.stop_command]
    clean = max([limits.stop_fast, *commands])
    least = clean + limits.stop_immediate + KILLING_S
    if limits.fence < least:
        told = (
            f"is shorter than the waits in it: a clean stop {clean:g} s, stop_immediate"
            f" {limits.stop_immediate:g} s, and {KILLING_S:g} s; write at least {least:g}s"
        )
        yield ("clusters", name, "limits", "fence"), told


def _wrong_dead_man(name: str, cluster: Cluster) -> Iterator[Wrong]:
    """Where it stands in the ladder, and whether anybody could take over beside it."""
    ladder = cluster.fencing.ladder
    for number, rung in enumerate(ladder):
        if rung.dead_man is None:
            continue
        at: Place = ("clusters", name, "fencing", "ladder", number)
        if number != len(ladder) - 1:
            told = "must be the last rung: it takes longest, and does not need the host to answer"
            yield at, f"{told}; write the others before it"
        if not any(one.stop is not None for one in ladder):
            told = "is no fence for a host that answers (got a ladder without stop)"
            yield at, f"{told}; write stop before it"
        able = [node for node, one in cluster.nodes.items() if one.priority != "never"]
        if len(able) < 2:
            told = "has no standby that could take over: every other node has priority: never"
            yield at, f"{told}; write another priority, or remove the rung"
        for unknown in sorted(set(rung.dead_man.standbys or []) - set(cluster.nodes)):
            known = ", ".join(sorted(cluster.nodes))
            told = f"there is no node of that name (got {unknown!r}); write some of {known}"
            yield (*at, "dead_man", "standbys"), told


def _required(name: str, cluster: Cluster, every: Mapping[str, NodeSettings]) -> Iterator[Wrong]:
    over_ssh = {node: one for node, one in every.items() if one.transport == "ssh"}
    needed = (
        ("postgres", "bin_dir", every, ""),
        ("postgres", "data_dir", every, ""),
        ("ssh", "key_file", over_ssh, " (or transport: local)"),
        ("ssh", "known_hosts", over_ssh, " (or transport: local)"),
    )
    for section, key, nodes, otherwise in needed:
        lack = [n for n, one in nodes.items() if getattr(getattr(one, section), key) is None]
        if lack and len(lack) == len(cluster.nodes):
            told = f"is missing; write it here, or in {section}: of each node{otherwise}"
            yield ("clusters", name, section, key), told
        elif lack:
            told = f"is missing for {' and '.join(lack)}; write it here, or there{otherwise}"
            yield ("clusters", name, section, key), told


def check_files(configuration: Configuration) -> Iterator[Wrong]:
    """Files that must be there, and secrets that nobody else may read. Said once each."""
    yield from check_access_files(configuration.daemon.tls, configuration.daemon.token_file)
    yield from check_notify_files(configuration.daemon.notify)
    yield from check_leadership_files(configuration.daemon.leadership)
    said: set[tuple[Path, bool]] = set()
    for name, cluster in configuration.clusters.items():
        yield from _wrong_rungs(name, cluster)
        yield from target_files(name, cluster)
        for node in cluster.nodes:
            settings = node_settings(name, cluster, node)
            for section, key, file, private in _files(settings):
                if file is None or (file, private) in said:
                    continue
                said.add((file, private))
                wrong = wrong_with(file, private=private)
                if wrong is not None:
                    yield _place(cluster, settings, section, key), wrong


def _wrong_rungs(name: str, cluster: Cluster) -> Iterator[Wrong]:
    """Programs of the ladder that cannot be run, and secrets of agents that others may read."""
    top: Place = ("clusters", name)
    for number, rung in enumerate(cluster.fencing.ladder):
        at: Place = (*top, "fencing", "ladder", number)
        if rung.agent is not None:
            yield from wrong_program(rung.agent.path, (*at, "agent", "path"))
            yield from wrong_secrets(rung.agent.secrets, (*at, "agent", "secrets"))
        if rung.command is not None:
            yield from wrong_program(Path(rung.command.argv[0]), (*at, "command", "argv"))
    for node, settings in cluster.nodes.items():
        yield from wrong_secrets(settings.agent.secrets, (*top, "nodes", node, "agent", "secrets"))


def _files(settings: NodeSettings) -> Iterator[tuple[str, str, Path | None, bool]]:
    yield "sql", "password_file", settings.sql.password_file, True
    yield "sql", "password", file_of(settings.sql.password), True
    yield "sql", "sslrootcert", settings.sql.sslrootcert, False
    if settings.transport == "ssh":
        yield "ssh", "key_file", settings.ssh.key_file, True
        yield "ssh", "known_hosts", settings.ssh.known_hosts, False


def _place(cluster: Cluster, settings: NodeSettings, section: str, key: str) -> Place:
    """Where the key that holds for this node was written: at the node, else at the cluster."""
    node = cluster.nodes[settings.name]
    if key in getattr(node, section).model_fields_set:
        return ("clusters", settings.cluster, "nodes", settings.name, section, key)
    return ("clusters", settings.cluster, section, key)
