"""The clock that a cursor without a zone is written by.

A moment without a zone, or a day, is what some clock showed: that of the database's own zone (``now()`` as a default),
of UTC (many applications), or of another place. Where nobody declared which, both of the first two are considered: a
run reads up to the later one, so that no row waits for hours, and the next run looks back to the earlier one, so that
no row is passed by. So is the clock of a place further east, where a table has moments that no other clock shows yet.
A clock that is set back shows an hour twice, and then the rows of that hour are looked back at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headworks.errors import SettingsError

_SET_BACK = timedelta(hours=1)
"""How far a clock of a zone that nobody declared may be set back."""

_NEAR = timedelta(days=2)
# Zones differ from UTC by quarters of an hour.
_QUARTER = timedelta(minutes=15)
_EASTERNMOST = timedelta(hours=14)


@dataclass(frozen=True)
class Clock:
    """The zones whose clock a cursor may be written by; ``declared`` where that is known to be the only one."""

    zones: tuple[tzinfo, ...]
    declared: bool = False

    def latest(self, instant: datetime) -> datetime:
        """Return the latest that any of the clocks shows at an instant."""
        return max(self._shown(instant))

    def earliest(self, instant: datetime) -> datetime:
        """Return the earliest that any of the clocks shows at an instant."""
        return min(self._shown(instant))

    def shifted(self, present: datetime, farthest: datetime | None) -> Clock:
        """Return the clock with the zone that the latest cursor value speaks of, where none of the known ones does.

        A value that no clock on earth shows yet says nothing of a zone.
        """
        if self.declared or farthest is None:
            return self
        ahead = farthest - present.astimezone(UTC).replace(tzinfo=None)
        offset = -(-ahead // _QUARTER) * _QUARTER
        if farthest <= self.latest(present) or offset > _EASTERNMOST:
            return self
        return Clock((*self.zones, timezone(offset)))

    def looks_back(self, last: Any) -> timedelta:
        """Return how far before a value the clocks may show again."""
        if not self.declared:
            return _SET_BACK if isinstance(last, datetime) else timedelta()
        offsets = [offset for zone in self.zones for offset in _offsets(zone, last)]
        return max(offsets) - min(offsets)

    def written(self, moment: datetime) -> datetime:
        """Return an instant as it is written where the clock is declared, else in UTC."""
        zone = self.zones[0] if self.declared else UTC
        return moment.astimezone(zone).replace(tzinfo=None)

    def _shown(self, instant: datetime) -> Iterable[datetime]:
        return [instant.astimezone(zone).replace(tzinfo=None) for zone in self.zones]


def zone_of(name: str) -> ZoneInfo:
    """Return the zone of a declared name; raises `SettingsError` for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise SettingsError(
            f"There is no time zone {name!r}.",
            where="cursor_zone",
            do="write it as in the time zone database, such as UTC or Europe/Berlin.",
        ) from problem


def clock_of(declared: str | None, own: str = "", offset: timedelta | None = None) -> Clock:
    """Return the clock of a cursor: as it is declared, else that of UTC and of the database's own zone.

    The latter is known by its name ``own``, or by its present ``offset`` from UTC alone.
    """
    if declared is not None:
        return Clock((zone_of(declared),), declared=True)
    zones: list[tzinfo] = [UTC]
    try:
        zones.append(ZoneInfo(own) if own else UTC)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zones.append(timezone(offset or timedelta()))
    if not own and offset:
        zones.append(timezone(offset))
    return Clock(tuple(dict.fromkeys(zones)))


def _offsets(zone: tzinfo, shown: date) -> list[timedelta]:
    """Return the offsets from UTC that a zone has around the time when its clock shows a value."""
    middle = datetime(shown.year, shown.month, shown.day)
    earliest, latest = datetime.min + _NEAR, datetime.max - _NEAR
    around = [min(max(middle + step, earliest), latest) for step in (-_NEAR, timedelta(), _NEAR)]
    return [moment.replace(tzinfo=zone).utcoffset() or timedelta() for moment in around]
