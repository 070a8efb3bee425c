"""Values of the core as JSON and back, driven by their annotations.

Every dataclass carries `TAG`, its class name, so that a union is decoded by name and
not by guessing; a WAL position is text (`0/3000148`). A field that an older version did
not write takes its default; whatever is unknown or of the wrong shape is a RecordError
that says where.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NewType, TypeVar, overload

from failoverd.core.model import Lsn, SavedSettings

VERSION = 1
HIDDEN = "***"

T = TypeVar("T")
Decoder = Callable[[object, str], Any]
"""Takes the data and the path to it."""


TAG = "_kind"
"""Names the class; apart from the fields that are called kind themselves."""


class RecordError(Exception):
    """What was read is not what this version writes; the message says where."""


# Writing.


def encode(value: object, *, secrets: bool = True) -> Any:
    """JSON-able. Without `secrets` the values of saved settings are `***`: for people and files.

    Raises RecordError for a value that could not be read back.
    """
    match value:
        case None | bool() | int() if not isinstance(value, enum.Enum):
            return value
        case enum.Enum():
            return value.value
        case str():
            return value
        case float():
            if not math.isfinite(value):
                raise RecordError(f"not a finite number: {value}")
            return value
        case Lsn():
            return str(value)
        case SavedSettings() if not secrets:
            hidden = [[name, None if v is None else HIDDEN] for name, v in value.values]
            return {TAG: "SavedSettings", "values": hidden}
        case tuple():
            return [encode(one, secrets=secrets) for one in value]
        case frozenset():
            return sorted((encode(one, secrets=secrets) for one in value), key=json.dumps)
        case Mapping():
            return {_key(k): encode(v, secrets=secrets) for k, v in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            encoded = {name: encode(getattr(value, name), secrets=secrets) for name in names}
            return {TAG: type(value).__name__, **encoded}
        case _:
            raise RecordError(f"nothing of the core: {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise RecordError(f"a key that is no text: {type(key).__name__}")
    return key.value if isinstance(key, enum.Enum) else key


def dumps(value: object, *, secrets: bool = True) -> str:
    """Compact JSON text, in ASCII: any string survives it."""
    return json.dumps(encode(value, secrets=secrets), separators=(",", ":"), allow_nan=False)


# Reading.


@overload
def decode(expected: type[T], data: object) -> T: ...
@overload
def decode(expected: Any, data: object) -> Any: ...
def decode(expected: Any, data: object) -> Any:
    """A value of the type or union `expected`; raises RecordError with the path to the fault."""
    return _decoder(expected)(data, "$")


def loads(expected: type[T], text: str) -> T:
    """As `decode`, from JSON text."""
    value: T = decode_text(expected, text)
    return value


def decode_text(expected: Any, text: str) -> Any:
    """As `loads`, of a union."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}") from error
    return decode(expected, data)


@functools.cache
def _decoder(expected: Any) -> Decoder:
    """Built once a type: reading annotations is slow."""
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if isinstance(expected, NewType):
        return _decoder(expected.__supertype__)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is frozenset:
        return _frozenset(arguments[0])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(arguments[0], arguments[1])
    if expected is None or expected is type(None):
        return _none
    if expected is Lsn:
        return _lsn
    if isinstance(expected, type) and issubclass(expected, enum.Enum):
        return _enum(expected)
    if expected in (str, bool, int, float):
        return _plain(expected)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return _dataclass(expected)
    raise RecordError(f"no values of type {expected!r} are recorded")


def _plain(expected: type) -> Decoder:
    """`true` is no number, and a whole number is a fine float."""

    def read(data: object, path: str) -> Any:
        if expected is float and type(data) is int:
            return float(data)
        if type(data) is not expected:
            raise RecordError(f"{path}: {expected.__name__} expected, not {_shape(data)}")
        return data

    return read


def _none(data: object, path: str) -> None:
    if data is not None:
        raise RecordError(f"{path}: null expected, not {_shape(data)}")


