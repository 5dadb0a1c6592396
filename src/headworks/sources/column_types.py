"""The words in which people declare the type of a column."""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from headworks.errors import SettingsError

LONGEST_DECIMAL = 38
"""The most digits of a decimal."""

TYPES: Mapping[str, pl.DataType] = {
    "text": pl.String(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us", "UTC"),
}
"""The types that are declared by their name alone."""

_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")


def column_type(word: str, types: Mapping[str, pl.DataType] = TYPES) -> pl.DataType:
    """Return the type that a word such as ``decimal(10,2)`` represents; raises `SettingsError` for any other word."""
    found = types.get(word.strip().lower())
    if found is not None:
        return found
    parts = _DECIMAL.fullmatch(word.strip().lower())
    if parts:
        precision, scale = int(parts[1]), int(parts[2])
        if 1 <= precision <= LONGEST_DECIMAL and scale <= precision:
            return pl.Decimal(precision, scale)
    raise SettingsError(
        f"{word!r} is not the name of a column's type.",
        do=f"use one of {', '.join(types)} or decimal(precision,scale) with at most {LONGEST_DECIMAL} digits.",
    )
