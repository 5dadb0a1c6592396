"""Gold tables written in SQL: a SELECT over pinned silver, run by DuckDB.

What a query reads is found in the query itself, by DuckDB's own parser. A query that would give something else tomorrow
from the same silver (``now()``, ``random()``), or that reads what is not silver, is refused when it is declared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from headworks.errors import SettingsError
from headworks.quality.views import duckdb_in_utc

if TYPE_CHECKING:
    import duckdb

_SILVER = "silver"
_CLOCKS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
"""Moments that SQL writes without parentheses, as columns are."""

_WORDS = re.compile(r"[a-z_0-9]+")

_HARMLESS = frozenset({"error"})
"""Functions that DuckDB counts among those that change, and that give nothing at all."""

_MAKERS = frozenset({"unnest", "range", "generate_series", "generate_subscripts", "json_each", "json_tree"})
"""Table functions that read nothing."""

_WIDE = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT"}
"""Whole numbers that no table holds, and what they become where they fit: sums of whole numbers are HUGEINT."""


@dataclass(frozen=True)
class Sql:
    """A transform of silver written as a SELECT, such as ``SELECT status, count(*) AS n FROM shop.orders GROUP BY 1``.

    Silver datasets are named as they are, with ``silver.`` before them or not; one of three words and more goes in
    quotes. Raises `SettingsError` for what is no SELECT, for functions whose value changes by itself, and for a query
    that reads no dataset.

    Args:
        text: the SELECT.
        name: what messages call it, such as its file.

    Example:
        >>> Sql("SELECT status, count(*) AS n FROM shop.orders GROUP BY status").inputs
        ('shop.orders',)
    """

    text: str
    name: str = "SQL"

    def __post_init__(self) -> None:
        """Read the query, so that a slip shows at import and not in the night."""
        _refuse_moving(self._tree, self.name)
        if not self.inputs:
            raise SettingsError(
                "The query reads no dataset.",
                where=self.name,
                do="name silver datasets, such as shop.orders.",
            )

    @classmethod
    def read(cls, file: Path) -> Sql:
        """Return the query that a file holds; raises `SettingsError` where it cannot be read."""
        try:
            return cls(file.read_text(encoding="utf-8"), file.name)
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingsError(
                f"The file of a gold table cannot be read: {type(problem).__name__}.",
                where=str(file),
                do="correct its name, or write it.",
            ) from problem

    @property
    def inputs(self) -> tuple[str, ...]:
        """The silver datasets that the query reads, in its order."""
        return tuple(dict.fromkeys(map(_dataset, self._paths)))

    @cached_property
    def _tree(self) -> dict[str, Any]:
        return parsed(self.text, self.name)

    @cached_property
    def _paths(self) -> tuple[tuple[str, ...], ...]:
        return tuple(dict.fromkeys(table_paths(self._tree)))

    def __call__(self, inputs: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
        """Run the query over the frames of its inputs; DuckDB's errors come out as they are."""
        with duckdb_in_utc() as connection:
            for path in self._paths:
                rows = inputs[_dataset(path)].collect()
                put_rows(connection, place(connection, path, _SILVER), rows)
            connection.execute("SET enable_external_access = false")
            found = connection.sql(self.text)
            types = dict(zip(found.columns, map(str, found.types), strict=True))
            kept = ", ".join(
                f"CAST({quoted(name)} AS {_WIDE[kind]}) AS {quoted(name)}" if kind in _WIDE else quoted(name)
                for name, kind in types.items()
            )
            made = connection.sql(f"SELECT {kept} FROM ({self.text.strip().rstrip(';')})")
            return pl.DataFrame(made.to_arrow_table()).lazy()


def parsed(sql: str, where: str) -> dict[str, Any]:
    """Return the tree of one SELECT, as DuckDB reads it; raises `SettingsError` for anything else."""
    import duckdb

    with duckdb.connect() as connection:
        found: Any = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(found[0])
    if tree.get("error"):
        message = str(tree.get("error_message", ""))
        what = (
            "Only a SELECT can be run" if "Only SELECT" in message else f"The query cannot be read: {message}"
        )
        raise SettingsError(
            f"{what.rstrip('.')}.",
            where=where,
            do='write one SELECT; a dataset of three words goes in quotes, as in silver."a.b.c".',
        )
    if len(tree["statements"]) != 1:
        raise SettingsError("Several statements were given.", where=where, do="write one SELECT.")
    return tree


