"""Rows of MySQL and MariaDB that the server writes as one text each, which takes a driver a fraction of the time.

A driver written in Python makes every value by itself, which costs more than all that follows. Where the server joins a
row's values, in the form of ``copytext.py``, the driver makes one value, and Arrow reads the columns out of a block of
such lines. The same text is behind a driver's values, too, so they are the same. A text that is longer than the server
can make would be NULL; so only columns take part that together cannot come near to that, and the others stand alongside
the line. Blocks with a value that no type holds are made value by value, as if the driver had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, cast, func, literal, types
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection

from headworks.errors import ReadIncomplete
from headworks.sources.sql import copytext
from headworks.sources.sql.decimals import by_way_of_floats, exact, narrowest
from headworks.sources.sql.reflection import DialectColumn, Reflected, exactly, schema_of
from headworks.sources.sql.rows import RowReader
from headworks.sources.sql.table import Extremes

_SPEAKING = {"mysql", "mariadb"}
# A character has four bytes at most, or two where one is escaped.
_CHARACTER = 4
_TEXT_BYTES = {mysql.TINYTEXT: 2**8, mysql.TEXT: 2**16, types.Text: 2**16}
_NUMBER_BYTES = 512
_FEWEST = 2
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"))
_FIRST_DAY = date(1, 1, 1)


@dataclass(frozen=True)
class LineReader:
    """Makes frames of rows: the columns ``packed`` are in the first value of each, as a line, and ``alone`` follow."""

    packed: tuple[DialectColumn, ...]
    alone: tuple[DialectColumn, ...]
    schema: pl.Schema
    extremes: Extremes
    where: str

    def selected(self, found: Reflected) -> list[ColumnElement[Any]]:
        """Return the select list of such rows."""
        values = [_written(found, column) for column in self.packed]
        line = cast(func.concat_ws(literal("\t"), *values), types.LargeBinary)
        return [line, *found.selected(self.alone)]

    def frame(self, rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
        """Return a frame of rows, as ``rows.py`` makes them."""
        if not rows:
            return pl.DataFrame(schema=self.schema)
        block = b"\n".join([self._line(row[0]) for row in rows]) + b"\n"
        frames = [self._packed(block, len(rows))]
        if self.alone:
            frames.append(self._reader(self.alone).frame([row[1:] for row in rows]))
        made = pl.concat(frames, how="horizontal")
        return made.select(*self.schema, *(name for name in made.columns if name not in self.schema))

    def _line(self, value: Any) -> bytes:
        if value is None:
            raise ReadIncomplete(
                "A row came without its values: the server could not join them.",
                where=self.where,
                do="raise the server's max_allowed_packet; nothing of the batch was landed.",
            )
        return value.encode() if isinstance(value, str) else value

    def _packed(self, block: bytes, rows: int) -> pl.DataFrame:
        names = [column.name for column in self.packed]
        escaped = copytext.has_escapes(block)
        try:
            table = copytext.parse(block, names, copytext.conversion(self._read_as))
            frame = self._typed(table, escaped=escaped)
        except pa.ArrowInvalid:
            texts = copytext.parse(block, names, copytext.conversion(dict.fromkeys(names, pa.string())))
            table, frame = texts, self._value_by_value(texts, escaped=escaped)
        if table.num_rows != rows:
            raise ReadIncomplete(
                f"{rows} rows came and {table.num_rows} were understood.",
                where=self.where,
                do="keep the lake as it is and report this; nothing of the batch was landed.",
            )
        return frame

    def _typed(self, table: pa.Table, *, escaped: bool) -> pl.DataFrame:
        """Return a block's columns with their types; raises `pyarrow.ArrowInvalid` for a value that none holds."""
        series: dict[str, pl.Series] = {}
        for column, read in zip(self.packed, table.columns, strict=True):
            values = _meant(read, _arrow(column.dtype), escaped=escaped)
            series[column.name] = pl.Series(column.name, values).cast(column.dtype)
            if f"{column.name}_text" in self.schema and column.can_be_extreme:
                series[f"{column.name}_text"] = pl.repeat(None, len(values), dtype=pl.String(), eager=True)
        return pl.DataFrame(series)

    def _value_by_value(self, table: pa.Table, *, escaped: bool) -> pl.DataFrame:
        """Return a block's columns from values as the driver would have given them."""
        columns: list[list[Any]] = []
        for column, texts in zip(self.packed, table.columns, strict=True):
            plain = copytext.unescaped(texts) if escaped else texts
            make = _MADE.get(type(column.dtype), str)
            columns.append([None if text is None else make(text) for text in plain.to_pylist()])
        return self._reader(self.packed).frame(list(zip(*columns, strict=True)))

    def _reader(self, columns: tuple[DialectColumn, ...]) -> RowReader:
        return RowReader(columns, schema_of(columns, self.extremes), self.extremes, self.where)

    @cached_property
    def _read_as(self) -> dict[str, pa.DataType]:
        kinds = {column.name: _arrow(column.dtype) for column in self.packed}
        return {name: pa.float64() if by_way_of_floats(kind) else kind for name, kind in kinds.items()}


