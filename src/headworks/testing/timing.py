"""Time that moves only when somebody waits.

The client waits through it and the server reads it, so a test of an hour's outage takes no time and always the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock

BEGINNING = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class MovedTime:
    """A clock for both sides: ``clock`` reads it, ``sleep`` moves it on, nothing else does."""

    def __init__(self, beginning: datetime = BEGINNING) -> None:
        self._now = beginning
        self._lock = Lock()
        self.waits: list[float] = []

    def clock(self) -> datetime:
        """Return the present moment."""
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Let this many seconds pass at once."""
        with self._lock:
            self.waits.append(seconds)
            self._now += timedelta(seconds=max(0.0, seconds))

    async def sleep_async(self, seconds: float) -> None:
        """Let this many seconds pass at once, for who waits in an event loop."""
        self.sleep(seconds)
