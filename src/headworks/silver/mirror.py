"""Silver as a mirror: the newest version of each row of a database table, as the table has it.

For tables that nobody has declared rules for. A dataset with rules is declared in code instead, see ``dataset.py``.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from headworks.errors import SettingsError
from headworks.silver.dataset import Dataset
from headworks.storage.drift import as_instance
from headworks.storage.exact import fields_of

_PLAIN: dict[pl.DataType, type[dy.Column]] = {
    pl.Boolean(): dy.Bool,
    pl.Int8(): dy.Int8,
    pl.Int16(): dy.Int16,
    pl.Int32(): dy.Int32,
    pl.Int64(): dy.Int64,
    pl.String(): dy.String,
    pl.Binary(): dy.Binary,
    pl.Date(): dy.Date,
}


def mirror(name: str, key: tuple[str, ...], columns: pl.Schema, cursor: str | None) -> Dataset:
    """Declare a dataset that keeps each column as it is, and one row a key.

    Only a key that is null is rejected. A cursor that is no whole number in a database's sense (a timestamp, a date)
    orders versions by its value. Raises `SettingsError` without a key, and for a column that no rule can be about.
    """
    if not key:
        raise SettingsError(
            "A table without a key has no newest version of a row.",
            where=name,
            do="name the columns of its key, or keep it in bronze alone.",
        )
    made = {column: _column(name, column, dtype, key) for column, dtype in columns.items()}
    expressions = {column: pl.col(column) for column in columns}
    return Dataset(
        name=name,
        key=key,
        schema=type("Mirrored", (dy.Schema,), made),
        columns=expressions,
        cursor=cursor,
    )


def _column(dataset: str, name: str, dtype: pl.DataType, key: tuple[str, ...]) -> dy.Column:
    nullable = name not in key
    if isinstance(dtype, pl.Decimal):
        return dy.Decimal(dtype.precision, dtype.scale, nullable=nullable)
    if isinstance(dtype, pl.Datetime):
        return dy.Datetime(nullable=nullable, time_unit=dtype.time_unit, time_zone=dtype.time_zone)
    if dtype.is_float():
        # What the source has is kept, infinity and NaN too.
        of_bits = dy.Float32 if dtype == pl.Float32() else dy.Float64
        return of_bits(nullable=nullable, allow_nan=True, allow_inf=True)
    if isinstance(dtype, pl.List):
        return dy.List(_column(dataset, name, as_instance(dtype.inner), ()), nullable=nullable)
    if isinstance(dtype, pl.Struct):
        fields = {field: _column(dataset, name, kind, ()) for field, kind in fields_of(dtype).items()}
        return dy.Struct(fields, nullable=nullable)
    plain = _PLAIN.get(dtype)
    if plain is None:
        raise SettingsError(
            f"Column {name} is a {dtype}, which silver cannot mirror.",
            where=dataset,
            do="declare the dataset in code, with an expression for this column.",
        )
    return plain(nullable=nullable)
