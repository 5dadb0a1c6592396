"""Expressions that read text strictly: what does not fit becomes null, and is then rejected as unreadable."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import polars as pl

from headworks.storage.exact import same_numbers

_YEAR = r"([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DAY = rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}$"
# A leap second would be the first one of the next minute.
_MOMENT = rf"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-5][0-9](\.[0-9]{{1,6}}0*)?Z$"
_EXPONENT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,6}", re.ASCII)
_MOST_DIGITS = 80

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
    # As text first: a column of numbers would be cut to whole ones.
    return pl.col(column).cast(pl.String).cast(pl.Int64, strict=False)


def number(column: str) -> pl.Expr:
    """Return a text column as 64-bit floats, null where it is none, or a number that the float next to it is not.

    0.1 is read, since that float is written so; 9007199254740993 and 1e-400 are not.
    """
    return (
        pl.col(column).cast(pl.String).map_batches(_floats, return_dtype=pl.Float64)
    )  # read in one pass, with its text alongside


def _floats(texts: pl.Series) -> pl.Series:
    read = texts.cast(pl.Float64, strict=False)
    same = same_numbers(texts, read)
    return pl.select(pl.when(same).then(read)).to_series().alias(texts.name)


def decimal(column: str, precision: int, scale: int) -> pl.Expr:
    """Return a text column as decimals, null where it is none or has more digits than fit: nothing is rounded."""
    text = pl.col(column).cast(pl.String).map_batches(_without_exponents, return_dtype=pl.String)
    # Polars rounds what it casts: only zeros may come after the last digit that is kept.
    fits = text.str.contains(_decimal_of(scale))
    return pl.when(fits).then(text).cast(pl.Decimal(precision, scale), strict=False)


def iso_date(column: str) -> pl.Expr:
    """Return a text column as dates written as 2026-01-31, null where there is no such day."""
    day = pl.when(pl.col(column).str.contains(_DAY)).then(pl.col(column))
    return day.str.to_date("%Y-%m-%d", strict=False)


def utc_moment(column: str) -> pl.Expr:
    """Return a text column as moments in UTC written as 2026-01-31T12:00:00.000000Z, null where it is none.

    Zeros may come after the sixth digit of a second, and nothing else: moments are kept in microseconds.
    """
    moment = pl.when(pl.col(column).str.contains(_MOMENT)).then(pl.col(column))
    return moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False).dt.replace_time_zone(
        "UTC"
    )


def _without_exponents(texts: pl.Series) -> pl.Series:
    """Return numbers such as 1.5e2 as 150: JSON may have either."""
    with_exponent = texts.str.contains("[eE]").fill_null(False)
    if not with_exponent.any():
        return texts
    written = [_written_out(text) for text in texts.filter(with_exponent)]
    return texts.scatter(with_exponent.arg_true(), pl.Series(written, dtype=pl.String))


def _written_out(text: str) -> str | None:
    try:
        number = Decimal(text) if _EXPONENT.fullmatch(text) else None
    except InvalidOperation:
        return None
    return f"{number:f}" if number is not None and abs(number.adjusted()) < _MOST_DIGITS else None


def _decimal_of(scale: int) -> str:
    """Return the pattern of numbers that have no more digits after the point than ``scale``, zeros left out."""
    return rf"^[+-]?([0-9]+(\.[0-9]{{0,{scale}}}0*)?|\.[0-9]{{0,{scale}}}0*)$"


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return _json.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None


def _string_at(text: str | None, field: str) -> str | None:
    value = (_object(text) or {}).get(field)
    return value if isinstance(value, str) and value else None
