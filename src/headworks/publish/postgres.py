"""A product into a schema of Postgres, in one transaction that readers see whole or not at all.

Tables are changed row by row where rows differ, never dropped or truncated: grants, views and indexes stay, readers
are not blocked, and a publication that changes little writes little. The product's sequence is recorded in the same
transaction under a row lock, so a repeated publication does nothing and an older one is refused.

What belongs here: that transaction. What does not: which versions to publish.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from psycopg import sql

from headworks.errors import AccountMismatch, ConcurrentRun, PublicationRefused
from headworks.lake.products import ProductVersion
from headworks.lake.store import Lake
from headworks.observe.report import GateReport, PublishedRows, PublishReport
from headworks.quality.gate import decide
from headworks.quality.postgres_contracts import run_postgres_contract
from headworks.settings import DatabaseSettings
from headworks.sources.sql.address import describe
from headworks.sources.sql.connect import Connection, connected

_LEDGER = "_headworks_products"
_TYPES: dict[Any, str] = {
    pl.Boolean: "boolean",
    pl.Int8: "smallint",
    pl.Int16: "smallint",
    pl.Int32: "integer",
    pl.Int64: "bigint",
    pl.UInt32: "bigint",
    pl.Float32: "real",
    pl.Float64: "double precision",
    pl.String: "text",
    pl.Date: "date",
    pl.Binary: "bytea",
}


@dataclass(frozen=True)
class PublishedTable:
    """A gold table and its name in Postgres, with the key that tells its rows apart.

    ``contract`` must hold for the table as readers would see it, in Postgres itself, before they do.
    """

    dataset: str
    name: str
    key: tuple[str, ...]
    contract: Path | None = None


def publish_postgres(
    lake: Lake,
    database: DatabaseSettings,
    schema: str,
    product: ProductVersion,
    tables: tuple[PublishedTable, ...],
) -> PublishReport:
    """Make ``schema`` show exactly the named versions of a product's tables.

    Raises `ConcurrentRun` where a later publication is there already, `PublicationRefused` where a table's columns
    cannot take the new ones, `AccountMismatch` where the rows that would be visible are not those of gold; in each case
    nothing changed. A contract that does not hold is told by a closed gate in the report, and nothing changed either.
    """
    target = f"{describe(database)} schema {schema}"
    report = PublishReport(target=target, product=product.product, sequence=product.sequence)
    with connected(database, application="headworks publish") as connection:
        recorded = _lock(connection, schema, product, target)
        if recorded > product.sequence:
            raise ConcurrentRun(
                f"Publication {recorded} is there already, which is later than {product.sequence}.",
                where=target,
                do="nothing: the later one stays.",
            )
        if recorded < product.sequence:
            rows = [_replace(connection, schema, table, _frame(lake, product, table)) for table in tables]
            gates = _audit(connection, schema, tables)
            report = report.model_copy(update={"gates": gates})
            if not all(gate.open for gate in gates):
                connection.rollback()
                return report
            _record(connection, schema, product)
        else:
            rows = [_unchanged(connection, schema, table) for table in tables]
        report = report.model_copy(update={"tables": tuple(rows), "changed": recorded < product.sequence})
        connection.commit()
    return report


def _lock(connection: Connection, schema: str, product: ProductVersion, target: str) -> int:
    """Make schema and ledger where they are missing, lock the product's row, and return the recorded sequence."""
    name = sql.Identifier(schema, _LEDGER)
    # Two first publications at once would both create; this lock, held to the end of the transaction, orders them.
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"headworks {schema} {product.product}",)
    )
    # Looked for first: a role that may not create needs no such right once everything is there.
    row = connection.execute("SELECT to_regclass(%s)", (name.as_string(connection),)).fetchone()
    if row is None or row[0] is None:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        connection.execute(
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (product text PRIMARY KEY, sequence bigint NOT NULL,"
                " lake_id text NOT NULL, run_id text NOT NULL, published_at timestamptz NOT NULL)"
            ).format(name)
        )
    connection.execute(
        sql.SQL("INSERT INTO {} VALUES (%s, 0, %s, '', now()) ON CONFLICT DO NOTHING").format(name),
        (product.product, product.lake_id),
    )
    sequence, lake_id = connection.execute(
        sql.SQL("SELECT sequence, lake_id FROM {} WHERE product = %s FOR UPDATE").format(name),
        (product.product,),
    ).fetchone() or (0, product.lake_id)
    if lake_id != product.lake_id:
        # Sequences of two lakes cannot be compared, and whoever comes second must not win by accident.
        raise PublicationRefused(
            f"The schema shows publication {sequence} of {product.product} from another lake.",
            where=target,
            do=f"publish to another schema, or let this lake take over: delete the row of {product.product} "
            f"from {schema}.{_LEDGER}.",
        )
    return int(sequence)


