"""Columns of Postgres as columns of Polars, faithfully or as text."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from psycopg import sql

from headworks.errors import SettingsError
from headworks.names import OWN_IN_BRONZE, OWN_IN_SILVER
from headworks.sources.column_types import LONGEST_DECIMAL
from headworks.sources.sql.connect import Connection
from headworks.sources.sql.decimals import narrowest
from headworks.sources.sql.table import Extremes

_UTC = "UTC"
# The type in Polars, and in which Arrow type Postgres' text of it is read.
_NATIVE: dict[str, tuple[pl.DataType, pa.DataType]] = {
    "bool": (pl.Boolean(), pa.bool_()),
    "int2": (pl.Int16(), pa.int16()),
    "int4": (pl.Int32(), pa.int32()),
    "int8": (pl.Int64(), pa.int64()),
    "oid": (pl.Int64(), pa.int64()),
    "float4": (pl.Float32(), pa.float32()),
    "float8": (pl.Float64(), pa.float64()),
    "date": (pl.Date(), pa.date32()),
    "timestamp": (pl.Datetime("us"), pa.timestamp("us")),
    "timestamptz": (pl.Datetime("us", _UTC), pa.timestamp("us", _UTC)),
    "bytea": (pl.Binary(), pa.string()),
}
_TEMPORAL = {"date", "timestamp", "timestamptz"}
_HEADER = 4
# Types below this number are Postgres' own; a type of the same name that somebody made is not one of them.
_FIRST_USER_OID = 16384

TEXT_SUFFIX = "_text"
"""What the name of a column ends with that holds as text what its neighbour cannot hold."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its type in the database and in Polars, and in which Arrow type its text is read.

    ``sql_type`` is the type as it is written in a cast. ``bounded`` columns can hold values in the database that their
    type in Polars cannot: infinities, years that are out of range, numerics that are NaN.
    """

    name: str
    database_type: str
    sql_type: str
    dtype: pl.DataType
    arrow: pa.DataType

    @property
    def bounded(self) -> bool:
        """Return whether the database can hold values that the column's type cannot."""
        return self.database_type in _TEMPORAL or isinstance(self.dtype, pl.Decimal)

    @property
    def hexadecimal(self) -> bool:
        """Return whether the column is sent as hexadecimal digits."""
        return self.database_type == "bytea"

    def selected(self) -> sql.Composable:
        """Return the column as written in a select list."""
        name = sql.Identifier(self.name)
        return sql.SQL("encode({}, 'hex') AS {}").format(name, name) if self.hexadecimal else name


def schema_of(columns: list[Column], extremes: Extremes) -> pl.Schema:
    """Return the columns of a frame: the table's, and with ``beside`` a text column for each bounded one."""
    schema = {column.name: column.dtype for column in columns}
    if own := sorted(name for name in schema if name.lower() in OWN_IN_BRONZE | OWN_IN_SILVER):
        raise SettingsError(
            f"The table has columns by names that the lake keeps for itself: {', '.join(own)}.",
            do="read it by a query that gives them other names, such as SELECT ..., "
            f'"{own[0]}" AS source{own[0]}.',
        )
    if extremes == "beside":
        schema |= {f"{column.name}{TEXT_SUFFIX}": pl.String() for column in columns if column.bounded}
    return pl.Schema(schema)


def describe_columns(connection: Connection, relation: sql.Composable, label: str) -> list[Column]:
    """Describe the columns of ``relation`` from a query that returns no rows.

    Raises `SettingsError` where columns have no name of their own.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(relation))
        described = [(column.name, column.type_code, column._fmod) for column in cursor.description or ()]
        names = [name for name, _, _ in described]
        duplicated = sorted({name for name in names if names.count(name) > 1 or name == "?column?"})
        if duplicated or not names:
            raise SettingsError(
                f"These columns have no name of their own: {', '.join(duplicated)}."
                if names
                else "There are no columns to read.",
                where=label,
                do="name each column of the query with AS.",
            )
        cursor.execute(
            "SELECT t.oid::int8, t.typname, format_type(d.oid, d.modifier) "
            "FROM unnest(%s::oid[], %s::int4[]) WITH ORDINALITY AS d(oid, modifier, place) "
            "JOIN pg_type t ON t.oid = d.oid ORDER BY d.place",
            ([oid for _, oid, _ in described], [modifier for _, _, modifier in described]),
        )
        types = [(str(typname), str(written)) for _, typname, written in cursor.fetchall()]
    return [
        _column(name, typname if oid < _FIRST_USER_OID else "", written, modifier)
        for (name, oid, modifier), (typname, written) in zip(described, types, strict=True)
    ]


def primary_key(connection: Connection, relation: sql.Identifier) -> tuple[str, ...]:
    """Return the columns of a table's primary key, in its order; empty where it has none."""
    found = connection.execute(
        "SELECT a.attname FROM pg_index i "
        "CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
        "WHERE i.indrelid = %s::regclass AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place",
        (relation.as_string(connection),),
    )
    return tuple(str(name) for (name,) in found)


def _column(name: str, database_type: str, written: str, modifier: int) -> Column:
    if database_type == "numeric" and modifier >= _HEADER:
        precision, scale = _numeric(modifier)
        if 0 < precision <= LONGEST_DECIMAL:
            kind = pl.Decimal(precision, scale)
            return Column(name, database_type, written, kind, narrowest(precision, scale))
    dtype, arrow = _NATIVE.get(database_type, (pl.String(), pa.string()))
    return Column(name, database_type, written, dtype, arrow)


def _numeric(modifier: int) -> tuple[int, int]:
    """Return precision and scale of a numeric's modifier; its scale is a signed number of eleven bits."""
    precision = ((modifier - _HEADER) >> 16) & 0xFFFF
    scale = (((modifier - _HEADER) & 0x7FF) ^ 1024) - 1024
    if scale < 0:
        return precision - scale, 0
    return max(precision, scale), scale
