"""The API's rate limit and its seeded faults: small state machines without input or output.

Deciding belongs here; answering does not: see `api`.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """How many requests are let through: a token bucket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    burst: int = Field(default=8, ge=1, description="Requests that may come at once.")
    per_second: float = Field(default=8.0, gt=0, description="Requests a second in the long run.")


class Faults(BaseModel):
    """How often the API breaks, and the seed that decides when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(description="Where the faults' chance comes from.")
    share: float = Field(default=0.2, ge=0, le=1, description="The share of requests that break.")


class Fault(StrEnum):
    """One way for an answer to break."""

    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    TRUNCATED = "200 with its JSON cut short"


class TokenBucket:
    """Lets requests through while it holds tokens; it is refilled with time."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self._limits = limits
        self._tokens = float(limits.burst)
        self._filled_at_s = now_s
        self._lock = Lock()

    def take(self, now_s: float) -> bool:
        """Take one token if there is one."""
        with self._lock:
            gained = max(0.0, now_s - self._filled_at_s) * self._limits.per_second
            self._tokens = min(float(self._limits.burst), self._tokens + gained)
            self._filled_at_s = max(now_s, self._filled_at_s)
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class FaultSource:
    """Decides for each request in turn whether it breaks, and how; the same seed decides the same."""

    def __init__(self, faults: Faults) -> None:
        self._share = faults.share
        self._chance = Random(faults.seed)
        self._lock = Lock()

    def next(self) -> Fault | None:
        """The fault of the next request, or none."""
        with self._lock:
            if self._chance.random() >= self._share:
                return None
            return self._chance.choice(list(Fault))
