"""Expressions that read text strictly: what does not fit becomes null, and is then rejected as unreadable.

What belongs here: reading of single values, as needed by the declarations of datasets. What does not: rules.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

_json = msgspec.json.Decoder(dict[str, Any])


def json_string(column: str, field: str) -> pl.Expr:
    """Return the non-empty string at ``field`` of the JSON object that a text column holds, else null."""

    def read(values: pl.Series) -> pl.Series:
        return pl.Series(values.name, [_string_at(text, field) for text in values], dtype=pl.String)

    return pl.col(column).map_batches(read, return_dtype=pl.String)


def json_object(column: str) -> pl.Expr:
    """Return the text of a column where it is a JSON object, else null."""

    def read(values: pl.Series) -> pl.Series:
        texts = [text if _object(text) is not None else None for text in values]
        return pl.Series(values.name, texts, dtype=pl.String)

    return pl.col(column).map_batches(read, return_dtype=pl.String)


def whole_number(column: str) -> pl.Expr:
    """Return a text column as 64-bit whole numbers, null where it is none."""
    return pl.col(column).cast(pl.Int64, strict=False)


def decimal(column: str, precision: int, scale: int) -> pl.Expr:
    """Return a text column as decimals, null where it is none or has more digits than fit."""
    return pl.col(column).cast(pl.Decimal(precision, scale), strict=False)


def iso_date(column: str) -> pl.Expr:
    """Return a text column as dates written as 2026-01-31, null where there is no such day."""
    return pl.col(column).str.to_date("%Y-%m-%d", strict=False)


def utc_moment(column: str) -> pl.Expr:
    """Return a text column as moments in UTC written as 2026-01-31T12:00:00.000000Z, null where it is none."""
    return (
        pl.col(column)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
        .dt.replace_time_zone("UTC")
    )


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return _json.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def _string_at(text: str | None, field: str) -> str | None:
    value = (_object(text) or {}).get(field)
    return value if isinstance(value, str) and value else None
