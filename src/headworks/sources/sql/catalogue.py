"""Which tables a schema of a database has, chosen by patterns, each as a `Table` with the dataset that it lands in."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from pydantic import Field

from headworks.errors import NameRefused, SourceMissing
from headworks.names import check_dataset
from headworks.settings import DatabaseSettings, Settings
from headworks.sources.sql.table import Drift, Extremes, Table

_TABLES = """
SELECT c.relname, coalesce(array_agg(a.attname) FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped), '{}')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.relname ORDER BY c.relname
"""


class SchemaTables(Settings):
    """Tables of one schema, by patterns, and how each of them is read."""

    schema_name: str | None = Field(
        default=None,
        description="The schema whose tables are read. Left empty, public in Postgres, and elsewhere the one that the "
        "URL leads to.",
    )
    include: tuple[str, ...] = Field(
        default=("*",), description="Patterns of the tables' names to take, with * and ? and [abc]."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of the tables' names to leave out.")
    cursor: str | None = Field(
        default=None,
        description="The cursor column of every table that has a column of this name; the others are read whole.",
    )
    cursor_zone: str | None = Field(
        default=None, description="As for a table: the clock that a cursor without a zone is written by."
    )
    commit_lag_s: float = Field(
        default=5.0, ge=0, description="As for a table: how far to stay behind the present."
    )
    ranges: int = Field(
        default=1, ge=1, le=16, description="As for a table: parts of a whole read read at once."
    )
    drift: Drift = Field(default="evolve", description="As for a table: what happens when columns change.")
    extremes: Extremes = Field(
        default="refuse", description="As for a table: where values go that no type holds."
    )

    def takes(self, name: str) -> bool:
        """Return whether a table's name is chosen."""
        included = any(fnmatchcase(name, pattern) for pattern in self.include)
        return included and not any(fnmatchcase(name, pattern) for pattern in self.exclude)


class Chosen(NamedTuple):
    """A table and the dataset that it lands in."""

    dataset: str
    table: Table


def choose_tables(database: DatabaseSettings, wanted: SchemaTables, prefix: str) -> list[Chosen]:
    """Return the chosen tables of a schema, each landing in ``<prefix>.<its name>``.

    Raises `SourceMissing` where no table is chosen, and `NameRefused` where two would land in the same dataset.
    """
    # Patterns are parameters of flows that may never ask a database: drivers are imported once one does.
    from headworks.sources.sql.address import describe
    from headworks.sources.sql.bound import APPLICATION
    from headworks.sources.sql.connect import connected
    from headworks.sources.sql.engines import where_is

    schema: str | None
    if database.parts().is_postgres:
        schema, place = wanted.schema_name or "public", describe(database)
        with connected(database, application=APPLICATION, read_only=True) as connection:
            found = connection.execute(_TABLES, (schema,)).fetchall()
    else:
        schema, place = wanted.schema_name, where_is(database)
        found = _reflected(database, schema)
    where = f"schema {schema} of {place}" if schema else place
    wanted = wanted.model_copy(update={"schema_name": schema})
    chosen = [
        Chosen(dataset_name(prefix, name), _table(wanted, name, columns))
        for name, columns in found
        if wanted.takes(name)
    ]
    if not chosen:
        names = ", ".join(name for name, _ in found) or "none"
        raise SourceMissing(
            "No table is chosen.",
            where=where,
            do=f"correct the schema or the patterns; its tables are: {names}.",
        )
    datasets = [dataset for dataset, _ in chosen]
    duplicated = sorted({dataset for dataset in datasets if datasets.count(dataset) > 1})
    if duplicated:
        raise NameRefused(
            f"Several tables would land in the same dataset: {', '.join(duplicated)}.",
            where=where,
            do="leave all but one of them out with exclude, and take the others with a dataset of their own.",
        )
    return chosen


def _reflected(database: DatabaseSettings, schema: str | None) -> list[tuple[str, list[str]]]:
    """Return the tables of a schema with the names of their columns, as SQLAlchemy finds them."""
    from sqlalchemy import inspect

    from headworks.sources.sql.engines import shared_engine, where_is
    from headworks.sources.sql.failures import translated_dialect

    place = where_is(database)
    with (
        shared_engine(database, "") as engine,
        translated_dialect(engine, place),
        engine.connect() as connection,
    ):
        catalogue = inspect(connection)
        return [
            (
                name,
                [column["name"].replace("``", "`") for column in catalogue.get_columns(name, schema=schema)],
            )
            for name in sorted(catalogue.get_table_names(schema=schema))
        ]


def dataset_name(prefix: str, table: str) -> str:
    """Return the dataset for a table: its name in lower case, with underscores for what no name of ours has."""
    name = re.sub(r"[^a-z0-9_]", "_", table.lower())
    return check_dataset(f"{prefix}.{name if name[:1].isalpha() else f't{name}'}")


def _table(wanted: SchemaTables, name: str, columns: list[str]) -> Table:
    return Table(
        schema_name=wanted.schema_name,
        name=name,
        cursor=wanted.cursor if wanted.cursor in columns else None,
        cursor_zone=wanted.cursor_zone,
        commit_lag_s=wanted.commit_lag_s,
        ranges=wanted.ranges,
        drift=wanted.drift,
        extremes=wanted.extremes,
    )
