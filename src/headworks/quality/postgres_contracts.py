"""Soda contracts over a table of Postgres, in the transaction that publishes it: before anybody else can see it.

The scan uses the publication's own connection, so it sees what is not committed yet. Soda would commit, roll back and
close that connection as it likes; it is given one on which these do nothing. A query that fails aborts the transaction,
and the commit of an aborted transaction is a rollback in silence; so afterwards the transaction is asked whether it
still lives, and if not, that is an error.

What belongs here: running one contract over one published table. What does not: publishing, deciding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from psycopg import Connection, pq

from headworks.observe.report import CheckReport
from headworks.quality.contracts import names, scanned, verify

_DATA_SOURCE = "postgres"


def run_postgres_contract(
    contract: Path, connection: Connection[Any], schema: str, table: str, scope: str
) -> list[CheckReport]:
    """Run a contract over a table as the connection's transaction sees it, and return one report for each check.

    The contract's ``dataset`` is ``postgres/<schema>/<table>`` and must name this very table: a check of another one
    would pass and say nothing. What cannot be checked is a report with the outcome ``error`` or ``not evaluated``.
    """

    def scan() -> Any:
        named = names(contract, _DATA_SOURCE)
        if named != (schema, table):
            raise ValueError(f"the contract is about {'.'.join(named)}, and published is {schema}.{table}")
        with _with_database(contract, connection) as complete:
            result = verify(complete, _source(connection))
        alive = connection.info.transaction_status == pq.TransactionStatus.INTRANS
        if not alive and not result.get_errors():
            raise ValueError("a query of the scan failed, and the transaction with it")
        return result

    return scanned(contract, scope, scan)


@contextmanager
def _with_database(contract: Path, connection: Connection[Any]) -> Iterator[Path]:
    """Write the contract with the database's name in its dataset, which differs from place to place; its path."""
    content = yaml.safe_load(contract.read_text(encoding="utf-8"))
    _, schema, table = content["dataset"].split("/")
    content["dataset"] = "/".join((_DATA_SOURCE, connection.info.dbname, schema, table))
    with tempfile.TemporaryDirectory(prefix="headworks-contract-") as folder:
        path = Path(folder) / contract.name
        path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
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
        return self._connection.cursor(*arguments, **named)

    def commit(self) -> None:
        """Do nothing: the publication commits."""

    def rollback(self) -> None:
        """Do nothing: the publication rolls back, since a transaction in which a query failed is an error."""

    def close(self) -> None:
        """Do nothing: the publication closes."""