def _lsn(data: object, path: str) -> Lsn:
    if not isinstance(data, str):
        raise RecordError(f"{path}: a WAL position expected, not {_shape(data)}")
    try:
        return Lsn.parse(data)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def _enum(expected: type[enum.Enum]) -> Decoder:
    def read(data: object, path: str) -> enum.Enum:
        try:
            return expected(data)
        except ValueError as error:
            raise RecordError(f"{path}: {error}") from error

    return read


def _union(members: tuple[Any, ...]) -> Decoder:
    classes = {
        m.__name__: m
        for m in members
        if isinstance(m, type) and dataclasses.is_dataclass(m) and m is not Lsn
    }
    optional = type(None) in members
    plain = [m for m in members if m is not type(None) and m not in classes.values()]
    if len(plain) > 1:
        raise RecordError(f"a union that its data cannot tell apart: {plain}")

    def read(data: object, path: str) -> Any:
        if data is None and optional:
            return None
        if isinstance(data, dict) and TAG in data and classes:
            member = classes.get(data[TAG]) if isinstance(data[TAG], str) else None
            if member is None:
                raise RecordError(f"{path}: {data[TAG]!r} is none of {sorted(classes)}")
            return _decoder(member)(data, path)
        if plain:
            return _decoder(plain[0])(data, path)
        raise RecordError(f"{path}: one of {sorted(classes)} expected, not {_shape(data)}")

    return read


def _tuple(arguments: tuple[Any, ...]) -> Decoder:
    repeated = len(arguments) == 2 and arguments[1] is Ellipsis

    def read(data: object, path: str) -> tuple[Any, ...]:
        items = _list(data, path)
        if not repeated and len(items) != len(arguments):
            raise RecordError(f"{path}: {len(arguments)} values expected, not {len(items)}")
        expected = [arguments[0]] * len(items) if repeated else arguments
        return tuple(
            _decoder(one)(item, f"{path}[{index}]")
            for index, (one, item) in enumerate(zip(expected, items, strict=True))
        )

    return read


def _frozenset(member: Any) -> Decoder:
    def read(data: object, path: str) -> frozenset[Any]:
        items = enumerate(_list(data, path))
        return frozenset(_decoder(member)(item, f"{path}[{index}]") for index, item in items)

    return read


def _mapping(key: Any, value: Any) -> Decoder:
    def read(data: object, path: str) -> dict[Any, Any]:
        items = _object(data, path).items()
        return {_decoder(key)(k, path): _decoder(value)(v, f"{path}.{k}") for k, v in items}

    return read


def _dataclass(expected: type) -> Decoder:
    hints = typing.get_type_hints(expected)
    fields = {field.name: field for field in dataclasses.fields(expected)}
    missing = dataclasses.MISSING
    required = {
        name
        for name, field in fields.items()
        if field.default is missing and field.default_factory is missing
    }

    def read(data: object, path: str) -> Any:
        items = dict(_object(data, path))
        kind = items.pop(TAG, None)
        if kind != expected.__name__:
            raise RecordError(f"{path}: {expected.__name__} expected, not {kind!r}")
        if unknown := sorted(set(items) - set(fields)):
            raise RecordError(f"{path}: {expected.__name__} has no {', '.join(unknown)}")
        if absent := sorted(required - set(items)):
            raise RecordError(f"{path}: {expected.__name__} lacks {', '.join(absent)}")
        values = {n: _decoder(hints[n])(v, f"{path}.{n}") for n, v in items.items()}
        return expected(**values)

    return read


def _list(data: object, path: str) -> list[object]:
    if not isinstance(data, list):
        raise RecordError(f"{path}: a list expected, not {_shape(data)}")
    return data


def _object(data: object, path: str) -> dict[str, object]:
    if not isinstance(data, dict):
        raise RecordError(f"{path}: an object expected, not {_shape(data)}")
    return data


def _shape(data: object) -> str:
    """The kind of thing, never the thing: it may be a secret."""
    return "null" if data is None else type(data).__name__
