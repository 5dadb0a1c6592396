"""Columns of gold as columns of Postgres: their types, their names, and the values that cannot be shown there.

A value that cannot be shown as it is refuses the publication before anything is written, with its table, its column and
the key of its row. Nothing is cut, rounded or left out to make it fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

import polars as pl
from polars.exceptions import ColumnNotFoundError

from headworks.errors import PublicationRefused
from headworks.gold.curation import printable
from headworks.gold.differences import NotKnown, in_order
from headworks.storage.drift import as_instance

_TYPES: dict[pl.DataType, str] = {
    pl.Boolean(): "boolean",
    pl.Int8(): "smallint",
    pl.Int16(): "smallint",
    pl.Int32(): "integer",
    pl.Int64(): "bigint",
    pl.UInt8(): "smallint",
    pl.UInt16(): "integer",
    pl.UInt32(): "bigint",
    pl.UInt64(): "numeric(20,0)",
    pl.Float32(): "real",
    pl.Float64(): "double precision",
    pl.String(): "text",
    pl.Date(): "date",
    pl.Binary(): "bytea",
}
_WHOLE = ("smallint", "integer", "bigint")
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_NAME_BYTES = 63
_NUL = "the text has a NUL character"
_NO_NUL = r'pattern: "[^\\x00]*"'
"""As a declaration in YAML says that a text has none."""
_COLUMNS = 1600
_SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
_ROWS_SHOWN = 3


def postgres_types(schema: pl.Schema, where: str) -> dict[str, str]:
    """Return the type of each column in Postgres; raises `PublicationRefused` naming every one that has none."""
    types = {name: type_of(dtype) for name, dtype in schema.items()}
    if none := [f"{name!r} is {schema[name]}" for name, kind in types.items() if kind is None]:
        raise PublicationRefused(
            f"Columns of these types have no counterpart in Postgres: {', '.join(none)}.",
            where=where,
            do="cast it in the gold transform, for example to text.",
        )
    return {name: str(kind) for name, kind in types.items()}


def holds(there: str, wanted: str) -> bool:
    """Return whether a column of Postgres holds every value of another type exactly, both of the same meaning."""
    if there == wanted:
        return True
    if there in _WHOLE and wanted in _WHOLE:
        return _WHOLE.index(there) > _WHOLE.index(wanted)
    if (there, wanted) == ("double precision", "real") or (
        there == "text" and wanted.startswith("character")
    ):
        return True
    if not there.startswith("numeric"):
        return False
    if there == "numeric":
        return wanted.startswith("numeric") or wanted in _DIGITS
    mine, theirs = _digits(there), _digits(wanted)
    return theirs is not None and mine is not None and all(a >= b for a, b in zip(mine, theirs, strict=True))


def refuse_names(schema: str, table: str, columns: Sequence[str]) -> None:
    """Raise `PublicationRefused` for names that Postgres would cut, or that it keeps for itself.

    It cuts names at 63 bytes in silence: what was made under the long name would not be found under it, and two names
    that begin alike would be one.
    """
    where = f"{schema}.{table}"
    long = [name for name in (schema, table, *columns) if len(name.encode()) > _NAME_BYTES]
    if long:
        raise PublicationRefused(
            f"Postgres cuts names at {_NAME_BYTES} bytes, and these are longer: {', '.join(long)}.",
            where=where,
            do="give shorter names.",
        )
    if odd := [repr(name) for name in (schema, table, *columns) if not name or "\0" in name]:
        raise PublicationRefused(
            f"Postgres has no such names: {', '.join(odd)}.", where=where, do="give other names."
        )
    if kept := [name for name in columns if name in _SYSTEM]:
        raise PublicationRefused(
            f"Postgres keeps these names of columns for itself: {', '.join(kept)}.",
            where=where,
            do="give the columns other names in the gold transform.",
        )
    if len(columns) > _COLUMNS:
        raise PublicationRefused(
            f"It has {len(columns)} columns, and a table of Postgres has {_COLUMNS} at most.",
            where=where,
            do="publish fewer columns, or several tables.",
        )


def refuse_values(frame: pl.DataFrame, key: Sequence[str], where: str) -> None:
    """Raise `PublicationRefused` for the first column with a value that Postgres or its readers do not take."""
    if missing := [name for name in key if name not in frame.columns]:
        raise PublicationRefused(
            f"Gold has no column {', '.join(missing)}, which the key names; it has {', '.join(frame.columns)}.",
            where=where,
            do="correct the key of the published table.",
        )
    faults = [*_key_faults(frame, key), *_value_faults(frame)]
    if not faults:
        return
    counts = frame.select(mask.fill_null(False).sum().alias(str(n)) for n, (_, _, mask) in enumerate(faults))
    for count, (column, why, mask) in zip(counts.row(0), faults, strict=True):
        if count:
            rows = frame.filter(mask.fill_null(False))
            raise PublicationRefused(
                f"{count} values of {column!r} cannot be published: {why}. They are in the rows {keys_of(rows, key)}.",
                where=where,
                do=f"correct them in the source or in the gold transform{_rule(why)}; nothing was published.",
            )


def refuse_rows(
    frames: Iterable[pl.DataFrame], whole: Callable[[], pl.DataFrame], key: Sequence[str], where: str
) -> int:
    """Raise as `refuse_values` does, for rows that are looked at a few at a time; return how many there are.

    ``whole`` gives them all, which takes as much memory: it is asked only for rows that are not in the order of their
    key, or to say what is wrong with some.
    """
    rows = 0
    try:
        for frame in in_order(frames, key):
            refuse_values(frame, key, where)
            rows += frame.height
    except (NotKnown, PublicationRefused, ColumnNotFoundError):
        every = whole()
        refuse_values(every, key, where)
        return every.height
    return rows


def keys_of(rows: pl.DataFrame, key: Sequence[str]) -> str:
    """Return the keys of the first rows as people read them, also where Python has no such value."""
    shown = rows.head(_ROWS_SHOWN).select(_text(name, rows.schema[name]).alias(name) for name in key)
    examples = [
        "/".join(f"{name}={printable(value)}" for name, value in row.items())
        for row in shown.iter_rows(named=True)
    ]
    return ", ".join(dict.fromkeys(examples)) + (" …" if rows.height > _ROWS_SHOWN else "")


def type_of(dtype: pl.DataType) -> str | None:
    """Return the type of Postgres that shows a column, None where there is none."""
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "timestamp with time zone" if dtype.time_zone else "timestamp without time zone"
    if isinstance(dtype, pl.Enum | pl.Categorical):
        return "text"
    if isinstance(dtype, pl.List | pl.Array):
        inner = as_instance(dtype.inner)
        if isinstance(inner, pl.List | pl.Array | pl.Struct):
            return "jsonb" if _is_json(inner) else None
        element = type_of(inner)
        return None if element is None else f"{element}[]"
    if isinstance(dtype, pl.Struct):
        return "jsonb" if _is_json(dtype) else None
    return _TYPES.get(dtype)


def _is_json(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Struct):
        return all(_is_json(as_instance(field.dtype)) for field in dtype.fields)
    if isinstance(dtype, pl.List | pl.Array):
        return _is_json(as_instance(dtype.inner))
    return dtype != pl.Binary() and type_of(dtype) is not None


def _digits(kind: str) -> tuple[int, int] | None:
    """Return how many digits a number type has before and after the point."""
    if kind in _DIGITS:
        return _DIGITS[kind], 0
    if not kind.startswith("numeric("):
        return None
    precision, scale = (int(part) for part in kind[len("numeric(") : -1].split(","))
    return precision - scale, scale


def _rule(why: str) -> str:
    """Return how silver keeps such rows out from then on, so that one row does not stop all others."""
    return f", or have silver reject such rows by a rule ({_NO_NUL})" if why == _NUL else ""


def _key_faults(frame: pl.DataFrame, key: Sequence[str]) -> Iterator[tuple[str, str, pl.Expr]]:
    for name in key:
        yield name, "it is null, and the key needs a value", pl.col(name).is_null()
    yield ", ".join(key), "the key is there more than once", pl.struct(key).is_duplicated()


def _value_faults(frame: pl.DataFrame) -> Iterator[tuple[str, str, pl.Expr]]:
    for name, dtype in frame.schema.items():
        for why, mask in _faults(pl.col(name), dtype):
            yield name, why, mask


def _faults(value: pl.Expr, dtype: pl.DataType, *, as_json: bool = False) -> Iterator[tuple[str, pl.Expr]]:
    as_json = as_json or type_of(dtype) == "jsonb"
    if as_json and dtype.is_float():
        yield "JSON has no NaN and no infinity", value.is_finite().not_()
    elif isinstance(dtype, pl.String):
        yield _NUL, value.str.contains("\0", literal=True)
    elif isinstance(dtype, pl.Date):
        yield _years(value.is_between(pl.lit(_FIRST_DAY), pl.lit(_LAST_DAY)))
    elif isinstance(dtype, pl.Datetime):
        day = value.dt.date()
        yield _years(day.is_between(pl.lit(_FIRST_DAY), pl.lit(_LAST_DAY)))
        if dtype.time_unit == "ns":
            yield "Postgres keeps no nanoseconds", value.to_physical() % 1000 != 0
    elif isinstance(dtype, pl.List | pl.Array):
        inner = as_instance(dtype.inner)
        listed = value.arr.to_list() if isinstance(dtype, pl.Array) else value
        for why, mask in _faults(pl.element(), inner, as_json=as_json):
            yield why, listed.list.eval(mask.fill_null(False)).list.any()
    elif isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _faults(value.struct.field(field.name), as_instance(field.dtype), as_json=True)


def _years(known: pl.Expr) -> tuple[str, pl.Expr]:
    return "the year is before 1 or after 9999, which most that read it do not have", known.not_()


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name).bin.encode("hex") if dtype == pl.Binary() else pl.col(name).cast(pl.String)
