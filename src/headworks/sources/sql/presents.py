"""The present of databases without a reader of their own: by their clock, and by the transactions that run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

_MYSQL = "SELECT UTC_TIMESTAMP(6), CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@GLOBAL.time_zone)"
_SQLITE = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), strftime('%Y-%m-%d %H:%M:%f', 'now', 'localtime')"
_BOTH = {"mysql": _MYSQL, "mariadb": _MYSQL, "sqlite": _SQLITE}
_FROM = {"oracle": " FROM DUAL"}
# Zones differ from UTC by quarters of an hour.
_QUARTER = timedelta(minutes=15)
_NO_PRIVILEGE = {1142, 1227}


# Who only reads holds no lock. The server writes when a transaction began by the clock of its machine.
_WRITERS = (
    "SELECT CONVERT_TZ(MIN(trx_started), 'SYSTEM', '+00:00') FROM information_schema.INNODB_TRX "
    "WHERE trx_mysql_thread_id <> CONNECTION_ID() "
    "AND (trx_tables_locked > 0 OR trx_rows_locked > 0 OR trx_rows_modified > 0)"
)
_UNSEEN = "bounded by the commit lag alone, since the user has no PROCESS privilege to see the transactions that run"
_NOTED = timedelta(seconds=60)


@dataclass(frozen=True)
class Present:
    """An instant, and how far the clock of the server's zone is from UTC then."""

    instant: datetime
    offset: timedelta


def settled(connection: Connection, present: datetime, lag: timedelta) -> tuple[datetime, str]:
    """Return the instant before which nothing should still commit, and what there is to say about it.

    Transactions that write are seen in MySQL and MariaDB, by who has the PROCESS privilege; elsewhere the commit lag
    alone bounds.
    """
    lagging = present - lag
    if connection.dialect.name not in {"mysql", "mariadb"}:
        return lagging, ""
    try:
        found = connection.exec_driver_sql(_WRITERS).scalar()
    except DBAPIError as problem:
        if getattr(problem.orig, "args", (0,))[0] not in _NO_PRIVILEGE:
            raise
        return lagging, _UNSEEN
    oldest = None if found is None else _moment(found).replace(tzinfo=UTC)
    if oldest is None or oldest >= lagging:
        return lagging, ""
    notice = f"read up to {oldest.isoformat()}, since a transaction has been running from then on"
    return oldest, notice if lagging - oldest > _NOTED else ""


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
