"""A table of any database that SQLAlchemy knows, as a source: incremental by a cursor column, whole, or its keys alone.

The same `Table` as for Postgres, with the same positions; rows are fetched by the driver in bounded numbers, through a
cursor that leaves the rest on the server. Which transactions still run MySQL and MariaDB report as well; elsewhere the
commit lag is in place of that, and what commits later is found by the next whole reading or comparison of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl
from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy.engine import Connection

from headworks.errors import SettingsError
from headworks.names import Window
from headworks.settings import DatabaseSettings
from headworks.sources.base import Batch, Position
from headworks.sources.prefetch import prefetched
from headworks.sources.sql.bound import Bound, bound_at
from headworks.sources.sql.clocks import clock_of
from headworks.sources.sql.ending import last_batch, last_of_passage
from headworks.sources.sql.engines import run_on, shared_engine, snapshot, streaming_cursor, where_is
from headworks.sources.sql.failures import translated_dialect
from headworks.sources.sql.left import UNFINISHED, Left, behind_warnings, passed_again
from headworks.sources.sql.lines import LineReader, line_reader, longest_text
from headworks.sources.sql.marks import Marker, value_of
from headworks.sources.sql.misfits import Misfits
from headworks.sources.sql.presents import present_of, settled
from headworks.sources.sql.reflection import DialectColumn, Reflected, reflect, schema_of
from headworks.sources.sql.rows import RowReader
from headworks.sources.sql.table import Extremes, Table

_NUMBERS = (pl.Int64, pl.Decimal)
_CURSORS = (pl.Datetime, pl.Date, *_NUMBERS)
_FETCH_ROWS = 10_000


@dataclass(frozen=True)
class DialectTable:
    """A `Table` of a database that has no reader of its own.

    ``window`` bounds an incremental reading to values of the cursor and ``whole`` makes it read everything, whatever
    the position; either needs a stream of its own. Without a cursor column every reading is whole. Of the `Table`,
    ``ranges`` and ``batch_bytes`` have no meaning here.
    """

    database: DatabaseSettings
    table: Table
    window: Window | None = None
    whole: bool = False
    run_id: str = ""

    @property
    def schema(self) -> pl.Schema:
        """The columns of every batch's frame."""
        return schema_of(self._reflected.columns, self.table.extremes)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify rows: those that were declared, else the primary key's, else none."""
        return self._reflected.key

    @property
    def where(self) -> str:
        """Say which table of which database, for errors."""
        return f"{self.table.label} in {where_is(self.database)}"

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the batches after ``position``, read ahead of whoever takes them.

        A row with a value that no type holds is a refused record of its batch. Raises the errors of ``failures.py``,
        and `ValueRefused` where none of the first rows fits.
        """
        if position is not None and position.get("done"):
            return iter(())
        if self.whole or self.table.cursor is None:
            return prefetched(self._read_whole())
        return prefetched(self._read_onwards(position or {}, until))

    def read_keys(self) -> Iterator[Batch]:
        """Yield the keys of all rows; raises `SettingsError` where there is no key."""
        if not self.key:
            raise SettingsError(
                "Rows without a key cannot be compared.",
                where=self.where,
                do="name the columns of the table's key.",
            )
        columns = tuple(column for column in self._reflected.columns if column.name in self.key)
        rows, misfits = self._rows(columns, "refuse"), self._misfits()
        with _reading(self) as connection:
            for frame in self._frames(connection, rows.statement, rows.reader):
                yield misfits.keys(frame.to_arrow())

    def _read_whole(self) -> Iterator[Batch]:
        # Described first, so that a reading holds one connection alone.
        schema, misfits = self.schema, self._misfits()
        with _reading(self) as connection:
            for frame in self._frames(connection, self._all_rows.statement, self._all_rows.reader):
                yield misfits.batch(frame, first=True, position={}, read=frame.height)
        yield last_batch(schema, {"done": True}, warnings=(*self._asides, *misfits.warnings()))

    def _misfits(self) -> Misfits:
        columns = self._reflected.table.c
        types = {column.name: str(column.dtype) for column in self._reflected.columns}
        types |= {name: str(columns[name].type) for name in types if str(columns[name].type) != "NULL"}
        texts = [column.name for column in self._reflected.columns if isinstance(column.dtype, pl.String)]
        return Misfits(self.key, types, self.where, texts)

    def _read_onwards(self, start: Position, until: datetime | None) -> Iterator[Batch]:
        misfits, first, read = self._misfits(), not start, 0
        with _reading(self) as connection:
            bound = self._bound(connection)
            start, warnings = self._checked(connection, start)
            marker = self._marker(bound)
            passage = marker.passage(start)
            left = self._left(connection, bound)
            conditions = self._conditions(connection, start, bound, until)
            order = [self._column(name) for name in dict.fromkeys([self._cursor, *marker.key])]
            statement = self._all_rows.statement.where(and_(*conditions)).order_by(*order)
            for frame in self._frames(connection, statement, self._all_rows.reader):
                rows = frame.to_arrow()
                fresh = passage.take(rows)
                new = frame if fresh is rows else pl.DataFrame(fresh, schema=frame.schema)
                repeated, read = frame.height - new.height, read + frame.height
                yield misfits.batch(
                    new, first=first, position=passage.position, read=frame.height, repeated=repeated
                )
            if self.window is None and until is None:
                warnings += behind_warnings(start, read, left, lambda: self._latest(connection))
        yield last_of_passage(
            self.schema,
            passage.finished(),
            left,
            bound=bound,
            warnings=(*warnings, *self._asides, *misfits.warnings()),
            unfinished=self._unfinished(bound),
            windowed=self.window is not None,
        )

    def _checked(self, connection: Connection, start: Position) -> tuple[Position, tuple[str, ...]]:
        """Return where to begin: where rows came among those that were passed by their key, at the first of them."""
        if "key" not in start:
            return start, ()
        same = self._column(self._cursor) == _value(value_of(start["cursor"]))
        counted = (
            select(func.count()).select_from(self._reflected.table).where(same, not_(self._behind(start)))
        )
        return passed_again(start, int(connection.execute(counted).scalar_one()))

    def _bound(self, connection: Connection) -> Bound | None:
        """Return how far this reading may go; None where nothing bounds it, as for whole numbers."""
        if isinstance(self._cursor_type, _NUMBERS):
            return None
        present = present_of(connection)
        # Asked before the first row is read: from then on the snapshot shows what was committed by now.
        lag = timedelta(seconds=self.table.commit_lag_s)
        instant, notice = settled(connection, present.instant, lag)
        clock = None if self._is_zoned else clock_of(self.table.cursor_zone, offset=present.offset)
        if clock is not None and isinstance(self._cursor_type, pl.Datetime):
            clock = clock.shifted(present.instant, self._farthest(connection, clock.latest(present.instant)))
        is_date = isinstance(self._cursor_type, pl.Date)
        found = bound_at(instant, present.instant, clock, is_date=is_date, notice=notice)
        # The day of the bound is not over: it is left to a later run.
        found = replace(found, inclusive=False)
        if self.window is None or found.floor is None:
            return found
        return replace(found, value=found.floor.isoformat(), floor=None)

    def _farthest(self, connection: Connection, present: datetime) -> datetime | None:
        """Return the latest cursor value after the present, within a day in which some place on earth may be."""
        cursor = self._column(self._cursor)
        near = self._literal(connection, present), self._literal(connection, present + timedelta(days=1))
        found = connection.execute(
            select(func.max(cast(cursor, String(40)))).where(cursor > near[0], cursor < near[1])
        ).scalar()
        try:
            return None if found is None else datetime.fromisoformat(str(found)).replace(tzinfo=None)
        except ValueError:
            return None

    def _latest(self, connection: Connection) -> str | None:
        """Return the latest cursor value of all rows that have a place in its order."""
        found = connection.execute(
            select(func.max(self._column(self._cursor)))
            .select_from(self._reflected.table)
            .where(not_(self._null_cursor(connection)))
        ).scalar()
        return None if found is None else str(found)

    def _unfinished(self, bound: Bound | None) -> tuple[str, ...]:
        """Say that rows of the window may still come; nothing where none can."""
        if self.window is None or bound is None or bound.value is None:
            return ()
        if value_of(bound.value) >= self._compared(self.window.end):
            return ()
        return (UNFINISHED.format(bound.value),)

    def _frames(
        self, connection: Connection, statement: Any, reader: RowReader | LineReader
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of a statement in frames of at most `Table.batch_rows`."""
        cursor = streaming_cursor(connection)
        try:
            cursor.arraysize = min(_FETCH_ROWS, self.table.batch_rows)
            run_on(cursor, connection, statement)
            waiting: list[pl.DataFrame] = []
            room = self.table.batch_rows
            while rows := cursor.fetchmany(min(_FETCH_ROWS, room)):
                waiting.append(reader.frame(rows))
                room -= len(rows)
                if not room:
                    yield pl.concat(waiting, how="diagonal")
                    waiting, room = [], self.table.batch_rows
            if waiting:
                yield pl.concat(waiting, how="diagonal")
        finally:
            cursor.close()

    def _rows(self, columns: tuple[DialectColumn, ...], extremes: Extremes) -> _Rows:
        """Return how columns are read: as lines that the server writes where it can, else value by value."""
        found = self._reflected
        lines = line_reader(found, columns, self._longest_text, extremes, self.where)
        reader = lines or RowReader(columns, schema_of(columns, extremes), extremes, self.where)
        selected = lines.selected(found) if lines else found.selected(columns)
        return _Rows(select(*selected).select_from(found.table), reader)

    def _conditions(
        self, connection: Connection, start: Position, bound: Bound | None, until: datetime | None
    ) -> list[ColumnElement[bool]]:
        cursor = self._column(self._cursor)
        conditions: list[ColumnElement[bool]] = [not_(self._null_cursor(connection))]
        if start:
            after: ColumnElement[bool] = cursor >= self._literal(connection, self._marker(bound).begin(start))
            if "key" in start:
                last = self._literal(connection, value_of(start["cursor"]))
                after = or_(self._behind(start), and_(after, cursor < last))
            conditions.append(after)
        conditions += self._inside(connection)
        if until is not None:
            conditions.append(cursor < self._literal(connection, until))
        if bound is not None and bound.value is not None:
            conditions.append(cursor < self._literal(connection, value_of(bound.value)))
        return conditions

    def _inside(self, connection: Connection) -> list[ColumnElement[bool]]:
        """Return the conditions of the window."""
        if self.window is None:
            return []
        cursor = self._column(self._cursor)
        return [
            cursor >= self._literal(connection, self._compared(self.window.start)),
            cursor < self._literal(connection, self._compared(self.window.end)),
        ]

    def _behind(self, start: Position) -> ColumnElement[bool]:
        """Return the condition for rows behind the last (cursor, key), in words that every database knows."""
        names = [self._cursor, *self.key]
        values = [value_of(start["cursor"]), *self._key_values(start["key"])]
        several = []
        for place, name in enumerate(names):
            same = [self._column(names[n]) == _value(values[n]) for n in range(place)]
            several.append(and_(*same, self._column(name) > _value(values[place])))
        return or_(*several)

    def _key_values(self, texts: list[str]) -> list[Any]:
        """Return a key's values from a position's text."""
        types = self.schema
        return [
            int(text) if isinstance(types[name], _NUMBERS) else text
            for name, text in zip(self.key, texts, strict=True)
        ]

    def _compared(self, moment: datetime) -> date:
        """Return an instant as a value of the cursor's type and clock."""
        if self._is_zoned:
            return moment
        clock = clock_of(self.table.cursor_zone)
        written = clock.written(moment)
        return written.date() if isinstance(self._cursor_type, pl.Date) else written

    def _literal(self, connection: Connection, value: Any) -> ColumnElement[Any]:
        """Return a cursor value as the database compares it."""
        if isinstance(value, datetime):
            value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            if isinstance(self._cursor_type, pl.Date):
                value = value.date()
        if connection.dialect.name == "sqlite" and isinstance(value, date):
            return literal(_shortest(value, self._separator(connection)))
        return _value(value)

    def _separator(self, connection: Connection) -> str:
        """Return what is between date and time where a database keeps moments as text."""
        cursor = self._column(self._cursor)
        text: Any = connection.execute(
            select(literal_column(str(cursor.compile(dialect=connection.dialect))))
            .select_from(self._reflected.table)
            .where(cursor.is_not(None))
            .limit(1)
        ).scalar()
        return "T" if isinstance(text, str) and text[10:11] == "T" else " "

    def _left(self, connection: Connection, bound: Bound | None) -> Left:
        """Count the rows that this way of reading leaves out: without a place in the order, and after the bound."""
        cursor = self._column(self._cursor)
        left = self._null_cursor(connection)
        counts: list[ColumnElement[Any]] = [_count(left)]
        if bound is not None and bound.value is not None:
            placed = not_(left)
            later = and_(placed, cursor >= self._literal(connection, value_of(bound.value)))
            ahead = and_(placed, cursor > self._literal(connection, bound.present))
            counts += [_count(later), _count(ahead), func.max(cast(cursor, String(40)))]
            left = or_(left, later)
        if self.window is not None:
            left = and_(left, *self._inside(connection))
        row = connection.execute(select(*counts).select_from(self._reflected.table).where(left)).one()
        null_cursor, later_rows, ahead_rows = (int(value or 0) for value in (*row[:3], 0, 0)[:3])
        return Left(null_cursor, later_rows, ahead_rows, str(row[3]) if len(row) > 3 else None)

    def _null_cursor(self, connection: Connection) -> ColumnElement[bool]:
        """Return the condition for rows without a place in the cursor's order.

        SQLite has values of any type in any column, and each type has an order of its own.
        """
        cursor = self._column(self._cursor)
        if connection.dialect.name != "sqlite":
            return cursor.is_(None)
        kind = "integer" if isinstance(self._cursor_type, pl.Int64) else "text"
        return func.typeof(cursor) != kind

    def _column(self, name: str) -> ColumnElement[Any]:
        return self._reflected.table.c[name]

    @property
    def _asides(self) -> tuple[str, ...]:
        """Say which columns have values of another type."""
        names = [column.name for column in self._reflected.columns if column.aside]
        return tuple(
            f"column {name} has values of another type than its own: they land as text in {name}_text"
            for name in names
        )

    @property
    def _cursor(self) -> str:
        assert self.table.cursor is not None, "only a table with a cursor is read onwards"
        return self.table.cursor

    @property
    def _cursor_type(self) -> pl.DataType:
        return self.schema[self._cursor]

    @property
    def _is_zoned(self) -> bool:
        kind = self._cursor_type
        return isinstance(kind, pl.Datetime) and kind.time_zone is not None

    @cached_property
    def _all_rows(self) -> _Rows:
        return self._rows(self._reflected.columns, self.table.extremes)

    def _marker(self, bound: Bound | None) -> Marker:
        names = tuple(column.name for column in self._reflected.columns)
        # A position by key needs keys that are equal as text; elsewhere marks of the rows do.
        key = self.key if self._has_plain_key else ()
        return Marker(self._cursor, key, names, self._looks_back, bound.floor if bound is not None else None)

    def _looks_back(self, last: object) -> timedelta:
        declared = timedelta(seconds=self.table.lookback_s)
        # A window is read once, from its beginning.
        if self._is_zoned or self.window is not None:
            return declared
        return max(declared, clock_of(self.table.cursor_zone).looks_back(last))

    @property
    def _has_plain_key(self) -> bool:
        is_text = self.database.parts().scheme.startswith("sqlite")
        plain = all(self.schema[name] in {pl.Int64(), pl.String(), pl.Decimal(20, 0)} for name in self.key)
        return plain and not (is_text and not isinstance(self._cursor_type, _NUMBERS))

    @cached_property
    def _described(self) -> tuple[Reflected, int]:
        """The table's columns and key, and how long a text the server can make, asked of the database once."""
        with _reading(self) as connection:
            found = reflect(connection, self.table, self.where)
            # Lines are read as what the catalogue says; of a query each value is held against what was declared.
            longest = 0 if self.table.query else longest_text(connection)
        _check_cursor(found, self)
        return found, longest

    @property
    def _reflected(self) -> Reflected:
        return self._described[0]

    @property
    def _longest_text(self) -> int:
        return self._described[1]


