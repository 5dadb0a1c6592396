"""What the engine needs from outside, as small protocols, each with a local implementation.

Passing them in keeps the engine free of hidden time and chance: tests give a fixed clock and seeded tokens.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present moment in UTC."""

TokenMaker = Callable[[], int]
"""Returns a fresh random number of 62 bits, at least 1."""

Sleep = Callable[[float], None]
"""Waits for a number of seconds."""


def system_clock() -> datetime:
    """Return the present moment in UTC, from this machine's clock."""
    return datetime.now(UTC)


def random_token() -> int:
    """Return a fresh random number of 62 bits, which fits a Delta transaction's version."""
    return secrets.randbits(62) or 1


def system_sleep(seconds: float) -> None:
    """Wait for a number of seconds, really."""
    time.sleep(seconds)
