"""What pydantic found wrong, in the words of whoever wrote the file.

The form is `what was wrong (got ...); write ... instead`. What stands where a password
belongs is never repeated.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from failoverd.config.document import Document, Place
from failoverd.config.messages import Message

_LATER: Mapping[str, str] = {
    "require": "proof",
}
"""Keys whose other values belong to later versions, and what to write in this one."""

_TRUTH = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Messages, and the places that need no second one."""

    messages: Sequence[Message]
    places: frozenset[Place]


def mistakes(error: ValidationError, document: Document, model: type[BaseModel]) -> Mistakes:
    details = error.errors(include_url=False, include_context=True)
    meant = {
        (*place[:-1], near)
        for place in (_place(d) for d in details if d["type"] == "extra_forbidden")
        if (near := _nearest(str(place[-1]), _keys_at(place[:-1], model))) is not None
    }
    told = [d for d in details if not (d["type"] == "missing" and _place(d) in meant)]
    messages = [document.message(_place(d), _sentence(d, _place(d), model)) for d in told]
    return Mistakes(messages, frozenset({*(_place(d) for d in details), *meant}))


def _place(detail: Mapping[str, Any]) -> Place:
    """Pydantic says `[key]` where the key of a map is wrong, and not what it maps to."""
    place: Place = detail["loc"]
    return place[:-1] if place and place[-1] == "[key]" else place


def _sentence(detail: Mapping[str, Any], place: Place, model: type[BaseModel]) -> str:
    key = str(place[-1]) if place else ""
    if detail["type"] == "extra_forbidden":
        return f"there is no such key; {_advice_on_keys(key, _keys_at(place[:-1], model))}"
    if detail["type"] == "missing":
        return "is missing; write it"
    wrong, instead = _wrong(detail, place, key)
    got = _shown(detail["input"], place)
    return f"{wrong}{f' (got {got})' if got else ''}; write {instead}"


def _wrong(detail: Mapping[str, Any], place: Place, key: str) -> tuple[str, str]:
    """What is wrong, and what to write."""
    got, context = detail["input"], detail.get("ctx", {})
    if key == "ladder" and got == []:
        return "must have a rung", "[stop]"
    if place[-2:-1] == ("ladder",) and detail["type"] == "model_type":
        return "is no rung", "stop, {agent: {...}}, {command: {...}} or {dead_man: {...}}"
    for name in (key, *(str(part) for part in place[-2:-1])):
        if name in _LATER and detail["type"] != "model_type":
            return "is not available in this version", _LATER[name]
    if detail["type"] == "value_error":
        wrong, _, instead = str(context["error"]).partition("; write ")
        return wrong, instead
    if detail["type"] in ("model_type", "dict_type") and _is_secret(place):
        place_for_it = "{file: /path}, {env: NAME} or {credential: NAME}"
        return f"must say where the {key} is kept, never what it is", place_for_it
    if got is None:
        return "has no value", "one, or remove the key if it has a default"
    return _not_of_its_form(detail, got, context)


def _not_of_its_form(detail: Mapping[str, Any], got: Any, context: Any) -> tuple[str, str]:
    match detail["type"]:
        case "bool_type":
            meant = _TRUTH.get(str(got).lower(), "true or false")
            return "is neither true nor false", meant
        case "int_type":
            return "is no whole number", _number_meant(got)
        case "greater_than_equal":
            return "is too small", f"{context['ge']} or more"
        case "less_than_equal":
            return "is too large", f"{context['le']} or less"
        case "string_type" | "path_type" | "is_instance_of":
            return "is no text", "it in quotes"
        case "literal_error" | "enum":
            return "is not one of the words", _word_meant(str(got), context["expected"])
        case "model_type" | "dict_type":
            return "must have keys of its own", "them indented below it, as key: value"
        case "list_type" | "tuple_type":
            return "is no list", "one, such as [a, b]"
        case "too_short":
            return "are too few", f"at least {context['min_length']}"
        case _:
            return str(detail["msg"]), "something else"


def _number_meant(got: Any) -> str:
    text = str(got)
    if isinstance(got, str) and re.fullmatch("[0-9]{1,18}", text):
        plain = str(int(text))
        return f"{plain}, without quotes" if plain == text else f"{plain}, without a zero before it"
    return "digits alone, such as 3"


def _word_meant(got: str, expected: str) -> str:
    words = re.findall("'([^']*)'", expected)
    near = _nearest(got, words)
    choice = f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else expected.strip("'")
    return f"{choice} (did you mean {near}?)" if near is not None else choice


def _shown(value: Any, place: Place) -> str:
    """Nothing where a secret may stand, and of lists and keys only that they are such."""
    if _is_secret(place) or place[-1:] in (("sql",), ("options",)) or "options" in place:
        return ""
    match value:
        case None:
            return ""
        case Mapping():
            return "keys"
        case list() if place[-1:] != ("ladder",):
            return "a list" if value else "an empty list"
        case bool():
            return str(value).lower()
        case _:
            text = repr(value)
            return text if len(text) <= 60 else f"{text[:57]}..."


def _is_secret(place: Place) -> bool:
    return "secrets" in place or any("password" in str(part) for part in place)


def _advice_on_keys(key: str, known: Sequence[str]) -> str:
    near = _nearest(key, known)
    return f"did you mean {near}?" if near else f"there are {', '.join(sorted(known))}"


def _nearest(word: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, 1)), None)


def _keys_at(place: Place, model: type[BaseModel]) -> list[str]:
    """The keys that may stand at a place, following sections, and maps and lists of them."""
    found: Any = model
    in_map = False
    for part in place:
        if in_map:
            # A name in a map of sections (clusters, nodes), or a number in a list of them.
            in_map = False
            continue
        annotation = found.model_fields[part].annotation
        arguments = getattr(annotation, "__args__", ())
        found = next(a for a in (annotation, *arguments) if hasattr(a, "model_fields"))
        in_map = getattr(annotation, "__origin__", None) in (dict, list)
    return list(found.model_fields)
