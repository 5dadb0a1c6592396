"""The reader for a database: Postgres has one of its own, every other one is read through its driver."""

from __future__ import annotations

from headworks.settings import DatabaseSettings
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.engines import address
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table

DatabaseTable = PostgresTable | DialectTable


def reader_of(database: DatabaseSettings, table: Table, *, run_id: str = "") -> DatabaseTable:
    """Return the reader of a table, by the kind of database that its URL names."""
    if address(database).get_backend_name() == "postgresql":
        return PostgresTable(database, table, run_id=run_id)
    return DialectTable(database, table, run_id=run_id)
