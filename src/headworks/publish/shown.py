"""What each table of Postgres shows: which version of gold, and a mark by which its rows are known to be ours still.

The mark is how many rows there are, and the sum of the numbers of the transactions that wrote them (``xmin``, made
whole by its epoch). Whoever else writes a row leaves the number of a later transaction, and whoever takes one away
leaves fewer: either changes the mark. It is read by one scan that sorts nothing, and what a publication should make of
it is known beforehand, so the same scan says whether a trigger did more than was asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from psycopg import sql

from headworks.publish.owned import relation_exists
from headworks.sources.sql.connect import Connection

SHOWN = "_headworks_shown"


@dataclass(frozen=True)
class Mark:
    """How many rows a table has, and the sum of the numbers of the transactions that wrote them."""

    rows: int
    written: int


@dataclass(frozen=True)
class Shown:
    """What a table of Postgres shows since its last publication: a version of a table of gold, and its mark then."""

    table_id: int
    gold_id: str
    version: int
    mark: Mark
    compared_at: datetime
    """When all rows were last compared with gold's."""

    def is_due(self, now: datetime, every: timedelta) -> bool:
        """Return whether all rows are to be compared again; also where the clock was set back."""
        return not timedelta(0) <= now - self.compared_at < every

    def followed(self, version: int, mark: Mark) -> Shown:
        """Return what is shown after a publication of what differs."""
        return replace(self, version=version, mark=mark)


def shown_by(connection: Connection, schema: str, name: str) -> Shown | None:
    """Return what is on record of a table; None where nothing is, or where it cannot be read."""
    if not _usable(connection, schema):
        return None
    row = connection.execute(
        sql.SQL(
            "SELECT table_id::bigint, gold_id, version, rows, written, compared_at FROM {} WHERE name = {}"
        ).format(sql.Identifier(schema, SHOWN), sql.Literal(name))
    ).fetchone()
    return None if row is None else Shown(row[0], row[1], row[2], Mark(row[3], int(row[4])), row[5])


def note_shown(connection: Connection, schema: str, name: str, shown: Shown) -> bool:
    """Put on record what a table shows; False where the role may not, and every publication compares all rows."""
    if not relation_exists(connection, schema, SHOWN):
        may = connection.execute("SELECT has_schema_privilege(%s, 'CREATE')", (schema,)).fetchone()
        if may != (True,):
            return False
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, table_id oid NOT NULL, gold_id text NOT NULL,"
                " version bigint NOT NULL, rows bigint NOT NULL, written numeric NOT NULL,"
                " compared_at timestamptz NOT NULL)"
            ).format(sql.Identifier(schema, SHOWN))
        )
    if not _usable(connection, schema):
        return False
    connection.execute(
        sql.SQL(
            "INSERT INTO {} VALUES ({}, {}, {}, {}, {}, {}, {}) ON CONFLICT (name) DO UPDATE SET"
            " table_id = excluded.table_id, gold_id = excluded.gold_id, version = excluded.version,"
            " rows = excluded.rows, written = excluded.written, compared_at = excluded.compared_at"
        ).format(
            sql.Identifier(schema, SHOWN),
            sql.Literal(name),
            sql.Literal(shown.table_id),
            sql.Literal(shown.gold_id),
            sql.Literal(shown.version),
            sql.Literal(shown.mark.rows),
            sql.Literal(shown.mark.written),
            sql.Literal(shown.compared_at),
        )
    )
    return True


def own_number(connection: Connection) -> int:
    """Return the number of this transaction, its epoch included; only once it has one are ages counted from it."""
    row = connection.execute("SELECT txid_current()").fetchone()
    assert row is not None
    return int(row[0])


def now(connection: Connection) -> datetime:
    """Return the moment of the database's clock at which this transaction began."""
    row = connection.execute("SELECT now()").fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


def mark_of(connection: Connection, table: sql.Composable) -> Mark:
    """Return the mark of a table as this transaction sees it."""
    number = own_number(connection)
    row = connection.execute(
        sql.SQL("SELECT count(*), coalesce(sum(age(xmin)), 0) FROM ONLY {}").format(table)
    ).fetchone()
    assert row is not None
    rows, age = int(row[0]), int(row[1])
    return Mark(rows, rows * number - age)


def _usable(connection: Connection, schema: str) -> bool:
    if not relation_exists(connection, schema, SHOWN):
        return False
    may = connection.execute(
        sql.SQL("SELECT has_table_privilege({}, 'SELECT, INSERT, UPDATE, DELETE')").format(
            sql.Literal(sql.Identifier(schema, SHOWN).as_string(connection))
        )
    ).fetchone()
    return may == (True,)
