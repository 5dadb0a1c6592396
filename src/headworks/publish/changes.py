"""What differs between the version of gold that a table shows and the next one, and writing just that.

The rows are found in the lake and not in the database, so what is written is small where little changed. That the
table is what the record says is asked of the table itself, by its mark (``shown.py``), once everything is written:
where that is not what was worked out, somebody else wrote to the table, or a trigger did more than was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl
from psycopg import sql

from headworks.errors import LakeUnusable
from headworks.gold.differences import Differences, NotKnown, differences
from headworks.publish.copying import copy_text
from headworks.publish.shown import Mark, Shown, mark_of, own_number
from headworks.publish.tables import PublishedTable
from headworks.sources.sql.connect import Connection
from headworks.storage.delta import Table
from headworks.storage.groups import batches, shared_groups
from headworks.storage.store import Lake
from headworks.storage.translating import reading

_GONE, _CAME = (sql.Identifier("pg_temp", name) for name in ("headworks_gone", "headworks_came"))


@dataclass(frozen=True)
class Change:
    """What a publication has to write, by what is on record; None where that is not known, and why."""

    shown: Shown | None = None
    differences: Differences | None = None
    why: str = ""


@dataclass(frozen=True)
class Applied:
    """How many rows were written and removed, and the mark of the table; no mark where it is not as it should be."""

    inserted: int = 0
    removed: int = 0
    mark: Mark | None = None
    why: str = ""


def changes_of(lake: Lake, shown: Shown | None, gold: Table, table: PublishedTable, now: datetime) -> Change:
    """Compare the version of gold that a table shows with another one."""
    if shown is None:
        return Change(why="what it shows is not on record")
    if shown.is_due(now, table.verify_every):
        return Change(shown, why="it is time to compare them")
    if shown.gold_id != gold.id:
        return Change(shown, why="gold's table was made again")
    try:
        with reading(gold.name):
            before = lake.open("gold", table.dataset, shown.version)
            if before is None or before.id != gold.id or before.schema != gold.schema:
                return Change(shown, why="gold's columns are others")
            if before.version == gold.version:
                none = gold.schema.to_frame()
                return Change(shown, Differences(none.select(table.key), none, gold.row_count()))
            shared = shared_groups(before, gold)
            found = differences(batches(before, shared), batches(gold, shared), gold.schema, table.key)
            return Change(shown, replace(found, rows=gold.row_count()))
    except NotKnown as problem:
        return Change(shown, why=str(problem))
    except LakeUnusable:
        # Care for the lake lets versions go that nothing names any more.
        return Change(shown, why=f"version {shown.version} of gold is gone")


def copy_into(
    connection: Connection, table: sql.Composable, columns: Sequence[str], frames: Iterable[pl.DataFrame]
) -> None:
    """Send rows by COPY."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)) as copy:
        for frame in frames:
            copy.write(copy_text(frame))


def apply_change(
    connection: Connection, target: sql.Composable, key: Sequence[str], change: Differences, before: Mark
) -> Applied:
    """Delete the rows that are gone or differ, insert those that came, and see whether the table is as it should be.

    ``before`` is the table's mark on record. Where anything is not as it should be nothing is said of the table, and
    all its rows have to be compared.
    """
    number = own_number(connection)
    removed, ages = _remove(connection, target, key, change.gone)
    taken_away = Mark(removed, removed * number - ages)
    if removed != change.gone.height:
        return Applied(0, removed, why="rows that it showed are not there")
    inserted = _insert(connection, target, key, change.came)
    if inserted != change.came.height:
        return Applied(max(inserted, 0), removed, why="rows are not in it as they were written")
    expected = Mark(
        before.rows - taken_away.rows + inserted, before.written - taken_away.written + inserted * number
    )
    if expected.rows != change.rows or mark_of(connection, target) != expected:
        return Applied(inserted, removed, why="somebody else wrote to it")
    return Applied(inserted, removed, expected)


def _remove(
    connection: Connection, target: sql.Composable, key: Sequence[str], gone: pl.DataFrame
) -> tuple[int, int]:
    """Delete rows by their keys; return how many there were, and the sum of their ages."""
    if gone.is_empty():
        return 0, 0
    _stage(connection, target, _GONE, gone)
    row = connection.execute(
        sql.SQL(
            "WITH removed AS (DELETE FROM {} AS there USING {} AS gone WHERE {} RETURNING age(there.xmin) AS age)"
            " SELECT count(*), coalesce(sum(age), 0) FROM removed"
        ).format(target, _GONE, _same_key(key, "gone"))
    ).fetchone()
    connection.execute(sql.SQL("DROP TABLE {}").format(_GONE))
    assert row is not None
    return int(row[0]), int(row[1])


def _insert(connection: Connection, target: sql.Composable, key: Sequence[str], came: pl.DataFrame) -> int:
    """Insert rows, and return how many are there then just as they were given; -1 where a key is there already."""
    if came.is_empty():
        return 0
    _stage(connection, target, _CAME, came)
    parts = {
        "target": target,
        "came": _CAME,
        "columns": sql.SQL(", ").join(sql.Identifier(name) for name in came.columns),
        "theirs": sql.SQL(", ").join(sql.Identifier("there", name) for name in came.columns),
        "same": _same_key(key, "came"),
    }
    found = -1
    if not _count(connection, "SELECT count(*) FROM {target} AS there, {came} AS came WHERE {same}", parts):
        connection.execute(
            sql.SQL("INSERT INTO {target} ({columns}) SELECT {columns} FROM {came}").format(**parts)
        )
        found = _count(
            connection,
            "SELECT count(*) FROM (SELECT {columns} FROM {came} INTERSECT"
            " SELECT {theirs} FROM {target} AS there, {came} AS came WHERE {same}) AS found",
            parts,
        )
    connection.execute(sql.SQL("DROP TABLE {}").format(_CAME))
    return found


def _stage(connection: Connection, target: sql.Composable, name: sql.Identifier, rows: pl.DataFrame) -> None:
    """Put rows into a table of this transaction, in the types of the one that they are for."""
    columns = sql.SQL(", ").join(sql.Identifier(column) for column in rows.columns)
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            name, columns, target
        )
    )
    copy_into(connection, name, rows.columns, [rows])
    # Else it is taken for a table of any size, and the whole target is read to find a few rows.
    connection.execute(sql.SQL("ANALYZE {}").format(name))


def _same_key(key: Sequence[str], other: str) -> sql.Composable:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("there", name), sql.Identifier(other, name)) for name in key
    )


def _count(connection: Connection, query: str, parts: dict[str, sql.Composable]) -> int:
    row = connection.execute(sql.SQL(query).format(**parts)).fetchone()
    return int(row[0]) if row else 0
