"""A deliberate defect in memory: the modules of failoverd are imported with its text replaced.

Nothing is copied and no file is written, so that a process can be forked, be given one defect, and
be forgotten.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

import failoverd
from tests.sim.defect import Mutation

SOURCE = Path(failoverd.__file__).parent


def place_of(mutation: Mutation) -> Path | None:
    """Where its text stands, once in all of the source; it may have moved to another file since."""
    meant = SOURCE / mutation.file
    if meant.exists() and mutation.old in meant.read_text():
        files = [meant]
    else:
        files = [f for f in sorted(SOURCE.rglob("*.py")) if mutation.old in f.read_text()]
    if len(files) != 1 or files[0].read_text().count(mutation.old) != 1:
        return None
    return files[0]


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, place: Path, mutation: Mutation) -> None:
        super().__init__(name, str(place))
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType | None:
        text = Path(self.path).read_text().replace(self._mutation.old, self._mutation.new)
        return compile(text, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, mutation: Mutation, place: Path) -> None:
        self._mutation, self._place = mutation, place
        parts = place.relative_to(SOURCE.parent).with_suffix("").parts
        self._name = ".".join(parts)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, self._place, self._mutation)
        return importlib.machinery.ModuleSpec(fullname, loader, origin=str(self._place))


def plant(mutation: Mutation) -> bool:
    """From here on this process imports failoverd with the defect; False: it applies nowhere."""
    place = place_of(mutation)
    if place is None:
        return False
    for name in [n for n in sys.modules if n.split(".")[0] in ("failoverd", "tests")]:
        if name != __name__:
            del sys.modules[name]
    sys.meta_path.insert(0, _Finder(mutation, place))
    return True
