"""What a condition does again and again for as long as it lasts, beside the trial."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.lab.cluster import Watched

Pause = Callable[[float], object]
"""Wait for so many seconds, or until the condition ends."""


class Again:
    """`begin` and `end` are those of a condition; in between `act` is called over and over."""

    def __init__(self, act: Callable[[Watched, Pause], None]) -> None:
        self._act = act
        self._over = threading.Event()
        self._failed: list[BaseException] = []
        self._thread: threading.Thread | None = None

    def begin(self, w: Watched) -> None:
        self._over.clear()
        self._failed.clear()
        # A daemon thread: where the trial fails, nobody calls `end`.
        self._thread = threading.Thread(target=self._repeat, args=(w,), daemon=True)
        self._thread.start()

    def _repeat(self, w: Watched) -> None:
        try:
            # When the lab is stopped its daemon is gone, and nothing is left to act on.
            while not self._over.is_set() and w.daemon.exit_status is None:
                self._act(w, self._over.wait)
        except Exception as error:  # noqa: BLE001 - told by `end`, in the thread of the test
            self._failed.append(error)

    def end(self, _: Watched) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(30)
        if self._failed:
            raise self._failed[0]
