"""The records that their source refused, as versions of their keys: the key and the cursor, as far as they have them.

A row of a database that has a value which no type holds is kept as JSON, with its key and its cursor as they were read;
a JSON record that is no UTF-8 may have both, too. So what the source gives later for that key replaces it, as it does
any other rejected version. Of a line of text, or of a file that cannot be read, no key is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import polars as pl

from headworks.quality.rules import REASONS
from headworks.silver.dataset import CURSOR, DELETED, PROVENANCE, Dataset
from headworks.silver.parse import CURSOR_IN_FUTURE, UNREADABLE, parse, refused, without_future
from headworks.sources.base import RAW, REFUSED

_MISFIT = "|unreadable"
_LOST = "�"
"""What is read in place of bytes that are no UTF-8: a key with it is not the source's."""


def refused_versions(rows: pl.DataFrame, dataset: Dataset, latest: datetime) -> pl.DataFrame:
    """Return the refused ones of bronze rows, parsed, with their reasons; what is not known of a row is null.

    The first reason is the source's; a cursor after ``latest`` is one more, since it would be the newest for ever.
    """
    those = refused(rows)
    read = _records(those) if dataset.fields else _table_rows(those)
    parsed = without_future(parse(read, dataset), dataset, latest)
    future = pl.when(pl.col(UNREADABLE).list.contains(CURSOR_IN_FUTURE)).then(pl.lit(CURSOR_IN_FUTURE))
    source = (
        those.get_column(REFUSED) if REFUSED in those.columns else pl.Series(REFUSED, [], dtype=pl.String)
    )
    reasons = pl.concat_list(pl.col(REFUSED), future).list.drop_nulls().alias(REASONS)
    known = [_known(parsed, name) for name in dict.fromkeys([*dataset.key, CURSOR])]
    marked = parsed.with_columns(source.alias(REFUSED), *known, pl.lit(value=False).alias(DELETED))
    return marked.with_columns(reasons).drop(REFUSED)


def _known(parsed: pl.DataFrame, name: str) -> pl.Expr:
    if parsed.schema[name] != pl.String():
        return pl.col(name)
    return pl.when(~pl.col(name).str.contains(_LOST, literal=True)).then(pl.col(name)).alias(name)


def _records(rows: pl.DataFrame) -> pl.DataFrame:
    """Return refused records of JSON as they would be read if their text were UTF-8."""
    if rows.is_empty():
        return rows
    texts = [(raw or b"").decode("utf-8", "replace").encode() for raw in rows.get_column(RAW)]
    return rows.with_columns(pl.Series("record", texts, dtype=pl.Binary))


def _table_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return refused rows of a table with the values that fit their columns, out of the JSON that they are kept as."""
    if rows.is_empty():
        return rows
    kept = [_object(reason, raw) for reason, raw in rows.select(REFUSED, RAW).iter_rows()]
    names = [name for name in rows.columns if name not in {*PROVENANCE, REFUSED, RAW}]
    present = {name for one in kept for name in one}
    made = []
    for name in names:
        dtype = rows.schema[name]
        if name in present and (reader := _reader(dtype)) is not None:
            made.append(
                pl.Series(name, [_value(one.get(name), reader) for one in kept], dtype=dtype, strict=False)
            )
    return rows.with_columns(made)


def _object(reason: str, raw: bytes | None) -> Mapping[str, Any]:
    """Return the values of a row of a table, without the one that it was refused for."""
    if not reason.endswith(_MISFIT):
        return {}
    try:
        found = json.loads(raw or b"")
    except ValueError:
        return {}
    found = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    return {name: value for name, value in found.items() if name != reason.removesuffix(_MISFIT)}


def _reader(dtype: pl.DataType) -> Callable[[Any], Any] | None:
    """Return what reads a value of JSON as one of a type, None for types that no key or cursor has."""
    if dtype.is_integer():
        return lambda value: value if isinstance(value, int) and not isinstance(value, bool) else None
    if dtype.is_float():
        return lambda value: float(value) if isinstance(value, int | float) else None
    if isinstance(dtype, pl.Decimal):
        return lambda value: _decimal(value, dtype.scale)
    if isinstance(dtype, pl.Datetime):
        return lambda value: _moment(value, zoned=dtype.time_zone is not None)
    return _READERS.get(dtype)


_READERS: dict[pl.DataType, Callable[[Any], Any]] = {
    pl.String(): lambda value: value if isinstance(value, str) else None,
    pl.Boolean(): lambda value: value if isinstance(value, bool) else None,
    pl.Date(): date.fromisoformat,
    pl.Time(): time.fromisoformat,
    pl.Binary(): bytes.fromhex,
}


def _value(value: Any, reader: Callable[[Any], Any]) -> Any:
    """Return a value as its column has it, None where it is none of that type: a second one of the row did not fit."""
    if value is None:
        return None
    try:
        return reader(value)
    except (ValueError, TypeError, OverflowError, InvalidOperation):
        return None


def _decimal(value: Any, scale: int) -> Decimal | None:
    number = Decimal(str(value))
    exponent = number.as_tuple().exponent
    return number if isinstance(exponent, int) and -exponent <= scale else None


def _moment(value: Any, *, zoned: bool) -> datetime | None:
    moment = datetime.fromisoformat(value)
    return moment if (moment.tzinfo is not None) == zoned else None