def table_paths(node: Any, own: frozenset[str] = frozenset()) -> Iterator[tuple[str, ...]]:
    """Yield the tables that a query's tree names, each as its parts; its own common table expressions are none."""
    if isinstance(node, list):
        for each in node:
            yield from table_paths(each, own)
    if not isinstance(node, Mapping):
        return
    expressions = node.get("cte_map")
    if isinstance(expressions, Mapping):
        own = own | {str(each["key"]).lower() for each in expressions.get("map", [])}
    if node.get("type") == "BASE_TABLE":
        parts = (node.get("catalog_name"), node.get("schema_name"), node.get("table_name"))
        path = tuple(str(part) for part in parts if part)
        if not (len(path) == 1 and path[0].lower() in own):
            yield path
    for each in node.values():
        yield from table_paths(each, own)


def place(connection: duckdb.DuckDBPyConnection, path: tuple[str, ...], layer: str) -> str:
    """Return where a query looks for a table, made so that the table can be put there.

    A layer is a catalog of DuckDB's, so that both ``silver.shop.orders`` and ``silver.shop_orders`` have a place in it.
    """
    *above, table = path
    if above and above[0].lower() == layer:
        catalog, *schema = above
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(catalog)}")
        above = [catalog, *(schema or ["main"])]
    if above:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {'.'.join(map(quoted, above))}")
    return ".".join(map(quoted, (*above, table)))


def put_rows(connection: duckdb.DuckDBPyConnection, target: str, rows: pl.DataFrame) -> None:
    """Make a table of rows where a query looks for it."""
    connection.register("rows_to_put", rows.to_arrow())
    connection.execute(f"CREATE TABLE {target} AS SELECT * FROM rows_to_put")
    connection.unregister("rows_to_put")


def quoted(name: str) -> str:
    """Return a name as DuckDB takes it whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _dataset(path: tuple[str, ...]) -> str:
    """Return the silver dataset that a query means by a path."""
    return ".".join(path).lower().removeprefix(f"{_SILVER}.")


@cache
def _moving() -> frozenset[str]:
    """Return the functions whose value is not one of their arguments alone, as DuckDB itself knows them."""
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT lower(function_name) FROM duckdb_functions() WHERE stability IS NOT NULL "
            "GROUP BY 1 HAVING bool_and(stability <> 'CONSISTENT')"
        ).fetchall()
        macros = connection.execute(
            "SELECT lower(function_name), lower(macro_definition) FROM duckdb_functions() "
            "WHERE macro_definition IS NOT NULL"
        ).fetchall()
    moving = ({name for (name,) in found} | _CLOCKS) - _HARMLESS
    return frozenset(moving | {name for name, text in macros if moving & {*_WORDS.findall(text)}})


def _moves(node: Mapping[str, Any]) -> str:
    """Return what of a part of a query gives something else from the same silver; nothing where nothing does."""
    called = str(node.get("function_name") or "").lower()
    if called in _moving():
        return called
    if called == "age" and len(node.get("arguments") or node.get("children") or ()) == 1:
        return "age of one moment, which is that until today"
    column = node.get("column_names")
    if node.get("class") == "COLUMN_REF" and isinstance(column, list) and len(column) == 1:
        name = str(column[0]).lower()
        return name if name in _CLOCKS else ""
    return "a sample" if node.get("sample") else ""


def _refuse_moving(node: Any, where: str) -> None:
    if isinstance(node, list):
        for each in node:
            _refuse_moving(each, where)
    if not isinstance(node, Mapping):
        return
    if called := _moves(node):
        raise SettingsError(
            f"The query uses {called}, which gives something else from the same silver.",
            where=where,
            do="use a moment that is in the data, such as the newest day, or rows that a condition names.",
        )
    if node.get("type") == "TABLE_FUNCTION":
        function = node.get("function")
        reads = str(function.get("function_name", "")).lower() if isinstance(function, Mapping) else ""
        if reads not in _MAKERS:
            raise SettingsError(
                f"The query reads {reads}(…), which is no silver dataset.",
                where=where,
                do="ingest what it reads, and name the dataset.",
            )
    for each in node.values():
        _refuse_moving(each, where)
