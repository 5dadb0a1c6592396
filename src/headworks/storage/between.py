"""Rows that two versions of a table do not share, found in the files that they do not share."""

from __future__ import annotations

import polars as pl

from headworks.storage.delta import Table
from headworks.storage.object_store import options_of_polars


class NotComparable(Exception):
    """Two versions cannot be compared by their files; its text says why."""


def rows_of_changed_files(before: Table, after: Table) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Return the rows of the files that only the one, and only the other of two versions of a table has.

    Rows that both have may be in both, since a commit writes those around a changed one again. Raises `NotComparable`.
    """
    if before.id != after.id:
        raise NotComparable("it was made again")
    if dict(before.schema) != dict(after.schema):
        raise NotComparable("it has other columns now")
    if not (before.has_plain_files and after.has_plain_files):
        raise NotComparable("its files say only in part what is in them")
    old, new = {*before.files()}, {*after.files()}
    return _rows(before, sorted(old - new)), _rows(after, sorted(new - old))


def _rows(table: Table, files: list[str]) -> pl.LazyFrame:
    schema = table.schema
    if not files:
        return pl.LazyFrame(schema=schema)
    options = options_of_polars(table.options)
    return pl.scan_parquet(files, schema=schema, missing_columns="insert", storage_options=options)
