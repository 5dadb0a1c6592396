"""SQL over the lake as it is now: the newest silver, gold as it was published, and the rejected rows that count.

A query names tables as people do: ``silver.shop.orders``, ``gold.sales.daily``, ``quarantine.shop.orders``, or a
dataset alone, which means gold where there is such a table and silver where not. DuckDB reads it and runs it; only the
tables that it names are opened. Tombstones and the columns that silver keeps for itself are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import polars as pl

from headworks.errors import LakeUnusable, SettingsError, did_you_mean
from headworks.gold.products import publications
from headworks.gold.sql import parsed, place, put_rows, quoted, table_paths
from headworks.names import OWN_IN_SILVER
from headworks.quality.views import duckdb_in_utc
from headworks.silver.quarantine import rejected_rows
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import reading

if TYPE_CHECKING:
    import duckdb

Shown = Literal["gold", "silver", "quarantine", "bronze"]
"""The layers that a query can name, in the order in which a dataset alone is looked for; bronze only by its name."""

_FOUND_BY_DATASET: tuple[Shown, ...] = ("gold", "silver")
_DELETED = "_deleted"
_NO_COLUMN = re.compile(
    r'(?=.*(?:not found|does not exist|does not have))(?i:.*\bcolumn) (?:named )?"([^"]+)"'
)
_MEANT = re.compile(r'(?:Did you mean:?|Candidate tables:) "([^"]+)"')
_MOST_COLUMNS = 30
"""So many columns of a table are named where one that there is not is asked for."""


@dataclass(frozen=True)
class Named:
    """A table that a query names: how the query writes it, and what it is."""

    path: tuple[str, ...]
    layer: Shown
    dataset: str


def query(lake: Lake, sql: str) -> pl.DataFrame:
    """Return the rows of a SELECT over the lake's tables.

    Raises `SettingsError` for what is no SELECT, for a table that there is not, with those that there are, and for what
    DuckDB says of the query.

    Args:
        lake: see `open_lake`.
        sql: tables are named by layer and dataset, such as ``silver.shop.orders``, ``gold.sales.daily``.

    Example:
        >>> from headworks.settings import LakeSettings
        >>> query(Lake(LakeSettings(root="a/new/lake")), "SELECT 6 * 7 AS answer").item()
        42
    """
    import duckdb

    written = list(dict.fromkeys(table_paths(parsed(sql, "query"))))
    with duckdb_in_utc() as connection:
        shown = {}
        for named in _resolved(lake, written):
            shown[f"{named.layer}.{named.dataset}"] = _show(connection, lake, named)
        try:
            rows = connection.sql(sql).to_arrow_table()
        except duckdb.Error as problem:
            raise _refused(problem, shown) from problem
        return pl.DataFrame(rows)


def _refused(problem: duckdb.Error, shown: Mapping[str, Sequence[str]]) -> SettingsError:
    """Return DuckDB's objection with the column or function that was probably meant."""
    said = str(problem).splitlines()[0]
    found = _NO_COLUMN.match(said)
    if found is None:
        meant = _MEANT.search(str(problem))
        near = f" Did you mean {meant[1]}?" if meant else ""
        return SettingsError(f"The query cannot be run: {said}{near}", where="query", do="correct it.")
    name = found[1].rpartition(".")[2]
    columns = list(dict.fromkeys(column for listed in shown.values() for column in listed))
    each = "; ".join(
        f"{table} has {', '.join(listed[:_MOST_COLUMNS])}{' …' if len(listed) > _MOST_COLUMNS else ''}"
        for table, listed in shown.items()
    )
    return SettingsError(
        f"The query cannot be run: there is no column {name}.{did_you_mean(name, columns)}",
        where="query",
        do=f"correct it: {each or 'it names no table'}.",
    )


def tables(lake: Lake) -> list[str]:
    """Return the tables that a query can name, by layer."""
    return [f"{layer}.{dataset}" for layer in get_args(Shown) for dataset in lake.datasets(layer)]


