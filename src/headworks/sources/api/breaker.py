"""The breaker of an API: after many failures in a row it opens, is half open for one request, then closes.

A state machine without I/O: states go in, states come out. It is closed while all is well; open for a while after
too many failures; then half open, when one request is let through, whose end closes it or opens it for twice as
long. `BreakerGuard` drives it for one reading, and keeps it across runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError

from headworks.errors import BreakerOpen
from headworks.ports import BreakerStore, Clock
from headworks.settings import Settings
from headworks.sources.api.settings import BreakerLimits


class Breaker(Settings):
    """The state of a breaker."""

    failures: int = Field(default=0, description="Failures one after another.")
    opened: int = Field(default=0, description="How often it opened since all was well.")
    closed_until: datetime | None = Field(
        default=None, description="No request before this; none: it is closed."
    )
    half_open_until: datetime | None = Field(
        default=None,
        validation_alias=AliasChoices("half_open_until", "probing_until"),
        description="One request asks whether it has recovered, until then at the latest.",
    )
    reason: str = Field(default="", description="The last failure.")

    def state(self, now: datetime) -> Literal["closed", "open", "half open"]:
        """Return its state."""
        if self.closed_until is None:
            return "closed"
        return "open" if now < self.closed_until else "half open"

    def may_ask(self, now: datetime) -> bool:
        """Return whether a request may be made: always while closed, once while half open."""
        state = self.state(now)
        return state == "closed" or (
            state == "half open" and (self.half_open_until is None or now >= self.half_open_until)
        )

    def probing(self, now: datetime, longest_s: float) -> Breaker:
        """Return it with the one request that is let through while half open."""
        return self.model_copy(update={"half_open_until": now + timedelta(seconds=longest_s)})

    def succeeded(self) -> Breaker:
        """Return it after a request that went well: closed."""
        return Breaker()

    def failed(self, now: datetime, limits: BreakerLimits, reason: str) -> Breaker:
        """Return it after a request that failed: open where that was one too many, or the one that was let through."""
        failures = self.failures + 1
        if self.state(now) == "closed" and failures < limits.failures:
            return self.model_copy(update={"failures": failures, "reason": reason})
        if self.state(now) == "open":
            # One of those that were on their way when it opened.
            return self.model_copy(update={"failures": failures})
        open_s = min(limits.open_s * 2.0**self.opened, limits.longest_open_s)
        return Breaker(
            failures=failures,
            opened=self.opened + 1,
            closed_until=now + timedelta(seconds=open_s),
            reason=reason,
        )

    def asked_to_wait(self, now: datetime, wait_s: float, reason: str) -> Breaker:
        """Return it after the API asked for a wait that is longer than a run sleeps: open until then."""
        return Breaker(opened=self.opened, closed_until=now + timedelta(seconds=wait_s), reason=reason)


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
