"""From bronze rows to typed columns, row by row: what cannot be read is marked, never dropped and never fatal.

What belongs here: taking records apart and casting. What does not: rules about values.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from headworks.refine.dataset import DELETED, ORIGIN, PROVENANCE, Dataset
from headworks.sources.base import RAW, REFUSED

UNREADABLE = "_unreadable"
RECORD_UNREADABLE = "record|unreadable"
CURSOR_IN_FUTURE = "cursor|future"

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)


def parse(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the typed columns of ``rows`` with provenance and a list of what could not be read in each row."""
    raw = (
        _fields(rows, dataset.fields)
        if dataset.fields
        else rows.with_columns(pl.lit(False).alias("_malformed"))
    )
    typed = [expression.alias(name) for name, expression in dataset.columns.items()]
    gone = _gone(raw, dataset)
    broken = [
        pl.when(_present(expression) & expression.is_null() & (~gone | pl.lit(name in dataset.key))).then(
            pl.lit(f"{name}|unreadable")
        )
        for name, expression in dataset.columns.items()
    ]
    whole = pl.when(pl.col("_malformed")).then(pl.lit(RECORD_UNREADABLE))
    unreadable = pl.concat_list(whole, *broken).list.drop_nulls().alias(UNREADABLE)
    provenance = [pl.col(name) for name in PROVENANCE if name != "_cursor"]
    parsed = raw.select(*typed, *provenance, unreadable, gone.alias(DELETED))
    return parsed.with_columns(_cursor(dataset))


def without_future(parsed: pl.DataFrame, dataset: Dataset, latest: datetime) -> pl.DataFrame:
    """Mark rows whose cursor lies after ``latest``: the newest version wins, and such a row would win for ever."""
    dtype = parsed.schema.get(dataset.cursor) if dataset.cursor is not None else None
    if dataset.cursor is None or not isinstance(dtype, pl.Datetime | pl.Date):
        return parsed
    zoned = not isinstance(dtype, pl.Datetime) or dtype.time_zone is not None
    limit = pl.lit(latest).cast(dtype) if zoned else pl.lit(latest.replace(tzinfo=None))
    reason = pl.when(pl.col(dataset.cursor) > limit).then(pl.lit(CURSOR_IN_FUTURE))
    return parsed.with_columns(pl.concat_list(UNREADABLE, reason).list.drop_nulls().alias(UNREADABLE))


def raw_records(rows: pl.DataFrame, dataset: Dataset) -> list[str]:
    """Return each bronze row as text, as it is kept in quarantine: an API's record itself, a table's row as JSON."""
    refused = _refused_records(rows)
    if dataset.fields:
        records = [_decoded(record) for record in rows.get_column("record")]
    else:
        columns = [name for name in rows.columns if not name.startswith("_")]
        records = [
            json.dumps(row, default=str, ensure_ascii=False)
            for row in rows.select(columns).iter_rows(named=True)
        ]
    return [record if raw is None else _decoded(raw) for record, raw in zip(records, refused, strict=True)]


def readable(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return bronze rows without the records that their source refused when it read them."""
    return rows.filter(pl.col(REFUSED).is_null()) if REFUSED in rows.collect_schema() else rows


def refused(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the bronze rows that are refused records."""
    return rows.filter(pl.col(REFUSED).is_not_null()) if REFUSED in rows.columns else rows.clear()


def key_text(rows: pl.DataFrame, key: tuple[str, ...]) -> pl.Series:
    """Return each row's key as one text, for people."""
    return rows.select(key_as_text(key).alias("key")).to_series()


def key_as_text(key: tuple[str, ...]) -> pl.Expr:
    """Return the expression of a key as one text."""
    return pl.concat_str([pl.col(name).cast(pl.String) for name in key], separator=" / ")


def tombstones(parsed: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """Tell which rows say that their key is gone, and have a key that can be read: no rule is asked about these."""
    keyed = pl.all_horizontal(pl.col(name).is_not_null() for name in dataset.key)
    return parsed.select(pl.col(DELETED) & keyed & (pl.col(UNREADABLE).list.len() == 0)).to_series()


def _gone(raw: pl.DataFrame, dataset: Dataset) -> pl.Expr:
    if dataset.deleted_when is not None:
        return dataset.deleted_when.fill_null(False)
    return pl.col(DELETED).fill_null(False) if DELETED in raw.columns else pl.lit(False)


def _cursor(dataset: Dataset) -> pl.Expr:
    if dataset.cursor is None:
        return pl.lit(None, dtype=pl.Int64).alias("_cursor")
    return pl.col(dataset.cursor).to_physical().cast(pl.Int64).alias("_cursor")


def _present(expression: pl.Expr) -> pl.Expr:
    roots = expression.meta.root_names()
    return pl.all_horizontal(pl.col(name).is_not_null() for name in roots) if roots else pl.lit(False)


def _fields(rows: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    """Take each JSON record apart into columns of text: strings without quotes, all else exactly as written."""
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    malformed: list[bool] = []
    for record in rows.get_column("record"):
        values = _object_of(record)
        malformed.append(values is None)
        for name, column in columns.items():
            column.append(_text(values.get(name)) if values else None)
    kept = rows.select(*ORIGIN, "_ingested_at", *([DELETED] if DELETED in rows.columns else []))
    fields = {name: pl.Series(name, column, dtype=pl.String) for name, column in columns.items()}
    return kept.with_columns(**fields, _malformed=pl.Series(malformed, dtype=pl.Boolean))


def _refused_records(rows: pl.DataFrame) -> list[bytes | None]:
    """Return the bytes of each refused record, None for every other row."""
    if REFUSED not in rows.columns:
        return [None] * rows.height
    return [
        (raw or b"") if reason is not None else None for reason, raw in rows.select(REFUSED, RAW).iter_rows()
    ]


def _decoded(record: bytes | None) -> str:
    return (record or b"").decode("utf-8", "replace")


def _object_of(record: bytes | None) -> dict[str, msgspec.Raw] | None:
    if record is None:
        return None
    try:
        return _object.decode(record)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None


def _text(raw: Any) -> str | None:
    if raw is None:
        return None
    data = bytes(raw)
    if data == b"null":
        return None
    return _string.decode(data) if data.startswith(b'"') else data.decode("utf-8", "replace")
