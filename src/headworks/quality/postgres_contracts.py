"""Soda contracts over a table of Postgres, in the transaction that publishes it: before anybody else can see it.

The scan uses the publication's own connection, so it sees what is not committed yet. Soda would commit, roll back and
close that connection as it likes; it is given one on which these do nothing. The scan runs in a savepoint in which
nothing can be written, and which is rolled back after it: neither a query that writes nor one that fails leaves a
trace. Each statement is prepared, which Postgres does for one alone: a second one in the same text, such as a COMMIT,
is refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import Connection, pq, sql

from headworks.errors import ContractRefused
from headworks.quality.contracts import Scanned, first_lines, names, read_contract, scanned, verify
from headworks.quality.preflight import (
    checks_of,
    found_before,
    one_query,
    refuse_what_checks_nothing,
)
from headworks.quality.sql_words import names_in
from headworks.reports import CheckReport

_DATA_SOURCE = "postgres"


def run_postgres_contract(
    contract: Path, connection: Connection[Any], schema: str, table: str, scope: str
) -> list[CheckReport]:
    """Run a contract over a table as the connection's transaction sees it, and return one report for each check.

    The contract's ``dataset`` is ``postgres/<schema>/<table>`` and must name this very table: a check of another one
    would pass and say nothing. What cannot be checked is a report with the outcome ``error`` or ``not evaluated``.
    """

    def scan() -> Scanned:
        content = read_contract(contract)
        named = names(content, _DATA_SOURCE)
        if named != (schema, table):
            raise ContractRefused(
                f"the contract is about {'.'.join(named)}, and published is {schema}.{table}"
            )
        with _looking_only(connection):
            engine = _Postgres(connection, schema, table)
            refuse_what_checks_nothing(content, table, engine)
            before = found_before(content, engine, scope)
            with _with_database(contract, content, connection) as complete:
                result = verify(complete, _source(connection))
            alive = connection.info.transaction_status == pq.TransactionStatus.INTRANS
        if not alive and not result.get_errors():
            raise ContractRefused("a query of the scan failed, and the transaction with it")
        return before, result

    return scanned(contract, scope, scan)


@contextmanager
def _looking_only(connection: Connection[Any]) -> Iterator[None]:
    """Let nothing be written, and take back whatever was done: a failed query as well."""
    connection.execute("SAVEPOINT scan")
    connection.execute("SET LOCAL transaction_read_only = on")
    try:
        yield
    finally:
        connection.execute("ROLLBACK TO SAVEPOINT scan")
        connection.execute("RELEASE SAVEPOINT scan")


@dataclass(frozen=True)
class _Postgres:
    """A table of Postgres, as a contract is held against it before the scan."""

    connection: Connection[Any]
    schema: str
    name: str

    @property
    def table(self) -> str:
        """The table's name, quoted."""
        return sql.Identifier(self.schema, self.name).as_string(self.connection)

    def columns(self) -> dict[str, str]:
        """Return the type of each column."""
        rows = self.connection.execute(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (self.table,),
        ).fetchall()
        return dict(rows)

    def problem(self, query: str) -> str | None:
        """Return why a query cannot be evaluated, without running it."""
        self.connection.execute("SAVEPOINT ask")
        try:
            # A statement that is no query cannot stand in brackets; the line breaks end comments.
            asked = f"EXPLAIN SELECT 1 FROM (\n{query}\n) AS asked".encode()
            self.connection.execute(asked, prepare=True)
        except psycopg.Error as problem:
            return first_lines(problem)
        finally:
            self.connection.execute("ROLLBACK TO SAVEPOINT ask")
        return None

    def is_empty_always(self, query: str) -> bool:
        """Return whether a query gives no row whatever is in the table: a filter that is constant, and not true.

        One of nulls is let through: a newer Postgres takes it out where a column is declared without them.
        """
        if {"is", "isnull", "notnull"} & names_in(query):
            return False
        row = self.connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode(), prepare=True).fetchone()
        plan = row[0][0]["Plan"] if row else {}
        return bool(plan.get("Node Type") == "Result" and plan.get("One-Time Filter") == "false")

    def number(self, query: str) -> int:
        """Return the one number that a query gives."""
        row = self.connection.execute(query.encode(), prepare=True).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def _with_database(contract: Path, content: Mapping[str, Any], connection: Connection[Any]) -> Iterator[Path]:
    """Write the contract with the database's name in its dataset, which differs from place to place; its path.

    Its queries are written without the semicolon at their end: Soda puts them into a query of its own.
    """
    _, schema, table = content["dataset"].split("/")
    complete = {**content, "dataset": "/".join((_DATA_SOURCE, connection.info.dbname, schema, table))}
    for check in checks_of(complete):
        for key, query in check.queries():
            check.body[key] = one_query(query)
    with tempfile.TemporaryDirectory(prefix="headworks-contract-") as folder:
        path = Path(folder) / contract.name
        path.write_text(yaml.safe_dump(complete, sort_keys=False, allow_unicode=True), encoding="utf-8")
        yield path


def _source(connection: Connection[Any]) -> Any:
    """Return Soda's data source over a connection that is there."""
    # Imported late: it takes half a second, and most steps of a run do not scan.
    from soda_postgres.common.data_sources.postgres_data_source import PostgresDataSourceImpl
    from soda_postgres.common.data_sources.postgres_data_source_connection import (
        PostgresDataSource,
        PostgresDataSourceConnection,
    )

    class Borrowed(PostgresDataSourceConnection):  # type: ignore[misc]
        """Soda's connection, over the publication's."""

        def _create_connection(self, config: Any) -> Any:
            return _Lent(connection)

    # Nothing is connected by these; Soda asks for them all the same.
    unused = {"host": "localhost", "database": connection.info.dbname, "user": "unused", "password": "unused"}
    model = PostgresDataSource(name=_DATA_SOURCE, connection_properties=unused)
    return PostgresDataSourceImpl(data_source_model=model, connection=Borrowed(_DATA_SOURCE, unused))


class _Lent:
    """A connection as it is lent to Soda: it can ask, but neither commit, nor roll back, nor close."""

    autocommit = False

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def cursor(self, *arguments: Any, **named: Any) -> Any:
        return _OneStatement(self._connection, *arguments, **named)

    def commit(self) -> None:
        """Do nothing: the publication commits."""

    def rollback(self) -> None:
        """Do nothing: the publication rolls back, since a transaction in which a query failed is an error."""

    def close(self) -> None:
        """Do nothing: the publication closes."""


class _OneStatement(psycopg.Cursor[Any]):
    """A cursor that prepares what it executes, which Postgres refuses for several statements in one text."""

    def execute(self, query: Any, params: Any = None, **named: Any) -> Any:
        """Execute one statement."""
        text = query.strip().rstrip(";") if isinstance(query, str) else query
        return super().execute(text, params, **{**named, "prepare": True})
