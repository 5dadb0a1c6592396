"""What a contract sees: a candidate under its table's name, in DuckDB, over the files there are. Nothing is copied.

A contract's scope is the batch, or the table after the merge: its rows without those whose keys the batch has, plus the
batch. Other tables may be seen alongside it, for checks across datasets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from headworks.names import OWN_IN_SILVER

if TYPE_CHECKING:
    import duckdb

Rows = tuple[str, ...] | pl.DataFrame
"""The rows of a table that is there: its Parquet files, or a frame where the files cannot be reached by DuckDB."""

_DELETED = "_deleted"


@dataclass(frozen=True)
class AfterMerge:
    """A table with a batch merged into it, and the tables alongside it by the names under which they are seen."""

    there: Rows
    batch: pl.DataFrame
    key: tuple[str, ...]
    alongside: Mapping[str, Rows] = field(default_factory=dict)


Candidate = Path | tuple[str, ...] | pl.DataFrame | AfterMerge
"""A candidate: a staged file, files with metadata and tombstones among them, a frame, or a table with a batch in it."""


@contextmanager
def duckdb_in_utc() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB so that moments are of the days that they are of in UTC, whatever the machine's zone is."""
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
    finally:
        connection.close()


def show(connection: duckdb.DuckDBPyConnection, candidate: Candidate, schema: str, table: str) -> None:
    """Make a view named ``schema.table`` of a candidate, and one for each table alongside it."""
    connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    if isinstance(candidate, AfterMerge):
        connection.execute(f'CREATE VIEW "{schema}"."{table}" AS {_merged(connection, candidate)}')
        for name, rows in candidate.alongside.items():
            live = _live(connection, rows, f"beside_{name}")
            connection.execute(f'CREATE VIEW "{schema}"."{name}" AS {live}')
        return
    if isinstance(candidate, tuple):
        live = _live(connection, candidate, "candidate_rows")
        connection.execute(f'CREATE VIEW "{schema}"."{table}" AS {live}')
        return
    if isinstance(candidate, Path):
        connection.from_parquet(str(candidate)).create_view("candidate_rows")
    else:
        connection.from_arrow(candidate.to_arrow()).create_view("candidate_rows")
    connection.execute(f'CREATE VIEW "{schema}"."{table}" AS SELECT * FROM candidate_rows')


def files_of(candidate: Candidate) -> list[str]:
    """Return the files that a candidate's rows are in: all that its views have to read."""
    if isinstance(candidate, AfterMerge):
        seen = (candidate.there, *candidate.alongside.values())
        return [file for rows in seen if isinstance(rows, tuple) for file in rows]
    if isinstance(candidate, Path):
        return [str(candidate)]
    return list(candidate) if isinstance(candidate, tuple) else []


def _merged(connection: duckdb.DuckDBPyConnection, candidate: AfterMerge) -> str:
    """Return SQL for the rows that are there without the batch's keys, and the batch."""
    connection.from_arrow(candidate.batch.to_arrow()).create_view("batch_rows")
    alive = [name for name in candidate.batch.columns if name not in OWN_IN_SILVER]
    columns = ", ".join(f'"{name}"' for name in alive)
    batch = f"SELECT {columns} FROM batch_rows"
    if _DELETED in candidate.batch.columns:
        batch += f" WHERE NOT {_DELETED}"
    there = _live(connection, candidate.there, "rows_there")
    if there == _NOTHING:
        return batch
    same = " AND ".join(f'batch_rows."{name}" = kept."{name}"' for name in candidate.key)
    kept = f"SELECT {columns} FROM ({there}) AS kept WHERE NOT EXISTS (SELECT 1 FROM batch_rows WHERE {same})"
    return f"{kept} UNION ALL BY NAME {batch}"


_NOTHING = ""


def _live(connection: duckdb.DuckDBPyConnection, rows: Rows, name: str) -> str:
    """Return SQL for the rows of a table that are no tombstones, without metadata."""
    if isinstance(rows, pl.DataFrame):
        connection.from_arrow(rows.to_arrow()).create_view(name)
    elif rows:
        connection.from_parquet(list(rows), union_by_name=True).create_view(name)
    else:
        return _NOTHING
    own = ", ".join(f"'{column}'" for column in sorted(OWN_IN_SILVER))
    return f"SELECT COLUMNS(lambda c: c NOT IN ({own})) FROM {name} WHERE NOT {_DELETED}"
