"""Rows of a driver as frames: as they are where they fit, value by value where they do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from headworks.sources.column_types import LONGEST_DECIMAL
from headworks.sources.sql.decimals import exact
from headworks.sources.sql.misfits import misfit_column
from headworks.sources.sql.reflection import DialectColumn
from headworks.sources.sql.table import Extremes

_LARGEST = 2**63
_FLOAT_DIGITS = 1e15
# The largest power of ten that a float holds exactly.
_EXACT_POWER = 22
_PYTHON: dict[type[pl.DataType], type] = {
    pl.Int64: int,
    pl.Float64: float,
    pl.Boolean: bool,
    pl.String: str,
    pl.Binary: bytes,
    pl.Date: date,
    pl.Datetime: datetime,
    pl.Decimal: Decimal,
}

_PLAIN_DAY = r"^\d{4}-\d{2}-\d{2}$"
_PLAIN_MOMENT = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?$"
_FIRST_DAY = date(1, 1, 1)
_FINER = re.compile(r"[.,]\d{6}\d*[1-9]")
_UNFIT = (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError)


@cache
def _contexts(digits: int) -> Context:
    return Context(prec=digits, traps=[InvalidOperation, Inexact])


@dataclass(frozen=True)
class RowReader:
    """Makes frames of rows."""

    columns: tuple[DialectColumn, ...]
    schema: pl.Schema
    extremes: Extremes
    where: str

    def frame(self, rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
        """Return a frame of rows; what a column's type does not hold is empty there, and text in another column.

        That is the column's own text column where such values go there, else one of ``misfits.py``, in such frames
        alone.
        """
        if not rows:
            return pl.DataFrame(schema=self.schema)
        series: dict[str, pl.Series] = {}
        for place, column in enumerate(self.columns):
            # Faster than zip(*rows), which has as many iterators at work as there are rows.
            values = [row[place] for row in rows]
            quick = _as_they_are(values, column.dtype)
            if quick is None:
                series.update(self._series(column, values))
                continue
            series[column.name] = quick
            if f"{column.name}_text" in self.schema and column.can_be_extreme:
                series[f"{column.name}_text"] = pl.repeat(None, len(rows), dtype=pl.String(), eager=True)
        apart = {name: pl.String() for name in series if name not in self.schema}
        return pl.DataFrame(series, schema={**self.schema, **apart})

    def _series(self, column: DialectColumn, values: Sequence[Any]) -> dict[str, pl.Series]:
        fitted: list[Any] = []
        texts: list[str | None] = []
        for value in values:
            try:
                if column.mixed and isinstance(value, bytes) and isinstance(column.dtype, pl.String):
                    raise TypeError(value)
                fitted.append(None if value is None else fit(value, column.dtype))
                texts.append(None)
            except (ValueError, TypeError, ArithmeticError):
                fitted.append(None)
                texts.append(f"x'{value.hex()}'" if isinstance(value, bytes) else str(value))
        made = {column.name: pl.Series(column.name, fitted, dtype=column.dtype)}
        own = f"{column.name}_text" if column.can_be_extreme else ""
        if own in self.schema:
            made[own] = pl.Series(texts, dtype=pl.String())
        elif any(text is not None for text in texts):
            made[misfit_column(column.name)] = pl.Series(texts, dtype=pl.String())
        return made


def _as_they_are(values: Sequence[Any], dtype: pl.DataType) -> pl.Series | None:
    """Return values that all are of the type that a column's values have in Python; None where some are not.

    Polars turns other values into the column's type without a word: 1.5 into 1, and a third of a cent into none.
    """
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str} and isinstance(dtype, pl.Date | pl.Datetime):
        return _read_moments(values, dtype)
    if kinds and kinds <= {int, float} and isinstance(dtype, pl.Decimal):
        return _of_floats(values, dtype)
    if not kinds <= {_PYTHON.get(type(dtype))}:
        return None
    if isinstance(dtype, pl.Decimal):
        return _decimals(values, dtype)
    if isinstance(dtype, pl.Datetime) and any(value.tzinfo for value in values if value is not None):
        return None
    try:
        return pl.Series(values, dtype=dtype, strict=True)
    except _UNFIT:
        return None


def _decimals(values: Sequence[Any], dtype: pl.Decimal) -> pl.Series | None:
    """Return decimals with all of their digits; None where a value has more than the type."""
    if not all(value is None or value.is_finite() for value in values):
        return None
    try:
        # Without a type Polars takes as many digits as the longest has.
        found = (
            pl.Series(values)
            if any(value is not None for value in values)
            else pl.Series(values, dtype=dtype)
        )
        if isinstance(found.dtype, pl.Decimal) and found.dtype.scale <= dtype.scale:
            return found.cast(dtype, strict=True)
    except (*_UNFIT, RuntimeError):
        # Polars says so of one with more digits than any of its decimals.
        return None
    return None


def _read_moments(values: Sequence[Any], dtype: pl.DataType) -> pl.Series | None:
    """Return dates or moments that a database keeps as text; None where not all of them are plainly written."""
    texts = pl.Series(values, dtype=pl.String())
    # Polars takes 24-02-03 for a day of the year 24, and cuts what is finer than a microsecond.
    form = _PLAIN_DAY if isinstance(dtype, pl.Date) else _PLAIN_MOMENT
    if not texts.str.contains(form).fill_null(True).all():
        return None
    if isinstance(dtype, pl.Date):
        read = texts.str.to_date("%Y-%m-%d", strict=False)
        before = (read < _FIRST_DAY).any()
    else:
        iso = texts.str.replace("T", " ", literal=True)
        read = iso.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        before = (read.dt.date() < _FIRST_DAY).any()
    if before:
        # Polars has a year 0, and Python's calendar, which all that follows keeps to, has none.
        return None
    return read.cast(dtype) if read.null_count() == texts.null_count() else None


def _of_floats(values: Sequence[Any], dtype: pl.Decimal) -> pl.Series | None:
    """Return the decimals that a database keeps as floats; None unless each float is that of one such decimal.

    Up to fifteen digits a decimal and the float next to it name each other.
    """
    floats = pl.Series(values, dtype=pl.Float64(), strict=False)
    plain = floats.fill_null(0.0).to_numpy()
    with np.errstate(over="ignore"):
        whole = np.rint(plain * 10.0**dtype.scale)
    largest = min(_FLOAT_DIGITS, 10.0 ** (dtype.precision or LONGEST_DECIMAL))
    if dtype.scale > _EXACT_POWER or not (np.abs(whole) < largest).all():
        return None
    # Both are exact as floats, so that their quotient is the float next to the decimal.
    if not (whole / 10.0**dtype.scale == plain).all():
        return None
    kind = pa.decimal128(dtype.precision or LONGEST_DECIMAL, dtype.scale)
    return pl.Series(exact(floats.to_arrow(), kind)).cast(dtype)


def fit(value: Any, dtype: pl.DataType) -> Any:
    """Return a driver's value as one of a column's type; raises `ValueError` or `TypeError` where it is none."""
    if isinstance(dtype, pl.Decimal):
        return _decimal(value, dtype)
    if isinstance(dtype, pl.Datetime):
        return _moment(value, zoned=dtype.time_zone is not None)
    if isinstance(dtype, pl.Date):
        return _day(value)
    if isinstance(dtype, pl.Boolean):
        if value in (0, 1):
            return bool(value)
        raise ValueError(value)
    if isinstance(dtype, pl.Int64):
        # A sum of whole numbers is a decimal in some databases.
        if isinstance(value, int | Decimal) and value == int(value) and -_LARGEST <= value < _LARGEST:
            return int(value)
        raise ValueError(value)
    if isinstance(dtype, pl.Float64):
        if isinstance(value, str | bytes):
            raise ValueError(value)
        found = float(value)
        # A decimal or a whole number with more digits than a float has would be another one.
        if isinstance(value, int | Decimal) and Decimal(value).is_finite() and Decimal(repr(found)) != value:
            raise ValueError(value)
        return found
    if isinstance(dtype, pl.Binary):
        # bytes() of a number is so many zeros, and of a large one all of the memory.
        if not isinstance(value, str | bytes | bytearray | memoryview):
            raise ValueError(value)
        return value.encode() if isinstance(value, str) else bytes(value)
    return value.decode() if isinstance(value, bytes) else str(value)


def _decimal(value: Any, dtype: pl.Decimal) -> Decimal:
    # By way of its shortest text, since a float of 0.1 means a tenth.
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    if not exact.is_finite():
        raise ValueError(value)
    # Inexact and too long both raise.
    return exact.quantize(
        Decimal(1).scaleb(-dtype.scale), context=_contexts(dtype.precision or LONGEST_DECIMAL)
    )


def _moment(value: Any, *, zoned: bool) -> datetime:
    if isinstance(value, str) and _FINER.search(value):
        raise ValueError(value)
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise ValueError(value)
    if zoned:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _day(value: Any) -> date:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(day, datetime) or not isinstance(day, date):
        raise ValueError(value)
    return day
