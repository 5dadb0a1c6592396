"""Keeps requests apart in time: what the API asks us to wait, and the budget that all runs share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from headworks.ports import AsyncSleep, Clock, RateBudget, Sleep, system_sleep


class Pacer:
    """Lets the requests of one reading through, none of them before its time."""

    def __init__(self, clock: Clock, sleep: AsyncSleep, budget: RateBudget | None, most: int) -> None:
        self._clock, self._sleep, self._budget, self._most = clock, sleep, budget, most
        self._not_before: datetime | None = None
        self._leased = 0
        self._lock = asyncio.Lock()
        self.waited_s = 0.0

    def hold(self, wait_s: float) -> None:
        """Let nothing through for so many seconds from now."""
        moment = self._clock() + timedelta(seconds=wait_s)
        if self._not_before is None or moment > self._not_before:
            self._not_before = moment

    async def ready(self) -> None:
        """Return when the next request may be made."""
        waited_for: datetime | None = None
        while self._not_before is not None and self._not_before != waited_for:
            waited_for = self._not_before
            wait_s = (waited_for - self._clock()).total_seconds()
            if wait_s > 0:
                self.waited_s += wait_s
                await self._sleep(wait_s)
        if waited_for is not None and self._not_before == waited_for:
            self._not_before = None
        if self._budget is not None:
            await self._lease(self._budget)

    async def _lease(self, budget: RateBudget) -> None:
        async with self._lock:
            if self._leased == 0:
                # Another thread waits, so that those on their way continue.
                self._leased = await asyncio.to_thread(budget.lease, self._most)
            self._leased -= 1


class LocalBudget:
    """A budget of requests in a second for this process: a bucket of one second's worth that fills steadily."""

    def __init__(
        self,
        requests_per_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep = system_sleep,
    ) -> None:
        self._rate, self._monotonic, self._sleep = requests_per_s, monotonic, sleep
        self._held = max(1.0, requests_per_s)
        self._at = monotonic()
        self._lock = threading.Lock()

    def lease(self, most: int) -> int:
        """Wait until at least one request may be made, and return how many may be made now, ``most`` at most."""
        with self._lock:
            self._fill()
            if self._held < 1.0:
                self._sleep((1.0 - self._held) / self._rate)
                self._fill()
                # A sleep that returned a little early still leaves one whole request, paid for by the next wait.
                self._held = max(self._held, 1.0)
            leased = max(1, min(most, int(self._held)))
            self._held -= leased
            return leased

    def _fill(self) -> None:
        now = self._monotonic()
        self._held = min(max(1.0, self._rate), self._held + (now - self._at) * self._rate)
        self._at = now
