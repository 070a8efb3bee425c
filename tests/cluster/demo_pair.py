"""The pair of the demo, in a place of its own, with a configuration for a daemon beside it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from failoverd.demo import pair as pairs
from failoverd.demo import postgres, unprivileged, watched
from failoverd.demo.configuration import write_configuration
from failoverd.demo.stage import Footing, footing
from tests.waiting import wait_until


@contextlib.contextmanager
def demo_pair() -> Iterator[tuple[Path, pairs.Pair, Path, int]]:
    """The place, the pair, the configuration, and the port that it listens on."""
    with running_pair() as (place, pair):
        (port,) = postgres.free_ports(1)
        yield place, pair, write_configuration(place, pair, port), port


@contextlib.contextmanager
def running_pair() -> Iterator[tuple[Path, pairs.Pair]]:
    """The place and the pair."""
    with contextlib.ExitStack() as stack:
        # Short: the path of a Unix socket may have no more than 107 bytes.
        place = Path(tempfile.mkdtemp(prefix="failoverd-", dir="/tmp"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        place.chmod(0o755)
        ground = _footing()
        give_away = unprivileged.give_away if ground.become else lambda _: None
        pair = pairs.bring_up(place, ground.binaries, ground.become, give_away)
        stack.callback(pairs.take_down, pair)
        yield place, pair


@functools.cache
def _footing() -> Footing:
    """As another user where this one is root.

    Not in a user namespace: a demo in one of its own, which a test beside this one runs, takes
    these servers for its own user's then, and may not look into them.
    """
    programs = Path(tempfile.mkdtemp(prefix="fo-", dir="/tmp"))
    atexit.register(shutil.rmtree, programs, ignore_errors=True)
    return footing(programs, None)


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
