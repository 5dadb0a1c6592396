"""Leases for tests: a clock that moves only when somebody waits, and holders that nobody can look at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headworks.ops.leases import Leasing
from headworks.storage.holders import Holder
from headworks.storage.store import Lake

ELSEWHERE = Holder(host="elsewhere", world="another world", pid=1, began=1)


class Waiting:
    """A clock, and what happens while somebody waits by it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 5, 8, tzinfo=UTC)
        self.waited_s = 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, and then let happen what happens meanwhile."""
        self.pass_by(seconds)
        self.waited_s += seconds
        self.meanwhile()

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def leasing(lake: Lake, clock: Waiting, *, lives: bool | None = None) -> Leasing:
    """Return how leases are taken by that clock, where holders are known to live, to be dead, or neither."""
    return Leasing(lake, clock=clock, sleep=clock.sleep, lives=lambda holder: lives, me=lambda: ELSEWHERE)


def bury(lake: Lake, name: str) -> None:
    """Take the lease of a run as if that were dead, and give it back: the next one finds it free."""
    Leasing(lake, lives=lambda holder: False).take(name, "undertaker", "").release()
