"""Columns of any database as SQLAlchemy reflects them, as columns of Polars: faithfully or as text.

Of a query nothing but its columns' names can be asked in words that every database knows, so their types are declared.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from sqlalchemy import Column as SqlColumn
from sqlalchemy import FromClause, MetaData, cast, func, inspect, literal_column, select, text, types
from sqlalchemy import Table as SqlTable
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import mysql, oracle
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SAWarning
from sqlalchemy.sql.elements import ColumnElement

from headworks.errors import SettingsError, SourceMissing
from headworks.sources.column_types import LONGEST_DECIMAL
from headworks.sources.sql.table import Extremes, Table

_UTC = pl.Datetime("us", "UTC")
# What SQLite says of a value that is of its column's type.
_STORED: dict[type[pl.DataType], tuple[str, ...]] = {
    pl.Int64: ("integer", "null"),
    pl.Float64: ("real", "integer", "null"),
    pl.Boolean: ("integer", "null"),
    pl.Date: ("text", "null"),
    pl.Datetime: ("text", "null"),
    pl.String: ("text", "integer", "real", "null"),
}
_EXTREME = (pl.Date, pl.Datetime, pl.Decimal)


@dataclass(frozen=True)
class DialectColumn:
    """A column: its name, its type in Polars, and whether the database has to write it as text.

    ``loose`` where the database holds no value against the type; ``aside`` where it has values of another type now,
    which go as text into a column of their own. ``mixed`` where bytes may be in a column of text, as in SQLite: these
    are no text, even where they could be read as one.
    """

    name: str
    dtype: pl.DataType
    as_text: bool
    loose: bool = False
    aside: bool = False
    mixed: bool = False

    @property
    def can_be_extreme(self) -> bool:
        """Return whether the database may hold values of it that the type in Polars has not.

        Any value may be in any column of SQLite, and in one of a query whose type was declared.
        """
        loose = self.aside or (self.loose and not isinstance(self.dtype, pl.String))
        return isinstance(self.dtype, _EXTREME) or loose


@dataclass(frozen=True)
class Reflected:
    """A table as the database describes it, or a query as it is declared."""

    table: FromClause
    columns: tuple[DialectColumn, ...]
    key: tuple[str, ...]

    def selected(self, columns: Sequence[DialectColumn]) -> list[ColumnElement[Any]]:
        """Return columns as written in a select list."""
        return [
            cast(self.table.c[column.name], types.String(4000)).label(column.name)
            if column.as_text
            else exactly(self.table.c[column.name]).label(column.name)
            for column in columns
        ]


def exactly(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column as it is selected with all of its digits: MySQL and MariaDB show six of a FLOAT."""
    return column * literal_column("1E0") if isinstance(column.type, mysql.FLOAT) else column


def schema_of(columns: Sequence[DialectColumn], extremes: Extremes) -> pl.Schema:
    """Return the columns of every frame, with those for extreme values alongside them where they are wanted."""
    schema: dict[str, pl.DataType] = {}
    for column in columns:
        schema[column.name] = column.dtype
        if column.aside or (extremes == "beside" and column.can_be_extreme):
            schema[f"{column.name}_text"] = pl.String()
    return pl.Schema(schema)


def reflect(connection: Connection, table: Table, where: str) -> Reflected:
    """Describe a table; raises `SourceMissing` where it, or a column that is named, is not there."""
    found = _table(connection, table, table.name, where) if table.name else _query(connection, table, where)
    table.check_columns(found.key, [column.name for column in found.columns], where)
    return found


def _table(connection: Connection, table: Table, name: str, where: str) -> Reflected:
    """Return a table or view as the catalogue describes it."""
    if not inspect(connection).has_table(name, schema=table.schema_name):
        raise SourceMissing(
            f"There is no table {table.label}.", where=where, do="correct its name and its schema."
        )
    with warnings.catch_warnings():
        # It warns of types that it does not know, which come as text.
        warnings.simplefilter("ignore", SAWarning)
        found = SqlTable(
            name,
            MetaData(),
            schema=table.schema_name,
            autoload_with=connection,
            resolve_fks=False,
        )
    found = _as_named(found, connection)
    loose = connection.dialect.name == "sqlite"
    columns = tuple(_column(column.name, column.type, loose=loose) for column in found.columns)
    if loose:
        columns = _with_misfits(connection, found, columns)
    return Reflected(found, columns, table.key or tuple(column.name for column in found.primary_key.columns))