def _resolved(lake: Lake, paths: list[tuple[str, ...]]) -> Iterator[Named]:
    there = {layer: lake.datasets(layer) for layer in get_args(Shown)} if paths else {}
    for path in paths:
        written = ".".join(path).lower()
        first, *rest = written.split(".")
        layers: tuple[Shown, ...] = (first,) if first in there and rest else _FOUND_BY_DATASET  # type: ignore[assignment]
        wanted = ".".join(rest) if len(layers) == 1 else written
        found = [(layer, name) for layer in layers for name in there[layer] if _means(wanted, name)]
        if not found:
            known = [f"{layer}.{name}" for layer, names in there.items() for name in names]
            raise SettingsError(
                f"There is no table {'.'.join(path)}.{_near_table(written, known)}",
                where="query",
                do=f"use one of {', '.join(known) or 'none'}.",
            )
        exact = [each for each in found if each[1] == wanted] or found
        if len({name for _, name in exact}) > 1:
            raise SettingsError(
                f"{'.'.join(path)} may be {' or '.join(name for _, name in exact)}.",
                where="query",
                do="write its dots, in quotes where it has more than two words.",
            )
        yield Named(path, *exact[0])


def _near_table(written: str, known: Sequence[str]) -> str:
    """Return the question whether another table is meant, which is named with its layer or without, with dots or _."""
    ways: dict[str, str] = {}
    for name in known:
        dataset = name.partition(".")[2]
        for way in (dataset, dataset.replace(".", "_"), name.replace(".", "_"), name):
            ways.setdefault(way, name)
    near = did_you_mean(written, ways)
    return f" Did you mean {ways[near[14:-1]]}?" if near else ""


def _means(written: str, name: str) -> bool:
    """Return whether a name as it is written is that of a dataset, with its dots or with underscores in their place."""
    return written == name or written == name.replace(".", "_")


def _show(connection: duckdb.DuckDBPyConnection, lake: Lake, named: Named) -> Sequence[str]:
    """Make a view where the query looks for a table, and return its columns."""
    target = place(connection, named.path, named.layer)
    rows = _rows(lake, named)
    if isinstance(rows, tuple):
        listed = ", ".join(_text(file) for file in rows)
        source = f"read_parquet([{listed}], union_by_name = true)"
        with reading(f"{named.layer}.{named.dataset}"):
            columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        own = OWN_IN_SILVER if named.layer == "silver" else frozenset()
        columns = [column for column in columns if column not in own]
        chosen = ", ".join(map(quoted, columns))
        alive = f" WHERE NOT {_DELETED}" if named.layer == "silver" else ""
        connection.execute(f"CREATE VIEW {target} AS SELECT {chosen} FROM {source}{alive}")
        return columns
    put_rows(connection, target, rows)
    return rows.columns


def _rows(lake: Lake, named: Named) -> tuple[str, ...] | pl.DataFrame:
    """Return the rows of a table: its files where DuckDB reaches them and each is a part of it, or else a frame."""
    label = f"{named.layer}.{named.dataset}"
    if named.layer == "quarantine":
        rejected = rejected_rows(lake, named.dataset, lake.open("silver", named.dataset))
        with reading(label):
            return pl.DataFrame() if rejected is None else rejected.collect()
    published = _published(lake, named.dataset) if named.layer == "gold" else None
    table = published or lake.must_open(named.layer, named.dataset)
    if lake.settings.is_local and named.layer != "bronze" and table.files():
        return table.files()
    with reading(label):
        rows = table.scan()
        if named.layer == "silver":
            kept = [name for name in rows.collect_schema().names() if name not in OWN_IN_SILVER]
            rows = rows.filter(~pl.col(_DELETED)).select(kept)
        return rows.collect()


def _published(lake: Lake, dataset: str) -> Table | None:
    """Return a gold table at the version that its product names; None where no product names it."""
    for version in publications(lake):
        for reference in version.tables:
            if reference.table == f"gold.{dataset}":
                try:
                    return lake.open("gold", dataset, reference.version)
                except LakeUnusable:
                    return None
    return None


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
