"""How bronze columns are encoded in Parquet, chosen by a look at a batch's first rows.

A dictionary of values that hardly repeat is built, found too large and thrown away: a quarter of the time that TPC-H's
lineitem takes to write. Whole numbers as differences, and bounds for a column's part of a file but not for each of its
pages, which nobody asks for, save a quarter of what is left. What belongs here: that choice. What does not: writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import ColumnProperties, WriterProperties

_SAMPLE = 8_192
_FEW = 1_024
_MOST_DISTINCT = 0.3
"""Of so many rows, the largest share of different values for which a dictionary still saves more than it costs."""

# Delta's own statistics are made from these.
_BOUNDS: Final = "CHUNK"
_PLAIN = ColumnProperties(statistics_enabled=_BOUNDS)
_NUMBERS = ColumnProperties(
    dictionary_enabled=False, encoding="DELTA_BINARY_PACKED", statistics_enabled=_BOUNDS
)
_VARIED = ColumnProperties(dictionary_enabled=False, statistics_enabled=_BOUNDS)
_OWN_NUMBERS = ("_row", "_sequence", "_ingested_at")


def _properties(columns: Mapping[str, ColumnProperties]) -> WriterProperties:
    own = dict.fromkeys(_OWN_NUMBERS, _NUMBERS)
    return WriterProperties(
        compression="SNAPPY", default_column_properties=_PLAIN, column_properties={**columns, **own}
    )


NUMBERED = _properties({})


class Encoding:
    """How the batches of one landing are written: chosen at the first that has rows enough to tell."""

    def __init__(self) -> None:
        self._chosen: WriterProperties | None = None

    def of(self, rows: pl.DataFrame | pa.Table) -> WriterProperties:
        """Return how to write a batch: numbers as differences, no dictionary for values that hardly repeat."""
        if self._chosen is None and len(rows) >= _FEW:
            varied = {name: _VARIED for name, share in _distinct(rows) if share > _MOST_DISTINCT}
            self._chosen = _properties({**varied, **dict.fromkeys(_whole_numbers(rows), _NUMBERS)})
        return self._chosen or NUMBERED


def _distinct(rows: pl.DataFrame | pa.Table) -> Iterator[tuple[str, float]]:
    """Yield the columns that can be counted, each with the share of its first rows' values that are different."""
    if isinstance(rows, pl.DataFrame):
        for column in rows.head(_SAMPLE):
            if not column.dtype.is_nested():
                yield column.name, column.n_unique() / len(column)
        return
    sample = rows.slice(0, _SAMPLE)
    for name, values in zip(sample.column_names, sample.columns, strict=True):
        if not pa.types.is_nested(values.type):
            yield name, pc.count_distinct(values, mode="all").as_py() / len(values)


def _whole_numbers(rows: pl.DataFrame | pa.Table) -> list[str]:
    """Return the columns of whole numbers."""
    if isinstance(rows, pl.DataFrame):
        return [column.name for column in rows if column.dtype.is_integer()]
    return [column.name for column in rows.schema if pa.types.is_integer(column.type)]
