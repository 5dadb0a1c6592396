"""Values of an incremental cursor: read from records, compared, and written as a parameter.

A moment is a whole number of microseconds since 1970, rounded down where the API is finer, so that the next
reading begins a little early and never late. Numbers and texts stay what they are.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

from headworks.sources.api.resource import Format, Incremental

Value = int | Decimal | str
"""A value of a cursor: microseconds of a moment, a number, or a text."""

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZONED = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*(UTC|GMT|Z|UTC?[+-]00:?00|[+-]\d\d:?\d\d)", re.I
)
_DOTNET = re.compile(r"\\?/Date\((-?\d{1,15})(?:[+-]\d{4})?\)\\?/")
_NUMBER = re.compile(r"\d{9,19}(?:\.\d+)?")
_LEAST_SECONDS = 100_000_000
_UNITS: dict[str, int] = {"iso": 1, "date": 86_400 * SECOND, "epoch": SECOND, "epoch_ms": 1000}
_UNITS |= {"iso_s": SECOND, "iso_ms": 1000, "epoch_us": 1, "dotnet": 1000}


def moment_us(moment: datetime) -> int:
    """Return a moment as microseconds since 1970; without a zone it counts as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


class Values:
    """Reads and writes the values of one resource's cursor."""

    def __init__(self, incremental: Incremental) -> None:
        self._spec = incremental
        self._out: Format = incremental.parameter_format or incremental.format

    def read(self, value: Any) -> Value | None:
        """Return a record's value, or None where it is none of the format."""
        if value is None or isinstance(value, (bool, list, dict)):
            return None
        try:
            return self._read(self._spec.format, value)
        except (ValueError, InvalidOperation, OverflowError):
            return None

    def start(self) -> Value | None:
        """Return the value that the very first reading begins with, None where there is none or it is no moment."""
        if self._spec.start is None or not self._spec.is_moment:
            return None
        for kind in (self._out, self._spec.format):
            try:
                return self._read(kind, self._spec.start)
            except (ValueError, InvalidOperation, OverflowError):
                continue
        return None

    def since(self, value: Value, *, within: bool = False) -> str:
        """Write the first value to read, one unit before it where the API would leave it out.

        ``within``: it is inside of what a pass reads, and not its beginning, from where the lookback goes back.
        """
        if isinstance(value, int):
            back = 0 if within else round(self._spec.lookback_s * SECOND)
            if not self._spec.inclusive and not back:
                back = self._unit()
            return self._spec.template.format(self._written(value - back))
        return self._spec.template.format(value)

    def first_us(self, value: int) -> int:
        """Return the moment that the parameter really names for a value: the lookback before it, in whole units."""
        back = round(self._spec.lookback_s * SECOND)
        unit = self._unit()
        if not self._spec.inclusive and not back:
            back = unit
        return (value - back) // unit * unit

    def above(self, value: int) -> int:
        """Return the beginning of the first unit of the parameter after a moment."""
        return self.within(value) + self._unit()

    def within(self, value: int) -> int:
        """Return the beginning of the unit of the parameter that a moment is in."""
        unit = self._unit()
        return value // unit * unit

    def until(self, end_us: int) -> str:
        """Write the end, exclusive, as the API takes it: rounded so that nothing before it is left out."""
        unit = self._unit()
        if self._spec.until_inclusive:
            return self._written((end_us - 1) // unit * unit)
        return self._written(-(-end_us // unit) * unit)

    def _unit(self) -> int:
        """Return the smallest step of the parameter's format, in microseconds."""
        if self._out != "own":
            return _UNITS[self._out]
        pattern = self._spec.pattern
        if "%f" in pattern:
            return 1
        return SECOND if "%S" in pattern or "%s" in pattern or "%T" in pattern else _UNITS["date"]

    def _read(self, kind: Format, value: Any) -> Value:
        if kind in ("iso", "date", "iso_s", "iso_ms", "dotnet"):
            return moment_us(_moment(str(value).strip()))
        if kind == "own":
            return moment_us(datetime.strptime(str(value), self._spec.pattern))
        if kind == "text":
            return str(value)
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError(value)
        if kind == "number":
            return number
        return int((number * _UNITS[kind]).to_integral_value("ROUND_FLOOR"))

    def _written(self, us: int) -> str:
        if self._out in ("epoch", "epoch_ms", "epoch_us"):
            return str(us // _UNITS[self._out])
        if self._out == "dotnet":
            return f"/Date({us // 1000})/"
        moment = _EPOCH + timedelta(microseconds=us)
        if self._out == "date":
            return moment.date().isoformat()
        if self._out == "own":
            return moment.strftime(self._spec.pattern)
        precision = {"iso_s": "seconds", "iso_ms": "milliseconds"}.get(self._out, "auto")
        return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _moment(text: str) -> datetime:
    """Read a moment in the ways in which APIs write them that call it ISO; raises ValueError for any other."""
    for read in (datetime.fromisoformat, _with_zone, _dotnet, _seconds, parsedate_to_datetime):
        try:
            return read(text)
        except (ValueError, TypeError, IndexError, OverflowError, OSError):
            continue
    raise ValueError(f"{text!r} is no moment")


def _with_zone(text: str) -> datetime:
    """Read ``2026-01-01 00:00:01 UTC`` and its like."""
    found = _ZONED.fullmatch(text)
    if found is None:
        raise ValueError(text)
    zone = found[2] if found[2] and found[2][0] in "+-" else ""
    return datetime.fromisoformat(found[1].strip().replace(" T ", "T") + (zone or "+00:00"))


def _dotnet(text: str) -> datetime:
    """Read ``/Date(1767225600000+0100)/``, whose offset says nothing about the moment."""
    found = _DOTNET.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return _EPOCH + timedelta(milliseconds=int(found[1]))


def _seconds(text: str) -> datetime:
    """Read a number of seconds or milliseconds since 1970, which no date can be taken for."""
    number = Decimal(text) if _NUMBER.fullmatch(text) else Decimal(0)
    if number < _LEAST_SECONDS:
        raise ValueError(text)
    while number >= _LEAST_SECONDS * 1000:
        number /= 1000
    return _EPOCH + timedelta(microseconds=int(number * SECOND))


def kept(value: Value | None) -> int | str | list[str] | None:
    """Return a value as JSON; a number as a list of its text, so that it is distinguished from a text."""
    return [str(value)] if isinstance(value, Decimal) else value


def restored(value: Any) -> Value | None:
    """Return a value that was kept as JSON."""
    if isinstance(value, list):
        return Decimal(value[0])
    return value if isinstance(value, (int, str)) else None
