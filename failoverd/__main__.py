"""`failoverd`, and `python -m failoverd`.

Before anything slow is imported, the signals that operators send are held back: their
default action would kill a daemon that is only just starting.
"""

from __future__ import annotations

import gc
import signal
import sys

HELD = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


def main() -> None:
    if "run" in sys.argv[1:]:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        gc.disable()  # what is imported is no garbage; the daemon enables it again
        # structlog draws tracebacks with it where it finds it: 3 MB, and the daemon draws nothing.
        sys.modules["rich"] = None  # type: ignore[assignment]
    from failoverd.cli.commands import cli  # noqa: PLC0415 - after the signals are held

    cli(prog_name="failoverd")


if __name__ == "__main__":
    main()
