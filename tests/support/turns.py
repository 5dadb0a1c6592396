"""Two runs taking turns at chosen points, so that an interleaving is the same each time.

A run that stops at a point calls `Turn.reached` there, and the one that shall continue then waits for it. What runs is
nobody's business here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

LONGEST_WAIT_S = 30


class Turn:
    """A point that one side reaches and another waits for."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def reached(self) -> None:
        """Report the other side that this point is reached."""
        self._event.set()

    def is_reached(self) -> bool:
        """Return whether this point is reached."""
        return self._event.is_set()

    def wait_a_little(self) -> None:
        """Wait a moment for this point."""
        self._event.wait(0.005)

    def wait(self) -> None:
        """Wait until the other side reached this point; a test that would hang fails instead."""
        assert self._event.wait(LONGEST_WAIT_S), "the other side never came"


class Alongside:
    """Runs an action in a thread of its own, and keeps how it ended."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self._action = action
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended = Turn()

    def start(self) -> Alongside:
        """Begin."""
        self._thread.start()
        return self

    def join(self) -> Alongside:
        """Wait for the end."""
        self._thread.join(LONGEST_WAIT_S)
        assert not self._thread.is_alive(), "the run alongside this one never ended"
        return self

    def _run(self) -> None:
        try:
            self.result = self._action()
        except BaseException as problem:  # noqa: BLE001 - kept for the test to look at
            self.error = problem
        finally:
            self.ended.reached()
