"""Read, check, and say everything that is wrong at once."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from failoverd.config.document import Document, Place, read
from failoverd.config.messages import ConfigurationErrors, Message
from failoverd.config.models import Cluster, Configuration, Postgres, Secret, Sql, Ssh
from failoverd.config.nodes import OVERRIDABLE, node_settings

_NOT_YET: Mapping[str, str] = {
    "ladder": "this version has only the rung stop; write [stop]",
    "synchronous": "this version has only unmanaged",
    "rejoin": "this version has only manual",
    "redirect": "this version sends applications nowhere; write []",
    "kind": "this version has only none",
    "require": "this version has only proof",
}


def load(file: Path, *, check_files: bool = True) -> Configuration:
    """The whole file, or ConfigurationErrors with every mistake that it has."""
    document = read(file)
    messages = list(document.messages)
    if not isinstance(document.data, dict):
        raise ConfigurationErrors([document.message((), "write keys at the top: clusters:")])
    try:
        configuration = Configuration.model_validate(document.data)
    except ValidationError as error:
        messages += _told(error, document, Configuration)
        messages += _overrides(document)
        raise ConfigurationErrors(messages) from None
    messages += _overrides(document)
    if not messages:
        messages += _crosswise(configuration, document)
    if not messages and check_files:
        messages += _files(configuration, document)
    if messages:
        raise ConfigurationErrors(messages)
    return configuration


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Configuration.model_json_schema(),
    }


def _told(
    error: ValidationError, document: Document, model: type[BaseModel], above: Place = ()
) -> Iterator[Message]:
    for detail in error.errors(include_url=False, include_context=True):
        place = (*above, *(p for p in detail["loc"] if not _is_type_name(p)))
        key = str(place[-1]) if place else ""
        yield document.message(place, _sentence(detail, key, place, model))


def _is_type_name(part: str | int) -> bool:
    """Pydantic names the branch of a union in a location."""
    return isinstance(part, str) and (
        part.startswith(("constrained-", "literal[")) or part == "int"
    )


def _sentence(detail: Any, key: str, place: Place, model: type[BaseModel]) -> str:
    got = detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key{_did_you_mean(key, place, model)}"
        case "missing":
            return "is missing; it must be written"
        case "value_error":
            return f"{detail['ctx']['error']} (got {_shown(got)})"
        case _ if key in _NOT_YET or (len(place) > 1 and str(place[-2]) in _NOT_YET):
            return f"{_NOT_YET.get(key) or _NOT_YET[str(place[-2])]} (got {_shown(got)})"
        case _:
            said = detail["msg"]
            return f"{said[:1].lower()}{said[1:]} (got {_shown(got)})"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _did_you_mean(key: str, place: Place, model: type[BaseModel]) -> str:
    known = _keys_at(place[:-1], model)
    near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; one of {', '.join(sorted(known))}" if known else ""


def _keys_at(place: Place, model: type[BaseModel]) -> list[str]:
    """The keys that may stand at a place, following sections and maps of sections."""
    found: Any = model
    for part in place:
        fields = getattr(found, "model_fields", None)
        if fields is None or part not in fields:
            # A name in a map of sections (clusters, nodes): the section is what it maps to.
            continue
        annotation = fields[part].annotation
        arguments = getattr(annotation, "__args__", ())
        found = next((a for a in (annotation, *arguments) if hasattr(a, "model_fields")), None)
    return list(getattr(found, "model_fields", {}))


_SECTIONS: Mapping[str, type[BaseModel]] = {"postgres": Postgres, "sql": Sql, "ssh": Ssh}


def _overrides(document: Document) -> Iterator[Message]:
    """What a node says differently must be of the same form as what the cluster says."""
    for place, written in _nodes(document.data):
        for section in OVERRIDABLE:
            values = written.get(section)
            if not isinstance(values, dict):
                continue
            model = _SECTIONS[section]
            try:
                model.model_validate(values)
            except ValidationError as error:
                yield from _told(error, document, model, (*place, section))


def _nodes(data: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    clusters = data.get("clusters")
    for cluster, section in clusters.items() if isinstance(clusters, dict) else ():
        nodes = section.get("nodes") if isinstance(section, dict) else None
        for name, written in nodes.items() if isinstance(nodes, dict) else ():
            if isinstance(written, dict):
                yield ("clusters", cluster, "nodes", name), written


def _crosswise(configuration: Configuration, document: Document) -> Iterator[Message]:
    taken: dict[tuple[str, int], str] = {}
    for name, cluster in configuration.clusters.items():
        for node in cluster.nodes:
            place: Place = ("clusters", name, "nodes", node)
            settings = node_settings(name, cluster, node)
            address = (settings.host, settings.postgres.port)
            if address in taken:
                other = taken[address]
                text = f"{address[0]}:{address[1]} is the address of {other}, too; nodes differ"
                yield document.message((*place, "host"), text)
            taken[address] = f"{name}.{node}"
            yield from _required(place, cluster, settings.postgres, settings.ssh, document)
            if settings.sql.password_file is not None and settings.sql.password is not None:
                text = "password and password_file are both written; write one"
                yield document.message((*place, "sql"), text)


def _required(
    place: Place, cluster: Cluster, postgres: Postgres, ssh: Ssh, document: Document
) -> Iterator[Message]:
    above = place[:2]
    for key in ("bin_dir", "data_dir"):
        if getattr(postgres, key) is None:
            text = f"is missing for {place[-1]}; write it here or in the node's postgres:"
            yield document.message((*above, "postgres", key), text)
    for key in ("key_file", "known_hosts"):
        if cluster.transport == "ssh" and getattr(ssh, key) is None:
            text = f"is missing for {place[-1]}; transport ssh needs it (or write transport: local)"
            yield document.message((*above, "ssh", key), text)


def _files(configuration: Configuration, document: Document) -> Iterator[Message]:
    """Files that must be there, and secrets that nobody else may read. Said once each."""
    said: set[Path] = set()
    for name, cluster in configuration.clusters.items():
        for node in cluster.nodes:
            settings = node_settings(name, cluster, node)
            wanted: list[tuple[str, str, Path | None, bool]] = [
                ("sql", "password_file", settings.sql.password_file, True),
                ("sql", "sslrootcert", settings.sql.sslrootcert, False),
                ("sql", "password", _file_of(settings.sql.password), True),
            ]
            if cluster.transport == "ssh":
                wanted.append(("ssh", "key_file", settings.ssh.key_file, True))
                wanted.append(("ssh", "known_hosts", settings.ssh.known_hosts, False))
            for section, key, file, private in wanted:
                if file is None or file in said:
                    continue
                said.add(file)
                wrong = _wrong_with(file, private=private)
                if wrong is not None:
                    yield document.message(("clusters", name, section, key), wrong)


def _file_of(secret: Secret | None) -> Path | None:
    return secret.file if secret is not None else None


def _wrong_with(file: Path, *, private: bool) -> str | None:
    try:
        with file.open("rb"):
            mode = file.stat().st_mode
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    if private and mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"{file} can be read by others; run: chmod 600 {file}"
    return None
