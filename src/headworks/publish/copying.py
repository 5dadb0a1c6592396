"""Rows as Postgres' COPY takes them in its text format: made of whole columns, and exact for every type.

Text is escaped as COPY asks, numbers are written with all their digits, floats so that they are read back as the very
same, moments with their zone. What is nested becomes JSON, value by value: Postgres compares it by what it means.
"""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from headworks.publish.columns import type_of
from headworks.storage.drift import as_instance

_NULL = "\\N"
_ESCAPED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_IN_ARRAYS = {"\\": "\\\\", '"': '\\"'}


def copy_text(frame: pl.DataFrame) -> bytes:
    """Return rows in the text format of COPY."""
    if not frame.width:
        return b"\n" * frame.height
    nested = [name for name, dtype in frame.schema.items() if type_of(dtype) == "jsonb"]
    made = frame.with_columns(_as_json(frame.get_column(name)) for name in nested)
    written = io.BytesIO()
    made.select(_field(name, dtype) for name, dtype in made.schema.items()).write_csv(
        written, include_header=False, separator="\t", null_value=_NULL, quote_style="never"
    )
    return written.getvalue()


def _field(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as it is written: as text where the writer's own is not what Postgres reads."""
    value = pl.col(name)
    if isinstance(dtype, pl.List | pl.Array):
        return _escaped(_array(value, dtype), _ESCAPED).alias(name)
    text = _plain(value, dtype)
    return _escaped(text, _ESCAPED).alias(name) if _may_need_it(dtype) else text.alias(name)


def _plain(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return values as text that Postgres reads as the same, or as they are where the writer does so."""
    if isinstance(dtype, pl.Datetime):
        moment = value.dt.cast_time_unit("us")
        if dtype.time_zone is None:
            return moment.dt.to_string(_MOMENT)
        return moment.dt.convert_time_zone("UTC").dt.to_string(f"{_MOMENT}+00")
    if isinstance(dtype, pl.Date):
        return value.dt.to_string("%Y-%m-%d")
    if isinstance(dtype, pl.Binary):
        return pl.concat_str(pl.lit("\\x"), value.bin.encode("hex"))
    if isinstance(dtype, pl.Enum | pl.Categorical):
        return value.cast(pl.String)
    return value


_MOMENT = "%Y-%m-%d %H:%M:%S%.6f"


def _may_need_it(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Binary | pl.Enum | pl.Categorical)


def _array(value: pl.Expr, dtype: pl.List | pl.Array) -> pl.Expr:
    """Return lists as arrays of Postgres, each element quoted but for null."""
    inner = as_instance(dtype.inner)
    listed = value.arr.to_list() if isinstance(dtype, pl.Array) else value
    element = _escaped(_plain(pl.element(), inner).cast(pl.String), _IN_ARRAYS)
    quoted = pl.when(pl.element().is_null()).then(pl.lit("NULL")).otherwise(pl.format('"{}"', element))
    return pl.format("{}{}{}", pl.lit("{"), listed.list.eval(quoted).list.join(","), pl.lit("}"))


def _escaped(text: pl.Expr, signs: dict[str, str]) -> pl.Expr:
    for sign, escaped in signs.items():
        text = text.str.replace_all(sign, escaped, literal=True)
    return text


def _as_json(values: pl.Series) -> pl.Series:
    made = [None if value is None else _json(value) for value in values]
    return pl.Series(values.name, made, dtype=pl.String)


def _json(value: Any) -> str:
    return json.dumps(value, default=_in_json, ensure_ascii=False, allow_nan=False)


def _in_json(value: Any) -> Any:
    if isinstance(value, pl.Series):
        return value.to_list()
    # As text: JSON's own numbers are read as floats by most that read them.
    return (
        value.isoformat()
        if isinstance(value, date | datetime)
        else str(value)
        if isinstance(value, Decimal)
        else None
    )
