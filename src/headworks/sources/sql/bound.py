"""How far a run may read, so that what commits late is never passed by.

A row's cursor is set before its transaction commits. So a run that reads up to the present skips the rows of
transactions that are still running, for ever. Timestamps are bounded by the present less the commit lag, and by the
beginning of the oldest transaction that runs: none that runs now can write a row with an earlier ``now()``. Whole
numbers, which a sequence gives out, have no such relation to time: there the transactions that write to the table in
this moment are waited for, and what was the largest number before that wait is the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import sql

from headworks.errors import SourceUnavailable
from headworks.ports import Sleep, system_sleep
from headworks.sources.sql.clocks import Clock
from headworks.sources.sql.connect import Connection

APPLICATION = "headworks reads"
"""What the name of each reading connection begins with; those write nothing and hold nobody back."""

TIMESTAMPS = {"timestamptz", "timestamp"}
WHOLE_NUMBERS = {"int2", "int4", "int8"}
CURSORS = TIMESTAMPS | WHOLE_NUMBERS | {"date"}

_POLL_S = 0.05
_NOTED = timedelta(seconds=60)

_PRESENT = """
SELECT clock_timestamp(), pg_is_in_recovery(),
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
         OR NOT EXISTS (SELECT FROM pg_stat_activity
                        WHERE datname = current_database() AND usename <> current_user),
       (SELECT min(xact_start) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND backend_type NOT IN ('autovacuum worker', 'walsender', 'parallel worker')
          AND NOT application_name LIKE %s),
       (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database())
"""
# Those who hold a lock that a writer takes, on any table that the query of our own transaction touches.
_WRITERS = """
SELECT l.pid, l.virtualtransaction FROM pg_locks l
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
  AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation IN (SELECT relation FROM pg_locks WHERE locktype = 'relation' AND pid = pg_backend_pid())
"""


@dataclass(frozen=True)
class Bound:
    """The upper end of a run: a value of the cursor, and what there is to say about it.

    ``floor`` is the value from which on rows may still come, where that lies before the end, since the cursor's clock
    is not known. ``present`` is the latest that the clock shows now; None for whole numbers.
    """

    value: str | None
    inclusive: bool
    notice: str = ""
    floor: date | None = None
    present: date | None = None

    def condition(self, cursor: sql.Identifier, sql_type: sql.SQL) -> sql.Composable:
        """Return the condition on the cursor; nothing is below a bound without a value."""
        if self.value is None:
            return sql.SQL("false")
        operator = sql.SQL("<=" if self.inclusive else "<")
        return sql.SQL("{} {} {}::{}").format(cursor, operator, sql.Literal(self.value), sql_type)


def upper_bound(
    connection: Connection,
    relation: sql.Composable,
    cursor: str,
    cursor_type: str,
    lag_s: float,
    *,
    where: str,
    clock: Clock | None = None,
    sleep: Sleep = system_sleep,
) -> Bound:
    """Return how far the cursor may be read in a snapshot that is taken after this call.

    ``clock`` is that of a cursor without a zone. Raises `SourceUnavailable` where a transaction continues writing to a
    table whose cursor is a whole number.
    """
    if cursor_type in WHOLE_NUMBERS:
        return _of_numbers(connection, relation, cursor, lag_s, where, sleep)
    row = connection.execute(_PRESENT, (f"{APPLICATION}%",)).fetchone()
    connection.commit()
    assert row is not None, "an aggregate has a row"
    if clock is not None and not clock.declared and cursor_type == "timestamp":
        clock = clock.shifted(row[0], _farthest(connection, relation, cursor, clock.latest(row[0])))
    instant, notice = _instant(row, timedelta(seconds=lag_s))
    return bound_at(instant, row[0], clock, is_date=cursor_type == "date", notice=notice)


def _farthest(
    connection: Connection, relation: sql.Composable, cursor: str, present: datetime
) -> datetime | None:
    """Return the latest cursor value after the present, within the days in which some place on earth may be."""
    column = sql.Identifier(cursor)
    found = connection.execute(
        sql.SQL("SELECT max({0}) FROM {1} WHERE {0} > %s::timestamp AND {0} < %s::timestamp").format(
            column, relation
        ),
        (present, present + timedelta(days=1)),
    ).fetchone()
    connection.commit()
    return found[0] if found else None


def bound_at(
    instant: datetime, present: datetime, clock: Clock | None, *, is_date: bool, notice: str = ""
) -> Bound:
    """Return the bound that an instant is, by the clock that the cursor is written by; without one, by its zone."""
    if clock is None:
        return Bound(instant.isoformat(), inclusive=False, notice=notice, present=present)
    ends: list[date] = [clock.latest(instant), clock.earliest(instant), clock.latest(present)]
    if is_date:
        ends = [end.date() for end in ends if isinstance(end, datetime)]
    latest, earliest, shown = ends
    floor = earliest if earliest != latest else None
    return Bound(latest.isoformat(), inclusive=is_date, notice=notice, floor=floor, present=shown)


def _instant(row: tuple[Any, ...], lag: timedelta) -> tuple[datetime, str]:
    """Return the instant before which nothing can still commit, and what there is to say about it."""
    present, is_standby, sees_all, oldest, prepared = row
    lagging: datetime = present - lag
    candidates = [lagging]
    notice = ""
    if is_standby or not sees_all:
        why = (
            "a standby does not show"
            if is_standby
            else "the user is not a member of pg_read_all_stats to see"
        )
        notice = f"bounded by the commit lag alone, since {why} the transactions that run"
    if oldest is not None:
        candidates.append(oldest)
    if prepared is not None:
        # When it began is not kept anywhere: it was before it was prepared.
        candidates.append(prepared - lag)
    bound = min(candidates)
    if lagging - bound > _NOTED:
        notice = f"read up to {bound.isoformat()}, since a transaction has been running from then on"
    return bound, notice


def _of_numbers(
    connection: Connection, relation: sql.Composable, cursor: str, lag_s: float, where: str, sleep: Sleep
) -> Bound:
    largest = connection.execute(
        sql.SQL("SELECT max({})::text FROM {}").format(sql.Identifier(cursor), relation)
    ).fetchone()
    writers = set(connection.execute(_WRITERS).fetchall())
    waited = 0.0
    while writers:
        if waited > max(lag_s, 1.0):
            pids = ", ".join(sorted(str(pid) for pid, _ in writers))
            raise SourceUnavailable(
                f"The sessions {pids} have been writing for longer than the commit lag, so it is not known which "
                "numbers are still to come.",
                where=where,
                do="let them finish, or set a longer commit lag.",
            )
        sleep(_POLL_S)
        waited += _POLL_S
        writers &= set(connection.execute(_WRITERS).fetchall())
    connection.rollback()
    return Bound(None if largest is None else largest[0], inclusive=True)
