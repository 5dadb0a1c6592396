"""From bronze rows to typed columns, row by row: what cannot be read is marked, never dropped and never fatal."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl

from headworks.bronze.stamping import LANDED
from headworks.errors import SettingsError, SourceMissing
from headworks.names import OWN_IN_BRONZE
from headworks.silver.dataset import ARRIVAL, BATCH, CURSOR, DELETED, PROVENANCE, Dataset
from headworks.sources.base import RAW, REFUSED
from headworks.sources.repeated import REPEATED, conflicts
from headworks.storage.drift import stored
from headworks.storage.exact import exactly, fits, in_calendar, same_kind, within_calendar

UNREADABLE = "_unreadable"
RECORD_UNREADABLE = "record|unreadable"
CURSOR_IN_FUTURE = "cursor|future"

_MALFORMED = "_malformed"
_PIECE = 200
"""How many records are taken apart at once."""
_PLACE_NAME = "_place"
_PLACE = pl.int_range(pl.len()).alias(_PLACE_NAME)
"""Kept alongside expressions that may all be constants, and would else give one row."""
_STAMPED = -(2**62)
"""Where the rows begin that were landed before their order was noted."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)


def parse(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the typed columns of ``rows`` with provenance and a list of what could not be read in each row."""
    # A source's fields may have any name, those of our own columns among them: these are looked at apart.
    raw, malformed = _fields(rows, dataset) if dataset.fields else (rows, [None] * rows.height)
    made = _exact(raw, dataset)
    typed = [expression.alias(name) for name, expression in made.items()]
    gone = _gone(raw, rows, dataset)
    ours = rows.select(_arrival(rows), *(name for name in PROVENANCE if name not in {CURSOR, ARRIVAL}))
    parsed = pl.concat(
        [
            raw.select(*typed, _PLACE).drop(_PLACE_NAME),
            ours,
            gone.to_frame(),
            pl.DataFrame({_MALFORMED: pl.Series(malformed, dtype=pl.String)}),
        ],
        how="horizontal",
    )
    present = raw.select(*(_present(expression).alias(name) for name, expression in made.items()), _PLACE)
    broken = [
        pl.when(
            present.get_column(name)
            & pl.col(name).is_null()
            & (~pl.col(DELETED) | pl.lit(name in dataset.key))
        ).then(pl.lit(f"{name}|unreadable"))
        for name in dataset.columns
    ]
    whole = pl.when(pl.col(_MALFORMED).is_not_null()).then(pl.col(_MALFORMED))
    missing = [_missing(name, dataset, present) for name in _identifying(dataset)]
    unreadable = pl.concat_list(whole, *broken, *missing).list.drop_nulls().alias(UNREADABLE)
    return parsed.with_columns(unreadable, _cursor(dataset)).select(
        *dataset.columns, *PROVENANCE, UNREADABLE, DELETED
    )


def _identifying(dataset: Dataset) -> list[str]:
    """Return the columns without which a row has no place in silver, and that the schema lets be null."""
    cursor = [dataset.cursor] if dataset.keeps == "history" and dataset.cursor is not None else []
    columns = dataset.schema.columns()
    return [name for name in dict.fromkeys([*dataset.key, *cursor]) if columns[name].nullable]


def _missing(name: str, dataset: Dataset, present: pl.DataFrame) -> pl.Expr:
    """Return the reason of a row that lacks a part of its key, or of the beginning of its time."""
    needed = pl.lit(name in dataset.key) | ~pl.col(DELETED)
    lacks = pl.col(name).is_null() & ~present.get_column(name) & pl.col(_MALFORMED).is_null() & needed
    return pl.when(lacks).then(pl.lit(f"{name}|nullability"))


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
        columns = [name for name in rows.columns if name not in OWN_IN_BRONZE]
        records = [
            json.dumps(row, default=str, ensure_ascii=False)
            for row in in_calendar(rows.select(columns)).iter_rows(named=True)
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
    return rows.select(key_as_text(key, rows.schema).alias("key")).to_series()


def key_as_text(key: tuple[str, ...], types: Mapping[str, pl.DataType]) -> pl.Expr:
    """Return the expression of a key as one text.

    A number has one text in every type that holds it: 0.1 of 32 bits is 0.10000000149011612, which it is in 64 bits
    too, and there is one nought.
    """
    parts = [_double(name) if types[name].is_float() else pl.col(name) for name in key]
    return pl.concat_str([part.cast(pl.String) for part in parts], separator=" / ")


def _double(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64)
    return pl.when(value == 0).then(pl.lit(0.0)).otherwise(value)


def same_key(text: pl.Expr) -> pl.Expr:
    """Return a key's text as it is compared with one of another time: the scale of a decimal may have grown since.

    A text that only looks like a number may be taken for another one by this, so it is no proof that two are the same.
    """
    shorter = text.str.replace_all(r"(\.\d*?)0+( / |$)", "${1}${2}")
    return shorter.str.replace_all(r"\.( / |$)", "${1}")


def tombstones(parsed: pl.DataFrame, dataset: Dataset) -> pl.Series:
    """Return which rows say that their key is gone, and have a key that can be read: no rule is asked about these."""
    keyed = pl.all_horizontal(pl.col(name).is_not_null() for name in dataset.key)
    return parsed.select(pl.col(DELETED) & keyed & (pl.col(UNREADABLE).list.len() == 0)).to_series()


def _gone(raw: pl.DataFrame, rows: pl.DataFrame, dataset: Dataset) -> pl.Series:
    if dataset.deleted_when is not None:
        flagged = raw.select(dataset.deleted_when.fill_null(value=False).alias(DELETED)).to_series()
        return flagged if len(flagged) == rows.height else flagged.new_from_index(0, rows.height)
    # A column of that name which is no truth value is the source's own, and says nothing to us.
    marked = rows.schema.get(DELETED) == pl.Boolean()
    gone = (
        pl.col(DELETED).fill_null(value=False) if marked else pl.repeat(False, rows.height, dtype=pl.Boolean)
    )
    return rows.select(gone.alias(DELETED)).to_series()


def stamped_arrival() -> pl.Expr:
    """Return the place in the order of arrival of rows from before it was noted: by the clocks that stamped them."""
    return pl.lit(_STAMPED, dtype=pl.Int64) + pl.col("_ingested_at").to_physical()


def stamped_before(moment: datetime) -> int:
    """Return the place in the order of arrival of a row that was stamped at a moment, before order was noted."""
    return _STAMPED + (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _arrival(rows: pl.DataFrame) -> pl.Expr:
    """Return the place of each row in the order in which bronze got them.

    Rows from before that was noted come before all others, in the order of the clocks that stamped them.
    """
    stamped = stamped_arrival()
    if LANDED not in rows.columns:
        return stamped.alias(ARRIVAL)
    noted = pl.col(LANDED) * BATCH + pl.col("_row")
    return pl.when(pl.col(LANDED).is_null()).then(stamped).otherwise(noted).alias(ARRIVAL)


def _exact(raw: pl.DataFrame, dataset: Dataset) -> dict[str, pl.Expr]:
    """Return the expression of each column in its declared type, null where that does not hold the value as it is.

    Raises `SourceMissing` where bronze lacks a column, `SettingsError` where an expression gives another kind of type.
    """
    asked = {name: set(made.meta.root_names()) - set(raw.columns) for name, made in dataset.columns.items()}
    if lacking := [f"{name} is made of {', '.join(sorted(these))}" for name, these in asked.items() if these]:
        raise SourceMissing(
            f"Bronze lacks columns that silver is made of: {'; '.join(lacking)}.",
            where=dataset.name,
            do="see whether the source renamed them, and change the declaration's expressions. Bronze has "
            f"{', '.join(name for name in raw.columns if not name.startswith('_'))}.",
        )
    try:
        given = raw.lazy().select(made.alias(name) for name, made in dataset.columns.items()).collect_schema()
    except pl.exceptions.PolarsError:
        # One by one, to say which.
        given = pl.Schema({name: _given(raw, dataset, name) for name in dataset.columns})
    return {name: _declared(dataset, name, given[name]) for name in dataset.columns}


def _given(raw: pl.DataFrame, dataset: Dataset, name: str) -> pl.DataType:
    """Return the type that a column's expression gives; raises `SettingsError` where it cannot be made of bronze's."""
    made = dataset.columns[name]
    try:
        return raw.lazy().select(made.alias(name)).collect_schema()[name]
    except pl.exceptions.PolarsError as problem:
        of = ", ".join(f"{root}, a {raw.schema[root]}" for root in made.meta.root_names())
        wanted = dataset.schema.columns()[name].dtype
        raise SettingsError(
            f"Column {name} is declared as {wanted}, and cannot be made of {of}: {problem}.",
            where=dataset.name,
            do="declare the type that the source has, or give the column an expression that reads it.",
        ) from problem


def _declared(dataset: Dataset, name: str, given: pl.DataType) -> pl.Expr:
    column, made = dataset.schema.columns()[name], dataset.columns[name]
    dtype = given if column.validate_dtype(given) else column.dtype
    kept = stored(column.dtype)
    if kept is None or not same_kind(given, dtype) or not same_kind(dtype, kept):
        raise SettingsError(
            f"Column {name} is declared as {column.dtype}, and its expression gives {given}.",
            where=dataset.name,
            do="change one of them: a type is never cast to another unless its values stay what they are.",
        )
    exact = exactly(made, given, dtype)
    held = [fits(exact, dtype, kept)] if kept != dtype else []
    # A day of the year 0 would pass silver, and stop each publication of the product from then on.
    if (dated := within_calendar(exact, dtype)) is not None:
        held.append(dated)
    return pl.when(pl.all_horizontal(held)).then(exact) if held else exact


def _cursor(dataset: Dataset) -> pl.Expr:
    """Return what orders versions: the cursor's exact value; a number that is not finite has no place in the order."""
    kind = dataset.cursor_type()
    if dataset.cursor is None:
        return pl.lit(None, dtype=kind).alias(CURSOR)
    return cursor_order(pl.col(dataset.cursor), dataset.schema.columns()[dataset.cursor].dtype, kind).alias(
        CURSOR
    )


def cursor_order(value: pl.Expr, declared: pl.DataType, kind: pl.DataType) -> pl.Expr:
    """Return a cursor of a declared type as it orders versions, in the type ``kind``."""
    if isinstance(declared, pl.Datetime):
        value = value.cast(pl.Datetime("us", declared.time_zone))
    if kind == pl.Int64():
        return value.to_physical().cast(kind)
    made = value.cast(kind)
    return pl.when(made.is_finite()).then(made) if kind == pl.Float64() else made


def _present(expression: pl.Expr) -> pl.Expr:
    roots = expression.meta.root_names()
    return pl.all_horizontal(pl.col(name).is_not_null() for name in roots) if roots else pl.lit(False)


def _fields(rows: pl.DataFrame, dataset: Dataset) -> tuple[pl.DataFrame, list[str | None]]:
    """Take each JSON record apart into columns of text: strings without quotes, all else exactly as written.

    With it comes why a record cannot be read, None where it can.
    """
    columns: dict[str, list[str | None]] = {name: [] for name in dataset.fields}
    malformed: list[str | None] = []
    for piece in rows.select("record").iter_slices(_PIECE):
        records = piece.to_series().to_list()
        objects = [_object_of(record) for record in records]
        repeated = {} if dataset.repeated_names == "last" else conflicts(records, objects)
        for place, values in enumerate(objects):
            texts, reason = _texts(values, dataset.fields, repeated.get(place, ()))
            malformed.append(reason)
            for column, value in zip(columns.values(), texts, strict=True):
                column.append(value)
    fields = [pl.Series(name, column, dtype=pl.String) for name, column in columns.items()]
    return rows.drop("record").with_columns(fields), malformed


def _texts(
    values: Mapping[str, msgspec.Raw] | None, names: tuple[str, ...], unknown: Collection[str]
) -> tuple[list[str | None], str | None]:
    """Return the texts of a record's fields, and why the record cannot be read; ``unknown`` fields have no text."""
    if values is None:
        return [None] * len(names), RECORD_UNREADABLE
    try:
        if unknown:
            values = {name: raw for name, raw in values.items() if name not in unknown}
        return [_text(values.get(name)) for name in names], REPEATED if unknown else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [None] * len(names), RECORD_UNREADABLE


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
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return None


def _text(raw: Any) -> str | None:
    if raw is None:
        return None
    data = bytes(raw)
    if data == b"null":
        return None
    return _string.decode(data) if data.startswith(b'"') else data.decode("utf-8", "replace")
