"""A Postgres table as a source: incremental by a cursor column, or whole.

A batch's position is the last cursor value together with marks of the rows that hold it, so that the next read begins
with that value inclusively and leaves out what is there already: rows that share a timestamp are neither lost nor
doubled, and no primary key is needed.

What belongs here: the reading of one table. What does not: connections (``connect.py``), types (``columns.py``).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl
from psycopg import sql

from headworks.errors import SettingsError, SourceMissing
from headworks.names import Window
from headworks.settings import DatabaseSettings
from headworks.sources.base import Batch, Position
from headworks.sources.sql.columns import Column, describe_columns
from headworks.sources.sql.connect import connected

_TIMESTAMPS = {"timestamptz", "timestamp"}
_CURSORS = _TIMESTAMPS | {"date", "int2", "int4", "int8"}

Fetch = Callable[[int], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class PostgresTable:
    """One table of a Postgres database, read in order of its cursor column.

    ``cursor`` None reads the whole table each time. ``lag_s`` keeps a distance in seconds from the database's present,
    so that rows which commit a little late are not passed by; it applies to timestamps without ``window``.
    ``whole`` ignores positions and the lag, for full reads, and is implied without a cursor: then each reading
    needs a stream of its own. ``batch_rows`` bounds the memory.
    """

    database: DatabaseSettings
    schema_name: str
    table: str
    cursor: str | None = None
    lag_s: float = 5.0
    window: Window | None = None
    whole: bool = False
    batch_rows: int = 50_000
    application: str = field(default="headworks")

    @cached_property
    def columns(self) -> list[Column]:
        """The table's columns, asked of the database once."""
        with connected(self.database, application=self.application, read_only=True) as connection:
            columns = describe_columns(connection, self._name)
        if self.cursor is not None:
            self._check_cursor(columns)
        return columns

    @property
    def schema(self) -> pl.Schema:
        """The columns of every batch's frame."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield batches in order of the cursor, from one snapshot of the database."""
        if position is not None and position.get("done"):
            return
        start = None if self.whole else position
        with (
            connected(self.database, application=self.application, read_only=True) as connection,
            connection.cursor(name="headworks_read") as rows,
        ):
            rows.itersize = self.batch_rows
            rows.execute(*self._query(start, until))
            yield from self._batches(rows.fetchmany, start)

    def _batches(self, fetch: Fetch, start: Position | None) -> Iterator[Batch]:
        position: Position = start or {}
        seen: Counter[str] = Counter(position.get("seen", ()))
        boundary = position.get("cursor")
        while rows := fetch(self.batch_rows):
            fresh = self._unseen(rows, boundary, seen)
            last = self._last_cursor(rows)
            if last is not None:
                position = self._position_after(fresh, last, position)
            frame = pl.DataFrame(fresh, schema=self.schema, orient="row")
            yield Batch(frame, position, read=len(rows), repeated=len(rows) - len(fresh))
        if self.window is not None or self.whole or self.cursor is None:
            yield Batch(pl.DataFrame(schema=self.schema), {**position, "done": True}, read=0)

    def _query(self, start: Position | None, until: datetime | None) -> tuple[sql.Composed, list[Any]]:
        selected = sql.SQL(", ").join(column.selected() for column in self.columns)
        text = sql.SQL("SELECT {} FROM {}").format(selected, self._name)
        if self.cursor is None:
            return text, []
        conditions, values = self._conditions(start, until)
        if conditions:
            text += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions)
        return text + sql.SQL(" ORDER BY {} NULLS LAST").format(sql.Identifier(self.cursor)), values

    def _conditions(
        self, start: Position | None, until: datetime | None
    ) -> tuple[list[sql.Composable], list[Any]]:
        """Bound the cursor from both sides; a whole read has no bounds and so takes null cursors too."""
        cursor, kind = sql.Identifier(self.cursor or ""), sql.SQL(self._cursor_type)
        conditions: list[sql.Composable] = []
        values: list[Any] = []

        def bound(operator: str, value: Any) -> None:
            conditions.append(sql.SQL("{} {} %s::{}").format(cursor, sql.SQL(operator), kind))
            values.append(value)

        if start is not None:
            bound(">=", start["cursor"])
        elif not self.whole and self.window is None:
            conditions.append(sql.SQL("{} IS NOT NULL").format(cursor))
        if self.window is not None:
            bound(">=", self.window.start)
            bound("<", self.window.end)
        elif not self.whole and self._cursor_type in _TIMESTAMPS:
            conditions.append(sql.SQL("{} < now() - %s::interval").format(cursor))
            values.append(timedelta(seconds=self.lag_s))
        if until is not None:
            bound("<", until)
        return conditions, values

    def _unseen(
        self, rows: list[tuple[Any, ...]], boundary: str | None, seen: Counter[str]
    ) -> list[tuple[Any, ...]]:
        """Leave out the rows at the boundary that an earlier batch holds already, each as often as it is held."""
        if boundary is None or not +seen:
            return rows
        at = self._cursor_index
        fresh = []
        for row in rows:
            mark = _mark(row) if _as_text(row[at]) == boundary else ""
            if mark and seen[mark] > 0:
                seen[mark] -= 1
            else:
                fresh.append(row)
        return fresh

    def _last_cursor(self, rows: list[tuple[Any, ...]]) -> Any:
        if self.cursor is None:
            return None
        at = self._cursor_index
        return next((row[at] for row in reversed(rows) if row[at] is not None), None)

    def _position_after(self, fresh: list[tuple[Any, ...]], last: Any, before: Position | None) -> Position:
        """Return the last cursor value with marks of all rows that hold it and are landed by now."""
        at = self._cursor_index
        text = _as_text(last)
        marks = [_mark(row) for row in fresh if row[at] == last]
        if before and before.get("cursor") == text:
            marks = [*before["seen"], *marks]
        return {"cursor": text, "seen": sorted(marks)}

    def _check_cursor(self, columns: list[Column]) -> None:
        found = {column.name: column.database_type for column in columns}
        if self.cursor not in found:
            raise SourceMissing(
                f"There is no column {self.cursor!r} to read by.",
                where=f"{self.schema_name}.{self.table}",
                do=f"choose one of {', '.join(found)}.",
            )
        if found[self.cursor] not in _CURSORS:
            raise SettingsError(
                f"A column of type {found[self.cursor]} cannot be read by.",
                where=f"{self.schema_name}.{self.table}.{self.cursor}",
                do="choose a column of timestamps, dates or whole numbers.",
            )

    @cached_property
    def _cursor_type(self) -> str:
        return next(column.database_type for column in self.columns if column.name == self.cursor)

    @cached_property
    def _cursor_index(self) -> int:
        return next(index for index, column in enumerate(self.columns) if column.name == self.cursor)

    @property
    def _name(self) -> sql.Identifier:
        return sql.Identifier(self.schema_name, self.table)


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _mark(row: tuple[Any, ...]) -> str:
    """Return a short digest of a row's values, stable across processes."""
    return hashlib.blake2b(repr(row).encode(), digest_size=12).hexdigest()
