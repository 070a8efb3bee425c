"""YAML with the position of every key, and without its traps.

YAML 1.1 takes `on` for true, `1:30` for 90 and `010` for 8. Here only `true` and `false` are
truth values, only decimal digits are numbers, and everything else is the text that was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from failoverd.config.messages import ConfigurationErrors, Message

Place = tuple[str | int, ...]

_MOST_VALUES = 100_000
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}")
_YAML = "tag:yaml.org,2002:"
_PLAIN = {_YAML + word for word in ("str", "bool", "int", "float", "null", "timestamp", "value")}


@dataclass(slots=True)
class Document:
    """What was written, and where: a place is a tuple of keys and indices."""

    file: Path
    data: Any = None
    positions: dict[Place, tuple[int, int]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    values: int = 0
    open_nodes: set[int] = field(default_factory=set)

    def message(self, place: Place, text: str) -> Message:
        """About a place, or about the nearest place above it that was written."""
        nearest = place
        while nearest and nearest not in self.positions:
            nearest = nearest[:-1]
        return self.message_at(self.positions.get(nearest, (1, 1)), place, text)

    def message_at(self, position: tuple[int, int], place: Place, text: str) -> Message:
        line, column = position
        return Message(self.file, line, column, ".".join(str(part) for part in place), text)


def read(file: Path) -> Document:
    """Raises ConfigurationErrors where it cannot be read or is no YAML."""
    text = _text(file)
    document = Document(file)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            document.data = _value(root, (), document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _refused(file, position, f"this is not YAML: {_problem(error)}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        position = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        # PyYAML declares a str here and gives the number of the character.
        code = error.character if isinstance(error.character, int) else ord(error.character)
        told = f"has the character #x{code:04x}; write printable text alone"
        raise _refused(file, position, told) from None
    except RecursionError:
        raise _refused(file, (1, 1), "is nested too deeply; write it flatter") from None
    if root is None:
        raise _refused(file, (1, 1), "the file is empty; write clusters:")
    return document


def _refused(file: Path, position: tuple[int, int], text: str) -> ConfigurationErrors:
    return ConfigurationErrors([Message(file, *position, "", text)])


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise _refused(file, (0, 0), f"cannot be read: {error.strerror}") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        told = "is not UTF-8 here; write the file in UTF-8"
        raise _refused(file, (line, column), told) from None


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "\\t" in problem:
        return f"{problem}; indent with spaces, not tabs"
    if "alias" in problem:
        # The name is not repeated: an unquoted password may begin with an asterisk.
        return "an alias (*) without its anchor (&); put text that begins with * in quotes"
    if "another document" in problem:
        return "a second document begins here; write one, without ---"
    return problem


def _value(node: yaml.Node, place: Place, document: Document) -> Any:
    position = _position(node)
    document.positions.setdefault(place, position)
    document.values += 1
    if document.values > _MOST_VALUES:
        told = f"has more than {_MOST_VALUES} values, aliases counted; write fewer"
        raise _refused(document.file, position, told)
    if id(node) in document.open_nodes:
        document.messages.append(document.message(place, "contains itself; write it out"))
        return None
    document.open_nodes.add(id(node))
    try:
        return _content(node, place, document)
    finally:
        document.open_nodes.discard(id(node))


def _content(node: yaml.Node, place: Place, document: Document) -> Any:
    plain = _PLAIN if isinstance(node, yaml.ScalarNode) else {_YAML + "map", _YAML + "seq"}
    if node.tag not in plain:
        told = "has a tag (!); write the value without it"
        document.messages.append(document.message(place, told))
    match node:
        case yaml.MappingNode():
            return _mapping(node, place, document)
        case yaml.SequenceNode():
            items: list[yaml.Node] = node.value
            return [_value(item, (*place, n), document) for n, item in enumerate(items)]
        case _:
            return _scalar(node)


def _mapping(node: yaml.MappingNode, place: Place, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    for key_node, value_node in pairs:
        position = _position(key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            told = "has a key that is a list or has keys itself; write a word and a colon"
            document.messages.append(document.message_at(position, place, told))
            continue
        key = str(key_node.value)
        here = (*place, key)
        if key_node.tag == _YAML + "merge":
            told = "merges keys, which is not understood; write them out"
            document.messages.append(document.message_at(position, here, told))
            continue
        if key in found:
            told = f"is written twice (first on line {document.positions[here][0]}); write it once"
            document.messages.append(document.message_at(position, here, told))
            continue
        document.positions[here] = position
        found[key] = _value(value_node, here, document)
    return found


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    quoted = getattr(node, "style", None) is not None
    match node.tag.removeprefix(_YAML):
        case "bool" if not quoted and text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "int" if not quoted and _NUMBER.fullmatch(text):
            return int(text)
        case "float" if not quoted and _FRACTION.fullmatch(text):
            return float(text)
        case "null":
            return None
        case _:
            return text


def _position(node: yaml.Node) -> tuple[int, int]:
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
