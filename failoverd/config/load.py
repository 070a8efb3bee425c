"""Read, check, and say everything that is wrong at once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from failoverd.config import crosswise
from failoverd.config.document import Document, Place, read
from failoverd.config.messages import ConfigurationErrors, Message
from failoverd.config.mistakes import mistakes
from failoverd.config.models import Configuration
from failoverd.config.section import Section

_MOST_ROUNDS = 10
"""Of leaving out what is wrong; each takes away a level at least, and no key is deeper."""


def load(file: Path, *, check_files: bool = True) -> Configuration:
    """The whole file, or ConfigurationErrors with every mistake that it has."""
    document = read(file)
    messages = list(document.messages)
    if not isinstance(document.data, dict):
        told = "must have keys at the top; write clusters:"
        raise ConfigurationErrors([*messages, document.message((), told)])
    told_of: frozenset[Place] = frozenset()
    configuration: Configuration | None
    try:
        configuration = Configuration.model_validate(document.data)
    except ValidationError as error:
        found = mistakes(error, document, Configuration)
        messages += found.messages
        told_of = found.places
        configuration = _what_is_well_formed(document.data)
    if configuration is not None:
        messages += _more(configuration, document, told_of, check_files=check_files)
    if configuration is None or messages:
        raise ConfigurationErrors(messages)
    return configuration


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors; defaults are as they would be written."""
    whole = Configuration.model_json_schema()
    for model in Section.__subclasses__():
        part = whole["$defs"].get(model.__name__)
        if part is None:
            continue
        written = model.model_construct().model_dump(mode="json")
        for key, field in part["properties"].items():
            if "default" in field and not isinstance(field["default"], dict):
                field["default"] = written[key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _more(
    configuration: Configuration,
    document: Document,
    told_of: frozenset[Place],
    *,
    check_files: bool,
) -> Iterator[Message]:
    """What only shows where keys are held together; nothing of a place that was told already."""
    wrong = list(crosswise.check_together(configuration))
    if check_files:
        wrong += crosswise.check_files(configuration)
    for place, text in dict.fromkeys(wrong):
        if not any(place[: len(told)] == told for told in told_of):
            yield document.message(place, text)


def _what_is_well_formed(data: dict[str, Any]) -> Configuration | None:
    """The file without what is wrong in it, so that the rest is still looked at; or None."""
    left = copy.deepcopy(data)
    for _ in range(_MOST_ROUNDS):
        try:
            return Configuration.model_validate(left)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                loc = detail["loc"]
                _leave_out(left, loc[:-1] if detail["type"] == "missing" else loc)
    return None


def _leave_out(data: dict[str, Any], place: Place) -> None:
    """Take away what stands at a place, or the nearest map above it that has it."""
    here: Any = data
    for part in place[:-1]:
        deeper = here.get(part) if isinstance(here, dict) else None
        if not isinstance(deeper, dict):
            break
        here = deeper
        place = place[1:]
    if place:
        here.pop(place[0], None)
