"""The present of databases without a reader of their own: by their clock, and by the transactions that run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

_MYSQL = "SELECT UTC_TIMESTAMP(6), CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@GLOBAL.time_zone)"
_SQLITE = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), strftime('%Y-%m-%d %H:%M:%f', 'now', 'localtime')"
_BOTH = {"mysql": _MYSQL, "mariadb": _MYSQL, "sqlite": _SQLITE}
_FROM = {"oracle": " FROM DUAL"}
# Zones differ from UTC by quarters of an hour.
_QUARTER = timedelta(minutes=15)
_NO_PRIVILEGE = {1142, 1227}


# Who only reads holds no lock. The server writes when a transaction began by the clock of its machine. It hands out a
# copy of its list, and makes a new one only when nobody has read it for a tenth of a second (seen on MariaDB 10.11: a
# writer was hidden for as long as somebody looked every 30 ms). The copy is of now if it knows this very statement.
_WRITERS = (
    "SELECT /* {mark} */ MAX(LOCATE('{mark}', COALESCE(trx_query, '')) > 0 AND trx_mysql_thread_id = CONNECTION_ID()), "
    "CONVERT_TZ(MIN(CASE WHEN trx_mysql_thread_id <> CONNECTION_ID() "
    "AND (trx_tables_locked > 0 OR trx_rows_locked > 0 OR trx_rows_modified > 0) THEN trx_started END), "
    "'SYSTEM', '+00:00') FROM information_schema.INNODB_TRX"
)
_WAITS_S = (0.0, 0.11, 0.13, 0.17, 0.29, 0.53, 1.1)
"""Seconds to keep away from the list before each look at it: uneven, so that several readers get out of step."""

_UNSEEN = "bounded by the commit lag alone, since the user has no PROCESS privilege to see the transactions that run"
_STALE = (
    "bounded by the commit lag alone, since the server's list of transactions (INNODB_TRX) was never renewed: "
    "something reads it more than ten times a second"
)
_NOT_SHOWN = (
    "bounded by the commit lag alone, since the transactions that run are not looked at in this kind of database: what "
    "commits later than that is found by the next full read or comparison of keys"
)
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
        return lagging, _NOT_SHOWN
    try:
        is_fresh, found = _writers(connection)
    except DBAPIError as problem:
        if getattr(problem.orig, "args", (0,))[0] not in _NO_PRIVILEGE:
            raise
        return lagging, _UNSEEN
    if not is_fresh:
        return lagging, _STALE
    oldest = None if found is None else _moment(found).replace(tzinfo=UTC)
    if oldest is None or oldest >= lagging:
        return lagging, ""
    notice = f"read up to {oldest.isoformat()}, since a transaction has been running from then on"
    return oldest, notice if lagging - oldest > _NOTED else ""


def _writers(connection: Connection) -> tuple[bool, Any]:
    """Return whether the server's list of transactions is one of now, and when its oldest writer began."""
    # Only who has a transaction is in the list. It ends before the first row is read, which begins a snapshot of
    # its own: what commits between the look and that snapshot is in the snapshot.
    connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    try:
        for wait_s in _WAITS_S:
            connection.exec_driver_sql(f"DO SLEEP({wait_s})")
            found = connection.exec_driver_sql(_WRITERS.format(mark=f"look {uuid4().hex}")).one()
            if found[0]:
                return True, found[1]
        return False, None
    finally:
        connection.exec_driver_sql("ROLLBACK")


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
    # What the server shows is of a zone that it does not say: that is known from our own clock.
    offset = _rounded(shown - datetime.now(UTC).replace(tzinfo=None))
    return Present((shown - offset).replace(tzinfo=UTC), offset)


def _moment(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _rounded(offset: timedelta) -> timedelta:
    return round(offset / _QUARTER) * _QUARTER