def _record(connection: Connection, schema: str, product: ProductVersion) -> None:
    connection.execute(
        sql.SQL("UPDATE {} SET sequence = %s, run_id = %s, published_at = %s WHERE product = %s").format(
            sql.Identifier(schema, _LEDGER)
        ),
        (product.sequence, product.run_id, product.published_at, product.product),
    )


def _frame(lake: Lake, product: ProductVersion, table: PublishedTable) -> pl.DataFrame:
    return lake.must_open("gold", table.dataset, product.table(table.dataset).version).scan().collect()


def _replace(
    connection: Connection, schema: str, table: PublishedTable, frame: pl.DataFrame
) -> PublishedRows:
    """Delete the rows that differ or are gone, insert those that are new, and check what is visible then."""
    target, incoming = (
        sql.Identifier(schema, table.name),
        sql.Identifier(f"incoming_{table.name}"),
    )
    _prepare(connection, schema, table, frame)
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in frame.columns)
    key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            incoming, columns, target
        )
    )
    with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(incoming, columns)) as copy:
        for row in frame.iter_rows():
            copy.write_row(row)
    parts = {"target": target, "incoming": incoming, "columns": columns, "key": key}
    removed = connection.execute(
        sql.SQL(
            "DELETE FROM {target} WHERE ({key}) IN (SELECT {key} FROM"
            " (SELECT {columns} FROM {target} EXCEPT SELECT {columns} FROM {incoming}) AS gone)"
        ).format(**parts)
    ).rowcount
    inserted = connection.execute(
        sql.SQL(
            "INSERT INTO {target} ({columns}) SELECT {columns} FROM {incoming} EXCEPT SELECT {columns} FROM {target}"
        ).format(**parts)
    ).rowcount
    _check_visible(connection, parts, frame, f"{schema}.{table.name}")
    return PublishedRows(
        table=f"{schema}.{table.name}", rows=frame.height, inserted=inserted, removed=removed
    )


def _prepare(connection: Connection, schema: str, table: PublishedTable, frame: pl.DataFrame) -> None:
    """Make the table, or give it the columns that are new; raises `PublicationRefused` for all other differences."""
    wanted = {name: _type(name, dtype) for name, dtype in frame.schema.items()}
    found: dict[str, str] = dict(
        connection.execute(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (sql.Identifier(schema, table.name).as_string(connection),),
        ).fetchall()
    )
    target = sql.Identifier(schema, table.name)
    if not found:
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in wanted.items()
        ]
        key = sql.SQL(", ").join(sql.Identifier(name) for name in table.key)
        connection.execute(
            sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(target, sql.SQL(", ").join(columns), key)
        )
        return
    for name, kind in wanted.items():
        if name not in found:
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(target, sql.Identifier(name), sql.SQL(kind))
            )
        elif found[name] != kind:
            raise PublicationRefused(
                f"Column {name!r} is {found[name]} in the database and {kind} in gold.",
                where=f"{schema}.{table.name}",
                do=f"change the column to {kind} with your views in mind, or publish under another name.",
            )


def _check_visible(
    connection: Connection,
    parts: dict[str, sql.Composable],
    frame: pl.DataFrame,
    where: str,
) -> None:
    row = connection.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {target}),"
            " (SELECT count(*) FROM"
            " (SELECT {columns} FROM {incoming} EXCEPT SELECT {columns} FROM {target}) AS missing)"
        ).format(**parts)
    ).fetchone()
    visible, missing = row if row else (0, frame.height)
    if visible != frame.height or missing:
        raise AccountMismatch(
            f"{visible} rows would be visible and {missing} of gold's {frame.height} rows would be missing.",
            where=where,
            do="look for triggers or rules on the table that change what is inserted; nothing was published.",
        )


def _audit(connection: Connection, schema: str, tables: tuple[PublishedTable, ...]) -> tuple[GateReport, ...]:
    """Check the tables that have a contract, as they would be seen: inside the transaction, before its commit."""
    gates = []
    for table in tables:
        if table.contract is not None:
            scope = f"postgres.{schema}.{table.name}"
            checks = run_postgres_contract(table.contract, connection, schema, table.name, scope)
            gates.append(decide(scope, checks, contract_required=True))
    return tuple(gates)


def _unchanged(connection: Connection, schema: str, table: PublishedTable) -> PublishedRows:
    name = sql.Identifier(schema, table.name)
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    return PublishedRows(table=f"{schema}.{table.name}", rows=int(row[0]) if row else 0)


def _type(name: str, dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "timestamp with time zone" if dtype.time_zone else "timestamp without time zone"
    kind = _TYPES.get(type(dtype))
    if kind is None:
        raise PublicationRefused(
            f"Column {name!r} of type {dtype} has no counterpart in Postgres.",
            do="cast it in the gold transform.",
        )
    return kind
