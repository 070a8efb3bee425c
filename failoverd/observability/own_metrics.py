"""What the daemon tells of itself, whatever it watches."""

from __future__ import annotations

from failoverd.observability.series import Series

NOTIFIED = ("told", "failed", "given_up", "dropped")


class OwnMetrics:
    """Of one process."""

    _all: Series

    def notifying(self, target: str) -> None:
        for outcome in NOTIFIED:
            self._all.notifications.labels(target, outcome)
        self._all.notices_queued.labels(target)

    def notified(self, target: str, outcome: str) -> None:
        """What became of a notice, or of an attempt to tell it."""
        self._all.notifications.labels(target, outcome).inc()

    def notices_queued(self, target: str, count: int) -> None:
        """How many are still to be told."""
        self._all.notices_queued.labels(target).set(count)

    def loop_lag(self, seconds: float) -> None:
        """The worst lag of the event loop since the last call."""
        self._all.loop_lag.labels().set(seconds)

    def began_late(self, seconds: float) -> None:
        """A round of looks began so long after it was due, by our own doing."""
        self._all.round_late.labels().observe(seconds)

    def reloaded(self, *, ok: bool, at: float) -> None:
        """A reload was taken up at the wall time `at`, or refused."""
        self._all.config_reloads.labels("ok" if ok else "refused").inc()
        if ok:
            self._all.config_reloaded.labels().set(at)
