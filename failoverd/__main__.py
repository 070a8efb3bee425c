"""`failoverd`, and `python -m failoverd`.

Before anything slow is imported, the signals that operators send are held back: their
default action would kill a daemon that is only just starting. And a daemon begins without the
commands, of which it would keep a megabyte for as long as it runs.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

HELD = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
WHILE_IMPORTING = 5_000
"""Objects more between two looks for garbage: never would leave 0.9 MB of it, and oftener finds no
more."""


def main() -> None:
    words = sys.argv[1:]
    if "run" in words:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        gc.set_threshold(WHILE_IMPORTING)
        # structlog draws tracebacks with it where it finds it: 3 MB, and the daemon draws nothing.
        sys.modules["rich"] = None  # type: ignore[assignment]
    path = _of_a_plain_run(words)
    if path is not None:
        from failoverd.daemon.service import run  # noqa: PLC0415 - after the signals are held

        sys.exit(run(path))
    from failoverd.cli.commands import cli  # noqa: PLC0415 - after the signals are held

    cli(prog_name="failoverd")


def _of_a_plain_run(words: Sequence[str]) -> Path | None:
    """The configuration, where no more is said than to run with it, as systemd does."""
    match words:
        case ["run"]:
            given = None
        case ["run", "-c" | "--config", given] | ["-c" | "--config", given, "run"]:
            pass
        case _:
            return None
    from failoverd.cli.client import config_path  # noqa: PLC0415 - after the signals are held

    return Path(config_path(given))


if __name__ == "__main__":
    main()
