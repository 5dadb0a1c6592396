"""How long to wait before asking again: what the API says, else exponential backoff with full jitter.

What belongs here: reading headers about limits, and arithmetic. What does not: waiting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RESETS = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")
_POINT_IN_TIME = 1_000_000_000
_MILLISECONDS = 1_000_000_000_000
_ITEM = re.compile(r"\b(remaining|reset|r|t)\s*=\s*(\d+)")


def backoff_s(first_s: float, attempt: int, chance: float) -> float:
    """Return the wait after an attempt: between nothing and twice as much as after the one before it, by chance."""
    return float(first_s * 2 ** (attempt - 1) * chance)


def asked_wait_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how long the API asks not to be asked again, in seconds; None where it says nothing.

    ``Retry-After`` goes first, then the headers that say when a limit begins anew. A date counts from the answer's own
    Date, so that a clock that goes wrong on either side does no harm. Header names are lower-case.
    """
    here = _date(headers.get("date")) or now
    after = headers.get("retry-after", "").strip()
    if after.replace(".", "", 1).isdigit():
        return float(after)
    moment = _date(after)
    if moment is not None:
        return max(0.0, (moment - here).total_seconds())
    for name in _RESETS:
        wait = _reset(headers.get(name, ""), here)
        if wait is not None:
            return wait
    return _structured(headers.get("ratelimit", "")).get("reset")


def pause_s(headers: Mapping[str, str], now: datetime) -> float:
    """Return for how long an answer that is fine says that the next one would not be, since nothing remains."""
    left = next((headers[name].strip() for name in _REMAINING if name in headers), None)
    if left is None:
        items = _structured(headers.get("ratelimit", ""))
        return items.get("reset", 0.0) if items.get("remaining") == 0 else 0.0
    return (asked_wait_s(headers, now) or 0.0) if left == "0" else 0.0


def _reset(text: str, here: datetime) -> float | None:
    text = text.strip().partition(",")[0].partition(";")[0]
    if not text.replace(".", "", 1).isdigit():
        moment = _date(text)
        return None if moment is None else max(0.0, (moment - here).total_seconds())
    number = float(text)
    if number >= _MILLISECONDS:
        number /= 1000
    return max(0.0, number - here.timestamp()) if number >= _POINT_IN_TIME else number


def _structured(text: str) -> dict[str, float]:
    """Read ``limit=100, remaining=0, reset=5`` and its successor ``"default";r=0;t=5``."""
    names = {"r": "remaining", "t": "reset"}
    return {names.get(name, name): float(value) for name, value in _ITEM.findall(text)}


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
