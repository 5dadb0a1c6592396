"""A Postgres table or SELECT as a source: incremental by a cursor column, whole, or its keys alone.

Each reading sees one snapshot of the database. An incremental one is in the order of (cursor, key), up to a bound below
which nothing can still commit; it is taken up again after any batch. A whole one has no order, so that it goes at the
speed of the disk, in parts read at once where asked for; it is never taken up again, but restarted, since another
snapshot would not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property

import polars as pl
import pyarrow as pa
from psycopg import sql

from headworks.errors import SettingsError, SourceUnavailable
from headworks.names import Window
from headworks.ports import Sleep, system_sleep
from headworks.settings import DatabaseSettings
from headworks.sources.base import Batch, Position
from headworks.sources.prefetch import prefetched
from headworks.sources.sql.address import describe
from headworks.sources.sql.blocks import BlockReader
from headworks.sources.sql.bound import APPLICATION, CURSORS, TIMESTAMPS, WHOLE_NUMBERS, Bound, upper_bound
from headworks.sources.sql.clocks import Clock, clock_of
from headworks.sources.sql.columns import Column, schema_of
from headworks.sources.sql.copying import BLOCK_BYTES, Copy, copied
from headworks.sources.sql.ending import last_batch, last_of_passage
from headworks.sources.sql.left import UNFINISHED, Left, behind_warnings, passed_again
from headworks.sources.sql.marks import Marker, value_of
from headworks.sources.sql.misfits import Misfits
from headworks.sources.sql.snapshot import Described, Snapshot, described, hidden_rows, in_snapshot, own_zone
from headworks.sources.sql.table import Table


@dataclass(frozen=True)
class PostgresTable:
    """A `Table` of a Postgres database.

    ``window`` bounds an incremental reading to values of the cursor and ``whole`` makes it read everything, whatever
    the position; either needs a stream of its own. Without a cursor column every reading is whole.
    """

    database: DatabaseSettings
    table: Table
    window: Window | None = None
    whole: bool = False
    run_id: str = ""
    sleep: Sleep = field(default=system_sleep, repr=False)

    @property
    def schema(self) -> pl.Schema:
        """The columns of every batch's frame."""
        return schema_of(self._described.columns, self.table.extremes)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify rows: those that were declared, else the primary key's, else none."""
        return self._described.key

    @property
    def where(self) -> str:
        """Say which table of which database, for errors."""
        return f"{self.table.label} in {describe(self.database)}"

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the batches after ``position``, from one snapshot of the database.

        A row with a value that no type holds is a refused record of its batch. Raises `SourceUnavailable` and the other
        errors of ``states.py`` and ``diagnosis.py``, and `ValueRefused` where none of the first rows fits.
        """
        if position is not None and position.get("done"):
            return
        if self.whole or self.table.cursor is None:
            yield from self._read_whole()
        else:
            yield from self._read_onwards(position or {}, until)

    def read_keys(self) -> Iterator[Batch]:
        """Yield the keys of all rows, from one snapshot; ``shown`` is false where rows are hidden from this user.

        Raises `SettingsError` where there is no key.
        """
        if not self.key:
            raise SettingsError(
                "Rows without a key cannot be compared.",
                where=self.where,
                do="name the columns of the table's key.",
            )
        wanted = [column for column in self._described.columns if column.name in self.key]
        misfits = self._misfits()
        with in_snapshot(self.database, self._application, self.table) as snapshot:
            for rows in self._rows(snapshot, snapshot.parts(self._select(snapshot, wanted)), wanted):
                yield misfits.keys(rows)
            hidden = hidden_rows(snapshot)
        if hidden:
            yield Batch(
                pl.DataFrame(schema=self.schema).select(self.key), {}, read=0, warnings=hidden, shown=False
            )

    def _read_whole(self) -> Iterator[Batch]:
        columns, misfits = self._described.columns, self._misfits()
        with in_snapshot(self.database, self._application, self.table) as snapshot:
            self._check_unchanged(snapshot)
            parts = snapshot.parts(self._select(snapshot, columns))
            for rows in self._rows(snapshot, parts, columns):
                yield misfits.batch(rows, first=True, position={}, read=rows.num_rows)
            hidden = hidden_rows(snapshot)
        yield last_batch(
            self.schema,
            {"done": True},
            warnings=(*hidden, *misfits.warnings()),
            not_known=bool(hidden),
        )

    def _read_onwards(self, start: Position, until: datetime | None) -> Iterator[Batch]:
        columns, misfits, first, read = self._described.columns, self._misfits(), not start, 0
        with in_snapshot(self.database, self._application, self.table, bound=self._bound) as snapshot:
            self._check_unchanged(snapshot)
            start, warnings = self._checked(snapshot, start)
            passage = self._marker(snapshot.bound).passage(start)
            query = self._onwards(snapshot, start, until)
            for rows in self._rows(snapshot, [query], columns):
                fresh = passage.take(rows)
                repeated, read = rows.num_rows - fresh.num_rows, read + rows.num_rows
                yield misfits.batch(
                    fresh, first=first, position=passage.position, read=rows.num_rows, repeated=repeated
                )
            left = self._left(snapshot)
            hidden = hidden_rows(snapshot)
            if self.window is None and until is None:
                warnings += behind_warnings(start, read, left, lambda: self._latest(snapshot))
        yield last_of_passage(
            self.schema,
            passage.finished(),
            left,
            bound=snapshot.bound,
            warnings=(*warnings, *hidden, *misfits.warnings()),
            unfinished=self._unfinished(snapshot.bound),
            windowed=self.window is not None,
            not_known=bool(hidden),
        )

    def _misfits(self) -> Misfits:
        types = {column.name: column.sql_type for column in self._described.columns}
        return Misfits(self.key, types, self.where)

    def _checked(self, snapshot: Snapshot, start: Position) -> tuple[Position, tuple[str, ...]]:
        """Return where to begin: where rows came among those that were passed by their key, at the first of them."""
        if "key" not in start:
            return start, ()
        cursor, kind = sql.Identifier(self._cursor.name), sql.SQL(self._cursor.sql_type)
        counted = snapshot.connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE {} = {}::{} AND NOT {}").format(
                snapshot.relation,
                cursor,
                sql.Literal(start["cursor"]),
                kind,
                self._behind(start),
            )
        ).fetchone()
        return passed_again(start, int(counted[0]) if counted else 0)

    def _rows(self, snapshot: Snapshot, queries: list[str], columns: list[Column]) -> Iterator[pa.Table]:
        """Yield the rows of the queries in batches, received and parsed ahead of whoever takes them."""
        copy = Copy(self.database, snapshot.id, queries, self.table.ranges, self._application)
        reader = BlockReader(columns, self.table.extremes, self.where)
        # Read ahead is what a batch holds: while one is committed, the next one gathers, and no third.
        ahead = prefetched(_tables(copied(copy), reader), max(1, self.table.batch_bytes // BLOCK_BYTES))
        try:
            yield from _batched(ahead, self.table.batch_rows, self.table.batch_bytes)
        finally:
            ahead.close()

    def _select(self, snapshot: Snapshot, columns: list[Column]) -> sql.Composable:
        selected = sql.SQL(", ").join(column.selected() for column in columns)
        return sql.SQL("SELECT {} FROM {}").format(selected, snapshot.relation)

    def _onwards(self, snapshot: Snapshot, start: Position, until: datetime | None) -> str:
        """Return the query for what comes after a position, in order."""
        conditions = self._conditions(snapshot.bound, start, until)
        order = [sql.Identifier(name) for name in dict.fromkeys([self._cursor.name, *self.key])]
        query = sql.SQL("{} WHERE {} ORDER BY {}").format(
            self._select(snapshot, self._described.columns),
            sql.SQL(" AND ").join(conditions),
            sql.SQL(", ").join(order),
        )
        return query.as_string(snapshot.connection)

    def _conditions(
        self, bound: Bound | None, start: Position, until: datetime | None
    ) -> list[sql.Composable]:
        cursor, kind = sql.Identifier(self._cursor.name), sql.SQL(self._cursor.sql_type)

        def compared(operator: str, value: object) -> sql.Composable:
            return sql.SQL("{} {} {}::{}").format(cursor, sql.SQL(operator), sql.Literal(str(value)), kind)

        conditions: list[sql.Composable] = [sql.SQL("{} IS NOT NULL").format(cursor)]
        if self._cursor.database_type not in WHOLE_NUMBERS:
            conditions.append(sql.SQL("isfinite({})").format(cursor))
        if start:
            begin = self._marker(bound).begin(start)
            after = compared(">=", begin)
            if "key" in start:
                earlier = sql.SQL("{} AND {}").format(after, compared("<", start["cursor"]))
                after = sql.SQL("({} OR {})").format(self._behind(start), earlier)
            conditions.append(after)
        if self.window is not None:
            conditions += [
                compared(">=", self._written(self.window.start)),
                compared("<", self._written(self.window.end)),
            ]
        if bound is not None:
            conditions.append(bound.condition(cursor, kind))
        if until is not None:
            conditions.append(compared("<", until))
        return conditions

    def _behind(self, start: Position) -> sql.Composable:
        """Return the condition for rows behind the last (cursor, key)."""
        types = {column.name: column.sql_type for column in self._described.columns}
        names = [self._cursor.name, *self.key]
        values = [
            sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(types[name]))
            for name, text in zip(names, [start["cursor"], *start["key"]], strict=True)
        ]
        left = sql.SQL(", ").join(map(sql.Identifier, names))
        return sql.SQL("({}) > ({})").format(left, sql.SQL(", ").join(values))

    def _bound(self, snapshot: Snapshot) -> Bound | None:
        """Return how far this reading may go; that of a window does not look back, so it ends at the earlier clock."""
        found = upper_bound(
            snapshot.connection,
            snapshot.relation,
            self._cursor.name,
            self._cursor.database_type,
            self.table.commit_lag_s,
            where=self.where,
            clock=self._clock,
            sleep=self.sleep,
        )
        if self.window is None or found.floor is None:
            return found
        return replace(found, value=found.floor.isoformat(), floor=None)

    @cached_property
    def _clock(self) -> Clock | None:
        """The clock that a cursor without a zone is written by."""
        if self._cursor.database_type not in {"timestamp", "date"}:
            return None
        if self.table.cursor_zone is not None:
            return clock_of(self.table.cursor_zone)
        return clock_of(None, own_zone(self.database, self._application))

    def _written(self, moment: datetime) -> str:
        """Return an instant as the cursor's column is compared with it."""
        return str(moment if self._clock is None else self._clock.written(moment))

    def _unfinished(self, bound: Bound | None) -> tuple[str, ...]:
        """Say that rows of the window may still come; nothing where none can."""
        if self.window is None or bound is None or bound.value is None:
            return ()
        end: date = self.window.end if self._clock is None else self._clock.written(self.window.end)
        read = value_of(bound.value)
        if isinstance(end, datetime) and not isinstance(read, datetime):
            # Of the last day that is read more may come.
            end = end.date()
        if read >= end:
            return ()
        return (UNFINISHED.format(bound.value),)

    def _latest(self, snapshot: Snapshot) -> str | None:
        """Return the latest cursor value of all rows."""
        found = snapshot.connection.execute(
            sql.SQL("SELECT max({})::text FROM {}").format(
                sql.Identifier(self._cursor.name), snapshot.relation
            )
        ).fetchone()
        return found[0] if found else None

    def _left(self, snapshot: Snapshot) -> Left:
        """Count the rows that this way of reading leaves out: without a place in the order, and after the bound."""
        cursor, kind = sql.Identifier(self._cursor.name), sql.SQL(self._cursor.sql_type)
        nothing: sql.Composable = sql.SQL("false")
        endless: sql.Composable = sql.SQL("{} IS NULL").format(cursor)
        if self._cursor.database_type not in WHOLE_NUMBERS:
            endless = sql.SQL("({} OR NOT isfinite({}))").format(endless, cursor)
        bound, later, ahead = snapshot.bound, nothing, nothing
        if bound is not None and bound.value is not None:
            later = sql.SQL("NOT {} AND NOT {}").format(endless, bound.condition(cursor, kind))
        if bound is not None and bound.present is not None:
            ahead = sql.SQL("{} AND {} > {}::{}").format(later, cursor, sql.Literal(str(bound.present)), kind)
        if self.window is not None:
            inside = sql.SQL("{} >= {}::{} AND {} < {}::{}").format(
                *(cursor, sql.Literal(self._written(self.window.start)), kind),
                *(cursor, sql.Literal(self._written(self.window.end)), kind),
            )
            endless = nothing
            later, ahead = (sql.SQL("{} AND {}").format(inside, each) for each in (later, ahead))
        counted = snapshot.connection.execute(
            sql.SQL(
                "SELECT count(*) FILTER (WHERE {endless}), count(*) FILTER (WHERE {later}), "
                "count(*) FILTER (WHERE {ahead}), (max({cursor}) FILTER (WHERE {ahead}))::text "
                "FROM {relation} WHERE ({endless}) OR ({later})"
            ).format(endless=endless, later=later, ahead=ahead, cursor=cursor, relation=snapshot.relation)
        ).fetchone()
        return Left(*counted) if counted else Left()

    def _check_unchanged(self, snapshot: Snapshot) -> None:
        if snapshot.described != self._described:
            raise SourceUnavailable(
                "The columns changed between describing the table and reading it.",
                where=self.where,
                do="nothing: the step is repeated with the new columns.",
            )

    @property
    def _application(self) -> str:
        return f"{APPLICATION} {self.run_id}".strip()

    @cached_property
    def _described(self) -> Described:
        """The table's columns and key, asked of the database once."""
        if self.table.columns:
            raise SettingsError(
                "Postgres shows the types of a query's columns itself.",
                where=self.where,
                do="leave `columns` out; where another type is wanted, cast it in the query.",
            )
        found = described(self.database, self._application, self.table)
        names = {column.name: column for column in found.columns}
        self.table.check_columns(found.key, list(names), self.where)
        if self.table.cursor is not None:
            _check_cursor(names[self.table.cursor], self)
        return found

    @cached_property
    def _cursor(self) -> Column:
        return next(column for column in self._described.columns if column.name == self.table.cursor)

    def _marker(self, bound: Bound | None) -> Marker:
        names = tuple(column.name for column in self._described.columns)
        floor = bound.floor if bound is not None else None
        return Marker(self._cursor.name, self.key, names, self._looks_back, floor)

    def _looks_back(self, last: object) -> timedelta:
        declared = timedelta(seconds=self.table.lookback_s)
        # A window is read once, from its beginning.
        return max(declared, self._clock.looks_back(last)) if self._clock and not self.window else declared


