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
Encoder = Callable[[Any, bool], Any]
"""Takes the value, and whether secrets are written, too."""


TAG = "_kind"
"""Names the class; apart from the fields that are called kind themselves."""


class RecordError(Exception):
    """What was read is not what this version writes; the message says where."""


# Writing.


def encode(value: object, *, secrets: bool = True) -> Any:
    """JSON-able. Without `secrets` the values of saved settings are `***`: for people and files.

    Raises RecordError for a value that could not be read back.
    """
    return _encoder(type(value))(value, secrets)


def _encoder(kind: type) -> Encoder:
    """Found once a class: a journal write holds hundreds of values."""
    known = _ENCODERS.get(kind)
    if known is None:
        known = _ENCODERS[kind] = _encoder_of(kind)
    return known


_ENCODERS: dict[type, Encoder] = {}


def _encoder_of(kind: type) -> Encoder:
    if kind in _AS_IT_IS:
        return _unchanged
    if issubclass(kind, enum.Enum):
        return _value_of
    if issubclass(kind, (int, str)):
        return _unchanged
    if issubclass(kind, float):
        return _finite
    if issubclass(kind, Lsn):
        return _text
    if issubclass(kind, tuple):
        return _members
    if issubclass(kind, frozenset):
        return _sorted_members
    if issubclass(kind, Mapping):
        return _pairs
    if dataclasses.is_dataclass(kind):
        fields = _fields(kind)
        return _settings(fields) if issubclass(kind, SavedSettings) else fields
    raise RecordError(f"nothing of the core: {kind.__name__}")


_AS_IT_IS = frozenset({type(None), bool, int, str})


def _unchanged(value: Any, _: bool) -> Any:  # noqa: FBT001
    return value


def _value_of(value: Any, _: bool) -> Any:  # noqa: FBT001
    return value.value


def _text(value: Any, _: bool) -> str:  # noqa: FBT001
    return str(value)


def _finite(value: Any, _: bool) -> float:  # noqa: FBT001
    if not math.isfinite(value):
        raise RecordError(f"not a finite number: {value}")
    return float(value)


def _members(value: Any, secrets: bool) -> list[Any]:  # noqa: FBT001
    return [_encoder(type(one))(one, secrets) for one in value]


def _sorted_members(value: Any, secrets: bool) -> list[Any]:  # noqa: FBT001
    return sorted(_members(value, secrets), key=json.dumps)


def _pairs(value: Any, secrets: bool) -> dict[str, Any]:  # noqa: FBT001
    return {_key(k): _encoder(type(v))(v, secrets) for k, v in value.items()}


def _fields(kind: type) -> Encoder:
    names = [field.name for field in dataclasses.fields(kind)]

    def write(value: Any, secrets: bool) -> dict[str, Any]:  # noqa: FBT001
        encoded: dict[str, Any] = {TAG: kind.__name__}
        for name in names:
            one = getattr(value, name)
            known = type(one)
            encoded[name] = one if known in _AS_IT_IS else _encoder(known)(one, secrets)
        return encoded

    return write


def _settings(whole: Encoder) -> Encoder:
    def write(value: Any, secrets: bool) -> Any:  # noqa: FBT001
        if secrets:
            return whole(value, secrets)
        hidden = [[name, None if v is None else HIDDEN] for name, v in value.values]
        return {TAG: "SavedSettings", "values": hidden}

    return write


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise RecordError(f"a key that is no text: {type(key).__name__}")
    return key.value if isinstance(key, enum.Enum) else key


def dumps(value: object, *, secrets: bool = True) -> str:
    """Compact JSON text, in ASCII: any string survives it."""
    return _COMPACT(encode(value, secrets=secrets))


_COMPACT = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


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
    of_plain = _decoder(plain[0]) if plain else None

    def read(data: object, path: str) -> Any:
        if data is None and optional:
            return None
        if isinstance(data, dict) and TAG in data and classes:
            member = classes.get(data[TAG]) if isinstance(data[TAG], str) else None
            if member is None:
                raise RecordError(f"{path}: {data[TAG]!r} is none of {sorted(classes)}")
            return _decoder(member)(data, path)
        if of_plain is not None:
            return of_plain(data, path)
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

    # A class may hold one of its own: its fields are asked for when the first is read.
    of = functools.cache(lambda name: _decoder(hints[name]))

    def read(data: object, path: str) -> Any:
        items = dict(_object(data, path))
        kind = items.pop(TAG, None)
        if kind != expected.__name__:
            raise RecordError(f"{path}: {expected.__name__} expected, not {kind!r}")
        if unknown := items.keys() - fields.keys():
            raise RecordError(f"{path}: {expected.__name__} has no {', '.join(sorted(unknown))}")
        if absent := required - items.keys():
            raise RecordError(f"{path}: {expected.__name__} lacks {', '.join(sorted(absent))}")
        values = {n: of(n)(v, f"{path}.{n}") for n, v in items.items()}
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
