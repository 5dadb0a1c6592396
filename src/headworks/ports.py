"""What the engine needs from outside, as small protocols, each with a local implementation.

Passing them in keeps the engine free of hidden time and chance: tests give a fixed clock and seeded tokens.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

Clock = Callable[[], datetime]
"""Returns the present moment in UTC."""

TokenMaker = Callable[[], int]
"""Returns a fresh random number of 62 bits, at least 1."""

Sleep = Callable[[float], None]
"""Waits for a number of seconds."""

AsyncSleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds without holding up others."""


class RateBudget(Protocol):
    """How often something may be asked, shared by all who hold the same budget."""

    def lease(self, most: int) -> int:
        """Wait until at least one request may be made, and return how many may be made now, ``most`` at most."""
        ...


class BreakerStore(Protocol):
    """Keeps the state of breakers across runs."""

    def load(self, name: str) -> dict[str, Any] | None:
        """Return the kept state, or None where there is none."""
        ...

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Keep a state, in place of the one before."""
        ...


def system_clock() -> datetime:
    """Return the present moment in UTC, from this machine's clock."""
    return datetime.now(UTC)


def random_token() -> int:
    """Return a fresh random number of 62 bits, which fits a Delta transaction's version."""
    return secrets.randbits(62) or 1


def system_sleep(seconds: float) -> None:
    """Wait for a number of seconds, really."""
    time.sleep(seconds)


async def system_async_sleep(seconds: float) -> None:
    """Wait for a number of seconds, really, while others continue."""
    await asyncio.sleep(seconds)


class NoBreakers:
    """Keeps nothing: each run begins with its breakers closed."""

    def load(self, name: str) -> dict[str, Any] | None:
        """Return None."""
        return None

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Forget it."""
