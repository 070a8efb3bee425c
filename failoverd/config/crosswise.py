"""What no key can know alone: between nodes, between sections, and on this machine's disk."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from failoverd.config.document import Place
from failoverd.config.models import Cluster, Configuration, Secret
from failoverd.config.nodes import NodeSettings, node_settings

Wrong = tuple[Place, str]


def check_together(configuration: Configuration) -> Iterator[Wrong]:
    """Addresses that differ, and keys that must be given by the cluster or by its nodes."""
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
    said: set[tuple[Path, bool]] = set()
    for name, cluster in configuration.clusters.items():
        for node in cluster.nodes:
            settings = node_settings(name, cluster, node)
            for section, key, file, private in _files(settings):
                if file is None or (file, private) in said:
                    continue
                said.add((file, private))
                wrong = _wrong_with(file, private=private)
                if wrong is not None:
                    yield _place(cluster, settings, section, key), wrong


def _files(settings: NodeSettings) -> Iterator[tuple[str, str, Path | None, bool]]:
    yield "sql", "password_file", settings.sql.password_file, True
    yield "sql", "password", _file_of(settings.sql.password), True
    yield "sql", "sslrootcert", settings.sql.sslrootcert, False
    if settings.transport == "ssh":
        yield "ssh", "key_file", settings.ssh.key_file, True
        yield "ssh", "known_hosts", settings.ssh.known_hosts, False


def _file_of(secret: Secret | None) -> Path | None:
    return secret.file if secret is not None else None


def _place(cluster: Cluster, settings: NodeSettings, section: str, key: str) -> Place:
    """Where the key that holds for this node was written: at the node, else at the cluster."""
    node = cluster.nodes[settings.name]
    if key in getattr(node, section).model_fields_set:
        return ("clusters", settings.cluster, "nodes", settings.name, section, key)
    return ("clusters", settings.cluster, section, key)


def _wrong_with(file: Path, *, private: bool) -> str | None:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            return f"{file} is no file; write the path of one"
        with file.open("rb"):
            pass
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}; write a file that this user may read"
    if private and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{file} is open to others than its owner; run: chmod 600 {file}"
    if private and found.st_size == 0:
        return f"{file} is empty; write the secret into it"
    return None
