"""The pair of the demo, in a place of its own, with a configuration for a daemon beside it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from failoverd.demo import pair as pairs
from failoverd.demo import postgres, unprivileged, watched
from failoverd.demo.configuration import write_configuration
from tests.waiting import wait_until


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


@contextlib.contextmanager
def demo_daemon() -> Iterator[tuple[watched.Daemon, pairs.Pair, Path]]:
    """One that runs on such a pair, by that configuration, and is ready to fail it over."""
    with demo_pair() as (place, pair, config, port):
        daemon = watched.start(config, port, place / "daemon.log")
        try:
            wait_until(
                lambda: daemon.status().get("outlook", {}).get("obstacles") == [],
                60,
                "a failover would work",
                evidence=lambda: f"{daemon.status()}\n{daemon.log.read_text()}",
            )
            yield daemon, pair, config
        finally:
            daemon.stop()