def _check_cursor(column: Column, source: PostgresTable) -> None:
    kind = column.database_type
    if kind not in CURSORS:
        raise SettingsError(
            f"A column of type {column.sql_type} cannot be the cursor.",
            where=f"{column.name} of {source.where}",
            do="choose a column of timestamps, dates or whole numbers.",
        )
    if source.table.lookback_s and kind in WHOLE_NUMBERS:
        raise SettingsError(
            "A cursor of whole numbers has no time to look back.",
            where=f"{column.name} of {source.where}",
            do="leave the lookback at 0: transactions that write are waited for.",
        )
    if source.window is not None and kind not in TIMESTAMPS | {"date"}:
        raise SettingsError(
            "A cursor of whole numbers has no window of time.",
            where=f"{column.name} of {source.where}",
            do="run without a window.",
        )


def _tables(blocks: Iterator[bytes], reader: BlockReader) -> Iterator[pa.Table]:
    try:
        for block in blocks:
            yield reader.table(block)
    finally:
        close = getattr(blocks, "close", None)
        if close is not None:
            close()


def _batched(tables: Iterator[pa.Table], most_rows: int, most_bytes: int) -> Iterator[pa.Table]:
    """Yield tables of at most so many rows and, but for a last part, at most so many bytes."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        waiting.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        while rows >= most_rows or size >= most_bytes:
            whole = pa.concat_tables(waiting, promote_options="default")
            yield whole.slice(0, most_rows)
            rest = whole.slice(most_rows)
            waiting, rows, size = [rest], rest.num_rows, rest.nbytes
    if rows:
        yield pa.concat_tables(waiting, promote_options="default")