def _with_misfits(
    connection: Connection, table: SqlTable, columns: tuple[DialectColumn, ...]
) -> tuple[DialectColumn, ...]:
    """Return the columns of a table of SQLite, those marked that have values of another type now."""
    tests = [
        func.max(func.typeof(table.c[column.name]).not_in(_STORED[type(column.dtype)])).label(f"c{place}")
        for place, column in enumerate(columns)
        if type(column.dtype) in _STORED and not column.as_text
    ]
    if not tests:
        return columns
    row = connection.execute(select(*tests)).mappings().one()
    return tuple(replace(column, aside=bool(row.get(f"c{place}"))) for place, column in enumerate(columns))


def _as_named(found: SqlTable, connection: Connection) -> SqlTable:
    """Return a table with its columns' own names: those of MySQL come with their backticks doubled."""
    speaks_mysql = connection.dialect.name in {"mysql", "mariadb"}
    if not speaks_mysql or not any("``" in column.name for column in found.columns):
        return found
    columns = [
        SqlColumn(column.name.replace("``", "`"), column.type, primary_key=column.primary_key)
        for column in found.columns
    ]
    return SqlTable(found.name, MetaData(), *columns, schema=found.schema)


def _query(connection: Connection, table: Table, where: str) -> Reflected:
    """Return a query with the columns that are declared; raises `SettingsError` where it gives others."""
    declared = table.types()
    if not declared:
        raise SettingsError(
            "This database does not report which types a query's columns have.",
            where=where,
            do='declare them, as in "columns": {"id": "int64", "price": "decimal(10,2)"}, or name a view.',
        )
    # A colon is no parameter of ours, and the line's end closes a comment at the end of the query.
    written = text(f"{table.query}\n".replace(":", "\\:"))
    found = written.columns(*map(sql_column, declared)).subquery("selected")
    given = list(connection.execute(select(literal_column("*")).select_from(found).limit(0)).keys())
    if sorted(given) != sorted(declared):
        raise SettingsError(
            f"The query gives the columns {', '.join(given)}; declared are {', '.join(declared)}.",
            where=where,
            do="declare each of them by its name, and no other; name those without a name with AS.",
        )
    mixed = connection.dialect.name == "sqlite"
    columns = tuple(
        DialectColumn(name, kind, as_text=False, loose=True, mixed=mixed) for name, kind in declared.items()
    )
    return Reflected(found, columns, table.key)


def _column(name: str, kind: types.TypeEngine[object], *, loose: bool) -> DialectColumn:
    dtype = _dtype(kind)
    return DialectColumn(name, dtype, isinstance(kind, types.Time | types.Interval), loose, mixed=loose)


def _dtype(kind: types.TypeEngine[object]) -> pl.DataType:
    if isinstance(kind, types.Boolean):
        return pl.Boolean()
    if isinstance(kind, mysql.BIGINT) and kind.unsigned:
        return pl.Decimal(20, 0)
    if isinstance(kind, types.Integer | mysql.YEAR):
        return pl.Int64()
    if isinstance(kind, types.Float):
        return pl.Float64()
    if isinstance(kind, types.Numeric):
        return _decimal(kind.precision, kind.scale)
    # Before dates: what Oracle calls a date has a time of day.
    if isinstance(kind, types.DateTime | oracle.DATE):
        zoned = getattr(kind, "timezone", False) or isinstance(kind, mysql.TIMESTAMP)
        return _UTC if zoned else pl.Datetime("us")
    if isinstance(kind, types.Date):
        return pl.Date()
    if isinstance(kind, types.LargeBinary | types.BINARY | types.VARBINARY | mysql.BIT):
        return pl.Binary()
    return pl.String()


def _decimal(precision: int | None, scale: int | None) -> pl.DataType:
    """Return a decimal of exactly these digits; text where it has none to declare, or more than fit."""
    digits = scale or 0
    if precision is None or not 1 <= precision <= LONGEST_DECIMAL or not 0 <= digits <= precision:
        return pl.String()
    return pl.Decimal(precision, digits)