@dataclass(frozen=True)
class _Rows:
    """A statement that selects rows, and what makes frames of them."""

    statement: Any
    reader: RowReader | LineReader


@contextmanager
def _reading(source: DialectTable) -> Iterator[Connection]:
    """Hand out a connection of the run's pool; errors of the driver come out of it as ours."""
    with (
        shared_engine(source.database, source.run_id) as engine,
        translated_dialect(engine, source.where),
        snapshot(engine) as connection,
    ):
        yield connection


def _check_cursor(found: Reflected, source: DialectTable) -> None:
    if source.table.cursor is None:
        return
    kind = next(column.dtype for column in found.columns if column.name == source.table.cursor)
    where = f"{source.table.cursor} of {source.where}"
    if not isinstance(kind, _CURSORS) or (isinstance(kind, pl.Decimal) and kind.scale):
        raise SettingsError(
            f"A column of type {kind} cannot be the cursor.",
            where=where,
            do="choose a column of timestamps, dates or whole numbers.",
        )
    if isinstance(kind, _NUMBERS) and (source.table.lookback_s or source.window is not None):
        raise SettingsError(
            "A cursor of whole numbers has no window of time and no time to look back.",
            where=where,
            do="run without a window, and leave the lookback at 0.",
        )


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))


def _value(value: Any) -> ColumnElement[Any]:
    return literal(value)


def _shortest(value: date, separator: str) -> str:
    """Return the shortest text of a moment: any longer one of the same moment is not before it."""
    if not isinstance(value, datetime):
        return value.isoformat()
    text = value.isoformat(separator)
    return text.rstrip("0") if value.microsecond else text
