"""How long to wait before asking again: what the API says, else exponential backoff with full jitter.

Whatever a header holds, reading it raises nothing and asks for no more than `LONGEST_S`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 7 * 86_400.0
"""The longest wait that is believed: what asks for more is a moment of another clock, or wrong."""

_RESETS = ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset")
_REMAINING = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")
_POINT_IN_TIME = 1_000_000_000
_MILLISECONDS = 1_000_000_000_000
_MICROSECONDS = 1_000_000_000_000_000
_NUMBER = re.compile(r"\+?([0-9]{1,30}(?:\.[0-9]*)?)", re.ASCII)
_SPAN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h|d)[a-z]*\.?", re.ASCII | re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MEMBER = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+')
_PARAMETER = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^";])+')
_LONGEST_HEADER = 8192


def backoff_s(first_s: float, attempt: int, chance: float) -> float:
    """Return the wait after an attempt: between nothing and twice as much as after the one before it, by chance."""
    return float(first_s * 2 ** (attempt - 1) * chance)


def asked_wait_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how long the API asks not to be asked again, in seconds; None where it says nothing.

    ``Retry-After`` goes first, then the headers that say when a limit is reset; of several limits the one that lasts
    longest among those that are used up. A date counts from the answer's own Date, so that a clock that goes wrong on
    either side does no harm. Header names are lower-case.
    """
    clocks = _Clocks(now, _date(headers.get("date", "")) or now)
    milliseconds = _span(f"{headers.get('retry-after-ms', '').strip()} ms")
    if milliseconds is not None:
        return min(milliseconds, LONGEST_S)
    wait = _wait(headers.get("retry-after", ""), clocks)
    if wait is not None:
        return wait
    return _limited_s(headers, clocks)


def pause_s(headers: Mapping[str, str], now: datetime) -> float:
    """Return for how long an answer that is fine says that the next one would not be, since nothing remains."""
    if not any(name in headers for name in (*_REMAINING, "ratelimit")):
        return 0.0
    used = [limit for limit in _limits(headers) if limit.remaining == 0]
    if not used:
        return 0.0
    clocks = _Clocks(now, _date(headers.get("date", "")) or now)
    waits = [wait for limit in used if (wait := _wait(limit.reset, clocks)) is not None]
    return max(waits, default=_wait(headers.get("retry-after", ""), clocks) or 0.0)


@dataclass(frozen=True)
class _Clocks:
    """Our clock, and the API's as its answer has it."""

    ours: datetime
    theirs: datetime

    def until(self, moment: datetime) -> float | None:
        """Return how far away a moment is, by their clock unless that makes no sense."""
        try:
            waits = [(moment - here).total_seconds() for here in (self.theirs, self.ours)]
        except OverflowError:
            return None
        return max(0.0, min(waits[0] if waits[0] <= LONGEST_S else waits[1], LONGEST_S))


@dataclass(frozen=True)
class _Limit:
    """One of an API's limits: what remains of it, and when it is reset as that was written."""

    remaining: int | None
    reset: str


def _limited_s(headers: Mapping[str, str], clocks: _Clocks) -> float | None:
    limits = list(_limits(headers))
    used = [limit for limit in limits if limit.remaining == 0]
    if not used:
        # Refused although something remains of each: it is the one of which least is left.
        least = min((limit.remaining for limit in limits if limit.remaining is not None), default=None)
        used = [limit for limit in limits if limit.remaining == least]
    waits = [wait for limit in used if (wait := _wait(limit.reset, clocks)) is not None]
    return max(waits, default=None)


def _limits(headers: Mapping[str, str]) -> Iterator[_Limit]:
    """Yield the limits that an answer gives, in all ways in which that is written."""
    left = _listed(next((headers[name] for name in _REMAINING if name in headers), ""))
    reset = next((headers[name] for name in _RESETS if name in headers), "")
    resets = [reset] if _date(reset.strip()) else _listed(reset)
    if len(left) == len(resets):
        yield from (_Limit(_whole(one), other) for one, other in zip(left, resets, strict=True))
    else:
        remaining = min((number for one in left if (number := _whole(one)) is not None), default=None)
        yield from (_Limit(remaining, other) for other in resets or ([""] if left else []))
    yield from _structured(headers.get("ratelimit", ""))


def _structured(text: str) -> Iterator[_Limit]:
    """Read ``limit=100, remaining=0, reset=5`` and its successor, a list of ``"name";r=0;t=5``."""
    flat: dict[str, str] = {}
    for member in _MEMBER.findall(text[:_LONGEST_HEADER]):
        parts = [part.strip().partition("=") for part in _PARAMETER.findall(member)]
        named = {name.strip().lower(): value.strip().strip('"') for name, equals, value in parts if equals}
        if "t" in named or "r" in named:
            yield _Limit(_whole(named.get("r", "")), named.get("t", ""))
        else:
            flat |= named
    if "reset" in flat or "remaining" in flat:
        yield _Limit(_whole(flat.get("remaining", "")), flat.get("reset", ""))


def _listed(text: str) -> list[str]:
    """Return the values of a header that came once for each of several limits, without their parameters."""
    values = (member.partition(";")[0].strip() for member in text[:_LONGEST_HEADER].split(","))
    return [value for value in values if value]


def _wait(text: str, clocks: _Clocks) -> float | None:
    """Read a number of seconds, a moment, or a span; of several the longest. None for what is none of these."""
    text = text.strip()[:_LONGEST_HEADER]
    if not text:
        return None
    moment = _date(text)
    if moment is not None:
        return clocks.until(moment)
    if "," in text:
        waits = [wait for one in _listed(text) if (wait := _wait(one, clocks)) is not None]
        return max(waits, default=None)
    text = text.partition(";")[0].strip()
    found = _NUMBER.fullmatch(text)
    return _span(text) if found is None else _seconds(float(found[1]), clocks)


def _seconds(number: float, clocks: _Clocks) -> float | None:
    """Return how long a number asks to wait: one that is so large is a moment since 1970."""
    if number < _POINT_IN_TIME:
        return min(number, LONGEST_S)
    for unit, factor in ((_MICROSECONDS, 1e6), (_MILLISECONDS, 1e3), (_POINT_IN_TIME, 1.0)):
        if number >= unit:
            try:
                return clocks.until(datetime.fromtimestamp(number / factor, UTC))
            except (ValueError, OverflowError, OSError):
                return None
    return None


def _span(text: str) -> float | None:
    found = _SPAN.fullmatch(text.strip())
    return None if found is None else min(float(found[1]) * _SECONDS[found[2].lower()], LONGEST_S)


def _whole(text: str) -> int | None:
    found = _NUMBER.fullmatch(text.strip())
    return None if found is None else int(float(found[1]))


def _date(text: str) -> datetime | None:
    """Read a moment in one of the ways in which headers have it, None where it is none."""
    text = text.strip()
    if not text or _NUMBER.fullmatch(text):
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (TypeError, ValueError, OverflowError, IndexError):
            continue
    return None
