"""The present by a database's own clock, for databases without a reader of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

_MYSQL = "SELECT UTC_TIMESTAMP(6), CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@GLOBAL.time_zone)"
_SQLITE = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), strftime('%Y-%m-%d %H:%M:%f', 'now', 'localtime')"
_BOTH = {"mysql": _MYSQL, "mariadb": _MYSQL, "sqlite": _SQLITE}
_FROM = {"oracle": " FROM DUAL"}
# Zones differ from UTC by quarters of an hour.
_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Present:
    """An instant, and how far the clock of the server's zone is from UTC then."""

    instant: datetime
    offset: timedelta


def present_of(connection: Connection) -> Present:
    """Return the database's present."""
    name = connection.dialect.name
    if name in _BOTH:
        # The percent signs are the statement's own, not places for values.
        utc, local = (_moment(value) for value in connection.exec_driver_sql(_BOTH[name]).one())
        return Present(utc.replace(tzinfo=UTC), _rounded(local - utc))
    shown = _moment(connection.exec_driver_sql(f"SELECT CURRENT_TIMESTAMP{_FROM.get(name, '')}").scalar_one())
    if shown.tzinfo is not None:
        return Present(shown.astimezone(UTC), shown.utcoffset() or timedelta())
    # What the server shows is of a zone that it does not say: that is told by our own clock.
    offset = _rounded(shown - datetime.now(UTC).replace(tzinfo=None))
    return Present((shown - offset).replace(tzinfo=UTC), offset)


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _rounded(offset: timedelta) -> timedelta:
    return round(offset / _QUARTER) * _QUARTER
