"""A Postgres table or SELECT as a source: incremental by a cursor column, whole, or its keys alone.

Each reading sees one snapshot of the database. An incremental one is in the order of (cursor, key), up to a bound below
which nothing can still commit; it is taken up again after any batch. A whole one has no order, so that it goes at the
speed of the disk, in parts read at once where asked for; it is never taken up again, but begun anew, since another
snapshot would not fit.

What belongs here: which statements read what, and positions on the way. What does not: connections, receiving and
parsing, which are in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
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
from headworks.sources.sql.columns import Column, schema_of
from headworks.sources.sql.copying import BLOCK_BYTES, Copy, copied
from headworks.sources.sql.marks import Marker
from headworks.sources.sql.snapshot import Described, Snapshot, described, in_snapshot
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
        """The columns that tell rows apart: those that were declared, else the primary key's, else none."""
        return self._described.key

    @property
    def where(self) -> str:
        """Say which table of which database, for errors."""
        return f"{self.table.label} in {describe(self.database)}"

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the batches after ``position``, from one snapshot of the database.

        Raises `SourceUnavailable` and the other errors of ``states.py`` and ``diagnosis.py``, and `ValueRefused` for a
        value that no type holds.
        """
        if position is not None and position.get("done"):
            return
        if self.whole or self.table.cursor is None:
            yield from self._read_whole()
        else:
            yield from self._read_onwards(position or {}, until)

    def read_keys(self) -> Iterator[pa.Table]:
        """Yield the keys of all rows, from one snapshot.

        Raises `SettingsError` where there is no key.
        """
        if not self.key:
            raise SettingsError(
                "Rows without a key cannot be compared.",
                where=self.where,
                do="name the columns of the table's key.",
            )
        wanted = [column for column in self._described.columns if column.name in self.key]
        with in_snapshot(self.database, self._application, self.table) as snapshot:
            yield from self._rows(snapshot, snapshot.parts(self._select(snapshot, wanted)), wanted)

    def _read_whole(self) -> Iterator[Batch]:
        columns = self._described.columns
        with in_snapshot(self.database, self._application, self.table) as snapshot:
            self._check_unchanged(snapshot)
            parts = snapshot.parts(self._select(snapshot, columns))
            for rows in self._rows(snapshot, parts, columns):
                yield Batch(rows, {}, read=rows.num_rows)
        yield Batch(pl.DataFrame(schema=self.schema), {"done": True}, read=0)

    def _read_onwards(self, start: Position, until: datetime | None) -> Iterator[Batch]:
        columns, marker = self._described.columns, self._marker
        known = marker.known(start)
        newest = marker.newest(start)
        position = start
        with in_snapshot(self.database, self._application, self.table, bound=self._bound) as snapshot:
            self._check_unchanged(snapshot)
            query = self._onwards(snapshot, start, until)
            for rows in self._rows(snapshot, [query], columns):
                fresh = marker.fresh(rows, known, newest)
                position = marker.after(rows, position, fresh)
                repeated = rows.num_rows - fresh.num_rows
                yield Batch(fresh, position, read=rows.num_rows, repeated=repeated)
            unplaced = self._count_unplaced(snapshot)
        done = {"done": True} if self.window is not None else {}
        notices = (snapshot.bound.notice,) if snapshot.bound and snapshot.bound.notice else ()
        yield Batch(
            pl.DataFrame(schema=self.schema), {**position, **done}, read=0, unplaced=unplaced, remarks=notices
        )

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
        if "key" in start:
            conditions.append(self._behind(start))
        elif start:
            conditions.append(compared(">=", self._marker.begin(start)))
        if self.window is not None:
            conditions += [compared(">=", self.window.start), compared("<", self.window.end)]
        elif bound is not None:
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
        """Return how far an incremental reading may go; a window has its own end."""
        if self.window is not None:
            return None
        return upper_bound(
            snapshot.connection,
            snapshot.relation,
            self._cursor.name,
            self._cursor.database_type,
            self.table.commit_lag_s,
            where=self.where,
            sleep=self.sleep,
        )

    def _count_unplaced(self, snapshot: Snapshot) -> int:
        """Count the rows without a place in the cursor's order, which only a whole reading takes."""
        if self.window is not None:
            return 0
        cursor = sql.Identifier(self._cursor.name)
        condition = sql.SQL("{} IS NULL").format(cursor)
        if self._cursor.database_type not in WHOLE_NUMBERS:
            condition = sql.SQL("{} OR NOT isfinite({})").format(condition, cursor)
        counted = snapshot.connection.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE {}").format(snapshot.relation, condition)
        ).fetchone()
        return int(counted[0]) if counted else 0

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
                "Postgres tells the types of a query's columns itself.",
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

    @cached_property
    def _marker(self) -> Marker:
        names = tuple(column.name for column in self._described.columns)
        return Marker(self._cursor.name, self.key, names, self.table.lookback_s)


def _check_cursor(column: Column, source: PostgresTable) -> None:
    kind = column.database_type
    if kind not in CURSORS:
        raise SettingsError(
            f"A column of type {column.sql_type} cannot be read by.",
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
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, most_rows)
            rest = whole.slice(most_rows)
            waiting, rows, size = [rest], rest.num_rows, rest.nbytes
    if rows:
        yield pa.concat_tables(waiting)
