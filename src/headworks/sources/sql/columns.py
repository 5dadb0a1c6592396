"""Columns of Postgres as columns of Polars, faithfully or as text.

What belongs here: which type becomes which, decided from a query's own description. What does not: reading rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from psycopg import sql

from headworks.sources.sql.connect import Connection

_NATIVE: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int2": pl.Int16(),
    "int4": pl.Int32(),
    "int8": pl.Int64(),
    "float4": pl.Float32(),
    "float8": pl.Float64(),
    "text": pl.String(),
    "varchar": pl.String(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "bytea": pl.Binary(),
}
_LONGEST_DECIMAL = 38
_HEADER = 4


@dataclass(frozen=True)
class Column:
    """A column: its name, its type in the database, its type in Polars, and how it is selected."""

    name: str
    database_type: str
    dtype: pl.DataType
    as_text: bool

    def selected(self) -> sql.Composable:
        """Return the column as it stands in a select list; types without a faithful counterpart go as text."""
        name = sql.Identifier(self.name)
        return sql.SQL("{}::text AS {}").format(name, name) if self.as_text else name


def describe_columns(connection: Connection, table: sql.Composable) -> list[Column]:
    """Describe the columns of ``table`` from a query that returns no rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(table))
        described = [(column.name, column.type_code, column._fmod) for column in cursor.description or ()]
        cursor.execute(
            "SELECT oid::int8, typname FROM pg_type WHERE oid = ANY(%s)",
            ([oid for _, oid, _ in described],),
        )
        names = {int(oid): str(name) for oid, name in cursor.fetchall()}
    return [_column(name, names[oid], modifier) for name, oid, modifier in described]


def _column(name: str, database_type: str, modifier: int) -> Column:
    if database_type == "numeric" and modifier >= _HEADER:
        precision, scale = (
            ((modifier - _HEADER) >> 16) & 0xFFFF,
            (modifier - _HEADER) & 0x7FF,
        )
        if precision <= _LONGEST_DECIMAL and scale <= precision:
            return Column(name, database_type, pl.Decimal(precision, scale), as_text=False)
    dtype = _NATIVE.get(database_type)
    if dtype is None:
        return Column(name, database_type, pl.String(), as_text=True)
    return Column(name, database_type, dtype, as_text=False)