def longest_text(connection: Connection) -> int:
    """Return how many bytes a text may have that the server makes; 0 where it makes no lines."""
    if connection.dialect.name not in _SPEAKING:
        return 0
    return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())


def line_reader(
    found: Reflected, columns: tuple[DialectColumn, ...], longest: int, extremes: Extremes, where: str
) -> LineReader | None:
    """Return a reader of rows written as lines of at most ``longest`` bytes; None where that is not worth while."""
    packed: list[DialectColumn] = []
    room = longest
    for column in columns:
        size = _most_bytes(found.table.c[column.name].type, column.dtype)
        if size is not None and size <= room:
            room -= size
            packed.append(column)
    if len(packed) < _FEWEST:
        return None
    alone = tuple(column for column in columns if column not in packed)
    return LineReader(tuple(packed), alone, schema_of(columns, extremes), extremes, where)


def _most_bytes(kind: types.TypeEngine[Any], dtype: pl.DataType) -> int | None:
    """Return how many bytes a value can have in a line; None for a type that is not written into one."""
    if isinstance(dtype, pl.Boolean | pl.Binary):
        return None
    if not isinstance(dtype, pl.String) or isinstance(kind, types.Numeric | types.Time):
        return _NUMBER_BYTES
    if isinstance(kind, mysql.SET):
        return sum(len(member) + 1 for member in kind.values) * _CHARACTER
    if type(kind) in _TEXT_BYTES:
        return _TEXT_BYTES[type(kind)] * _CHARACTER
    length = getattr(kind, "length", None)
    if isinstance(kind, types.String) and not isinstance(kind, types.Text) and length:
        return int(length) * _CHARACTER
    return None


def _written(found: Reflected, column: DialectColumn) -> ColumnElement[Any]:
    """Return a column's value as written in a line."""
    value: ColumnElement[Any] = cast(exactly(found.table.c[column.name]), mysql.CHAR(charset="utf8mb4"))
    if isinstance(column.dtype, pl.String):
        for mark, escape in _ESCAPES:
            value = func.replace(value, literal(mark), literal(escape))
    return func.coalesce(value, literal(copytext.NULL))


def _arrow(dtype: pl.DataType) -> pa.DataType:
    if isinstance(dtype, pl.Decimal):
        return narrowest(dtype.precision, dtype.scale)
    # Moments are written without their zone, which is UTC.
    return _ARROW[type(dtype)]


def _meant(values: pa.ChunkedArray, kind: pa.DataType, *, escaped: bool) -> pa.ChunkedArray:
    """Return a column's values as it has them; raises `pyarrow.ArrowInvalid` for one that it cannot hold."""
    if by_way_of_floats(kind):
        return pa.chunked_array([exact(chunk, kind) for chunk in values.chunks], kind)
    if escaped and pa.types.is_string(kind):
        return copytext.unescaped(values)
    if pa.types.is_temporal(kind):
        _check_calendar(values)
    return values


def _check_calendar(values: pa.ChunkedArray) -> None:
    """Raise `pyarrow.ArrowInvalid` for a day before the first of Python's calendar, which a zero date nearly is."""
    least = pc.min(values)
    if least.is_valid and least.cast(pa.date32()).value < (_FIRST_DAY - date(1970, 1, 1)).days:
        raise pa.ArrowInvalid("a day before the calendar's first")


_ARROW: dict[type[pl.DataType], pa.DataType] = {
    pl.Int64: pa.int64(),
    pl.Float64: pa.float64(),
    pl.String: pa.string(),
    pl.Date: pa.date32(),
    pl.Datetime: pa.timestamp("us"),
}
_MADE: dict[type[pl.DataType], Callable[[str], Any]] = {
    pl.Int64: int,
    pl.Float64: float,
    pl.Decimal: Decimal,
}
