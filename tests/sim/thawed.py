"""Frozen values, made as quickly as others: for a process that does nothing but simulate.

A frozen dataclass sets each of its fields by a call, and a sixth of a run's time goes there. That
nobody assigns to one is held by mypy, and by every test, which runs with them as they are.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

PLACES = ("failoverd.core", "failoverd.record", "failoverd.probe", "failoverd.daemon", "tests.sim")


def thaw() -> None:
    """All that are imported by now."""
    for kind in _frozen():
        fields = dataclasses.fields(kind)
        plain = dataclasses.make_dataclass(kind.__name__, [_as_declared(f) for f in fields])
        kind.__init__ = plain.__init__
        del kind.__setattr__, kind.__delattr__


def _frozen() -> list[Any]:
    modules = [m for name, m in sys.modules.items() if name.startswith(PLACES)]
    return [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and kind.__module__ == module.__name__
        and dataclasses.is_dataclass(kind)
        and "__setattr__" in vars(kind)
        and not hasattr(kind, "__post_init__")
    ]


def _as_declared(field: dataclasses.Field[Any]) -> tuple[str, type, Any]:
    """With its default; what type it has does not matter any more."""
    if field.default_factory is not dataclasses.MISSING:
        return field.name, object, dataclasses.field(default_factory=field.default_factory)
    if field.default is not dataclasses.MISSING:
        return field.name, object, dataclasses.field(default=field.default)
    return field.name, object, dataclasses.field()
