"""Blocks of Postgres' COPY text as Arrow tables, without Python for any single row.

A block is whole lines. They are read as they are with the columns' own types, and values are unescaped only in blocks
that have a backslash.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from headworks.errors import ReadIncomplete
from headworks.sources.sql import copytext
from headworks.sources.sql.columns import TEXT_SUFFIX, Column, schema_of
from headworks.sources.sql.decimals import by_way_of_floats, exact
from headworks.sources.sql.misfits import misfit_column
from headworks.sources.sql.table import Extremes

_NEWLINE = ord("\n")
_PIECE = 2**17
# What COPY prints for values that no date, timestamp or decimal of ours holds.
_EXTREME = r"^-?infinity$|^-?Infinity$|^NaN$| BC$|^\d{5,}-"


class BlockReader:
    """Reads blocks of rows with known columns."""

    def __init__(self, columns: list[Column], extremes: Extremes, where: str) -> None:
        self._columns = columns
        self._extremes = extremes
        self._where = where
        self.schema = schema_of(columns, extremes)
        self._floats = [column for column in columns if by_way_of_floats(column.arrow)]
        types = {column.name: column.arrow for column in columns}
        types |= {column.name: pa.float64() for column in self._floats}
        self._native = {
            (nulls, ascii_): copytext.conversion(types, nulls=nulls, checked=not ascii_)
            for nulls in (True, False)
            for ascii_ in (True, False)
        }
        self._cautious = copytext.conversion(
            {column.name: pa.string() if column.bounded else column.arrow for column in columns}
        )

    def table(self, block: bytes) -> pa.Table:
        """Return the rows of a block; what a column's type does not hold is empty there, and text in another column.

        That is the column's own text column where such values are wanted there, else one of ``misfits.py``, in such
        blocks alone.
        """
        alongside: dict[str, pa.ChunkedArray] = {}
        # Most blocks have no backslash, and so neither a NULL nor anything to unescape; looking for one costs least.
        # So does looking whether all is ASCII, and then no value need be checked to be UTF-8.
        plain = b"\\" not in block
        try:
            table = self._exact(self._read(block, self._native[not plain, block.isascii()]))
        except pa.ArrowInvalid:
            table, alongside = self._apart(self._read_cautiously(block))
        lines = _lines(block)
        if table.num_rows != lines:
            raise ReadIncomplete(
                f"{lines} rows came and {table.num_rows} were understood.",
                where=self._where,
                do="keep the lake as it is and report this; nothing of the batch was landed.",
            )
        escaped = not plain and copytext.has_escapes(block)
        return self._finished(table, alongside, escaped=escaped)

    def _read(self, block: bytes, convert: csv.ConvertOptions) -> pa.Table:
        return copytext.parse(block, [column.name for column in self._columns], convert)

    def _exact(self, table: pa.Table) -> pa.Table:
        """Return a block's rows with the decimals that were read as floats."""
        for column in self._floats:
            place = table.schema.get_field_index(column.name)
            chunks = [exact(chunk, column.arrow) for chunk in table.column(place).chunks]
            table = table.set_column(place, column.name, pa.chunked_array(chunks, column.arrow))
        return table

    def _read_cautiously(self, block: bytes) -> pa.Table:
        try:
            return self._read(block, self._cautious)
        except pa.ArrowInvalid as problem:
            raise ReadIncomplete(
                f"Rows came that are not as the database described them: {problem}.",
                where=self._where,
                do="check the database's encoding (it has to convert to UTF-8); nothing of the batch was landed.",
            ) from problem

    def _apart(self, table: pa.Table) -> tuple[pa.Table, dict[str, pa.ChunkedArray]]:
        """Take the values that no type holds out of a block that was read as text, and type the others."""
        alongside = {}
        for place, column in enumerate(self._columns):
            if not column.bounded:
                continue
            texts = table.column(place)
            extreme = pc.match_substring_regex(texts, _EXTREME)
            if pc.any(extreme).as_py():
                alongside[column.name] = pc.if_else(extreme, texts, None)
                texts = pc.if_else(extreme, None, texts)
            table = table.set_column(place, column.name, self._typed(texts, column))
        return table, alongside

    def _typed(self, texts: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
        try:
            return texts.cast(column.arrow)
        except pa.ArrowInvalid as problem:
            raise ReadIncomplete(
                f"A value of column {column.name} is not the {column.sql_type} that was described: {problem}.",
                where=self._where,
                do="report this with the value; nothing of the batch was landed.",
            ) from problem

    def _finished(self, table: pa.Table, alongside: dict[str, pa.ChunkedArray], *, escaped: bool) -> pa.Table:
        for place, column in enumerate(self._columns):
            if column.hexadecimal:
                texts = cast(pl.Series, pl.from_arrow(table.column(place)))
                binary = texts.str.decode("hex").to_arrow().cast(pa.binary())
                table = table.set_column(place, column.name, binary)
            elif escaped and column.dtype == pl.String:
                table = table.set_column(place, column.name, copytext.unescaped(table.column(place)))
        if self._extremes == "beside":
            for column in self._columns:
                if column.bounded:
                    twin = alongside.get(column.name, pa.nulls(table.num_rows, pa.string()))
                    table = table.append_column(f"{column.name}{TEXT_SUFFIX}", twin)
            return table
        for name, texts in alongside.items():
            table = table.append_column(misfit_column(name), texts)
        return table


def _lines(block: bytes) -> int:
    """Count the lines of a block; bytes.count() goes byte by byte, which takes four times as long."""
    values = np.frombuffer(block, np.uint8)
    # In pieces that stay in the processor's cache.
    pieces = (values[first : first + _PIECE] for first in range(0, len(values), _PIECE))
    return int(sum(np.count_nonzero(piece == _NEWLINE) for piece in pieces))
