"""Drives an API's breaker for one reading: asks it before each request, reports the outcome, keeps it across runs."""

from __future__ import annotations

from pydantic import ValidationError

from headworks.errors import BreakerOpen
from headworks.ports import BreakerStore, Clock
from headworks.sources.api.breaker import Breaker
from headworks.sources.api.settings import BreakerLimits

_WELL = Breaker()


class BreakerGuard:
    """The breaker of one API, as one reading sees it."""

    def __init__(self, name: str, store: BreakerStore, limits: BreakerLimits, clock: Clock) -> None:
        self._name, self._store, self._limits, self._clock = name, store, limits, clock
        self._state = self._kept = Breaker()

    def load(self) -> None:
        """Begin where the last run left it."""
        self._state = self._kept = read_breaker(self._store, self._name)

    def keep(self) -> None:
        """Keep it for the next run, if it changed."""
        if self._state != self._kept:
            self._store.save(self._name, self._state.model_dump(mode="json"))
            self._kept = self._state

    def ask(self, timeout_s: float) -> None:
        """Raise `BreakerOpen` where no request may be made now; while half open, let one through."""
        now = self._clock()
        if self._state.state(now) == "closed":
            return
        # Another run may have closed it, or may be asking already.
        self.load()
        if self._state.state(now) == "closed":
            return
        if not self._state.may_ask(now):
            raise self._refused()
        self._state = self._state.probing(now, 2 * timeout_s)
        self.keep()

    def succeeded(self) -> None:
        """Close it."""
        if self._state == _WELL:
            return
        was_open = self._state.closed_until is not None
        self._state = self._state.succeeded()
        if was_open:
            self.keep()

    def failed(self, reason: str) -> None:
        """Count a failure, and keep it at once where it opens."""
        self._state = self._state.failed(self._clock(), self._limits, reason)
        if self._state.closed_until is not None:
            self.keep()

    def asked_to_wait(self, wait_s: float, reason: str) -> None:
        """Open it for as long as the API asks, so that no other run asks before."""
        self._state = self._state.asked_to_wait(self._clock(), wait_s, reason)
        self.keep()

    def _refused(self) -> BreakerOpen:
        until = self._state.closed_until
        problem = BreakerOpen(
            f"The breaker of {self._name} is open until {until:%Y-%m-%d %H:%M:%S} UTC: {self._state.reason}",
            do=f"wait, or, when the API has recovered: headworks breaker reset {self._name}",
        )
        if until is not None:
            problem.wait_s = max(0.0, (until - self._clock()).total_seconds())
        return problem


def read_breaker(store: BreakerStore, name: str) -> Breaker:
    """Return a kept breaker, or a closed one where none is kept or what is kept cannot be read."""
    try:
        return Breaker.model_validate(store.load(name) or {})
    except ValidationError:
        return Breaker()
