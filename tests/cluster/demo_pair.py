"""The pair of the demo, in a place of its own, with a configuration for a daemon beside it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from failoverd.demo import pair as pairs
from failoverd.demo import postgres, unprivileged
from failoverd.demo.configuration import write_configuration


@contextlib.contextmanager
def demo_pair() -> Iterator[tuple[Path, pairs.Pair, Path, int]]:
    """The place, the pair, the configuration, and the port that it listens on."""
    with contextlib.ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="failoverd-", dir="/tmp"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        become = unprivileged.namespace_prefix() if unprivileged.needed() else ()
        assert become is not None, "run the tests as a user that is not root"
        pair = pairs.bring_up(place, postgres.find(), become, lambda _: None)
        stack.callback(pairs.take_down, pair)
        (port,) = postgres.free_ports(1)
        yield place, pair, write_configuration(place, pair, port), port
