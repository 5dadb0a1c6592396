"""How bronze columns are encoded in Parquet, chosen by a look at a batch's first rows.

A dictionary of values that hardly repeat is built, found too large and thrown away: a quarter of the time that TPC-H's
lineitem takes to write. Whole numbers as differences, varying decimals too, which Parquet keeps as such, and bounds for
a column's part of a file but not for each of its pages, which nobody asks for, save a quarter of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

_SAMPLE = 8_192
_FEW = 1_024
_MOST_DISTINCT = 0.3
"""Of so many rows, the largest share of different values for which a dictionary still saves more than it costs."""
_SHORT_DIGITS = 18
"""Decimals of at most so many digits are whole numbers of 64 bits in Parquet."""

_OWN_NUMBERS = ("_row", "_sequence", "_ingested_at", "_landed")


@dataclass(frozen=True)
class Layout:
    """Which columns are written without a dictionary, and which as the differences of whole numbers."""

    varied: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset(_OWN_NUMBERS)


class Encoding:
    """How the batches of one landing are written: chosen at the first that has rows enough to judge."""

    def __init__(self) -> None:
        self._chosen: Layout | None = None

    def of(self, rows: pa.Table) -> Layout:
        """Return how to write a batch: numbers as differences, no dictionary for values that hardly repeat."""
        if self._chosen is None and len(rows) >= _FEW:
            varied = frozenset(name for name, share in _distinct(rows) if share > _MOST_DISTINCT)
            numbers = (
                field.name
                for field in rows.schema
                if pa.types.is_integer(field.type) or (field.name in varied and _is_short(field.type))
            )
            self._chosen = Layout(varied, frozenset([*numbers, *_OWN_NUMBERS]))
        return self._chosen or Layout()


def _distinct(rows: pa.Table) -> Iterator[tuple[str, float]]:
    """Yield the columns that can be counted, each with the share of its first rows' values that are different."""
    sample = rows.slice(0, _SAMPLE)
    for name, values in zip(sample.column_names, sample.columns, strict=True):
        if not (pa.types.is_nested(values.type) or _is_counted_already(values.type)):
            yield name, pc.count_distinct(values, mode="all").as_py() / len(values)


def _is_short(kind: pa.DataType) -> bool:
    """Return whether a type is of decimals that Parquet keeps as whole numbers."""
    return bool(pa.types.is_decimal(kind)) and kind.precision <= _SHORT_DIGITS


def _is_counted_already(kind: pa.DataType) -> bool:
    """Return whether values of a type are few by what they are; Arrow does not count those."""
    return bool(pa.types.is_dictionary(kind) or pa.types.is_null(kind))
