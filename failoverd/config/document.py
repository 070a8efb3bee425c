"""YAML with the position of every key, and without its traps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from failoverd.config.messages import ConfigurationErrors, Message

Place = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """What was written, and where: a place is a tuple of keys and indices."""

    file: Path
    data: Any = None
    positions: dict[Place, tuple[int, int]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)

    def message(self, place: Place, text: str) -> Message:
        """About a place, or about the nearest place above it that was written."""
        nearest = place
        while nearest and nearest not in self.positions:
            nearest = nearest[:-1]
        line, column = self.positions.get(nearest, (1, 1))
        return Message(self.file, line, column, ".".join(str(part) for part in place), text)


def read(file: Path) -> Document:
    """Raises ConfigurationErrors where it cannot be read or is no YAML."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationErrors([Message(file, 0, 0, "", f"cannot be read: {reason}")]) from None
    document = Document(file)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        tab = "; indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        text = f"this is not YAML: {error.problem}{tab}"
        raise ConfigurationErrors([Message(file, line, column, "", text)]) from None
    except yaml.YAMLError as error:
        raise ConfigurationErrors([Message(file, 0, 0, "", f"this is not YAML: {error}")]) from None
    if root is None:
        raise ConfigurationErrors([Message(file, 1, 1, "", "the file is empty: write clusters:")])
    document.data = _value(root, (), document)
    return document


def _value(node: yaml.Node, place: Place, document: Document) -> Any:
    document.positions.setdefault(place, _position(node))
    match node:
        case yaml.MappingNode():
            return _mapping(node, place, document)
        case yaml.SequenceNode():
            items: list[yaml.Node] = node.value
            return [_value(item, (*place, n), document) for n, item in enumerate(items)]
        case _:
            return _scalar(node, place, document)


def _mapping(node: yaml.MappingNode, place: Place, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
    for key_node, value_node in pairs:
        key = str(key_node.value)
        here = (*place, key)
        if key in found:
            line = document.positions[here][0]
            text = f"is written twice (first on line {line}); write it once"
            row, column = _position(key_node)
            name = ".".join(str(part) for part in here)
            document.messages.append(Message(document.file, row, column, name, text))
            continue
        document.positions[here] = _position(key_node)
        found[key] = _value(value_node, here, document)
    return found


def _scalar(node: yaml.Node, place: Place, document: Document) -> Any:
    """YAML 1.1 takes `on` for true, `1:30` for 90 and `010` for 8: here only true is true."""
    text: str = node.value
    quoted = getattr(node, "style", None) in ("'", '"', "|", ">")
    if quoted or node.tag == "tag:yaml.org,2002:str":
        return text
    match node.tag:
        case "tag:yaml.org,2002:bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "tag:yaml.org,2002:bool":
            meant = "true" if text.lower() in ("yes", "on", "y") else "false"
            document.messages.append(
                document.message(place, f"got {text}; write {meant}, or quote it if it is a name")
            )
            return meant == "true"
        case "tag:yaml.org,2002:int" if text.isdecimal() and (text == "0" or text[0] != "0"):
            return int(text)
        case "tag:yaml.org,2002:float" if ":" not in text:
            return float(text)
        case "tag:yaml.org,2002:null":
            return None
        case _:
            return text


def _position(node: yaml.Node) -> tuple[int, int]:
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
