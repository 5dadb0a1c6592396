"""The breaker of an API: after many failures in a row it opens, is half open for one request, then closes.

A state machine without I/O: states go in, states come out. It is closed while all is well; open for a while after
too many failures; then half open, when one request is let through, whose end closes it or opens it for twice as
long.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AliasChoices, Field

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
