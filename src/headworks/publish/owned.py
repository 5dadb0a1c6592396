"""Which tables of a schema are ours: recorded in the schema itself, and looked at before anything is written.

A table that this product did not make is never written, whatever its name and columns. The record holds the table's own
number (its OID), so one that was dropped and made again by somebody else is not taken for ours; and that of the
record's own table, so a schema that was restored from a dump, in which every number is another, is known as such.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from headworks.errors import PublicationRefused
from headworks.sources.sql.connect import Connection

LEDGER = "_headworks_tables"
_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "i": "index",
    "I": "index",
    "c": "type",
}
_OURS = "rename or drop that one, or publish under another name. "


@dataclass(frozen=True)
class Column:
    """A column of a table that is there."""

    kind: str
    must_be_given: bool
    """Null is not allowed, and no default replaces a value that is not given."""
    not_null: bool
    generated: bool


@dataclass(frozen=True)
class Found:
    """A table that is there, as the catalogue has it."""

    oid: int
    columns: dict[str, Column]
    key: tuple[str, ...]
    key_name: str | None


@dataclass(frozen=True)
class Owned:
    """What is on record of a table of ours: the columns that we made, and those that were emptied since."""

    oid: int
    columns: tuple[str, ...]
    emptied: tuple[str, ...]
    key: tuple[str, ...]
    contract: str


def make_ledger(connection: Connection, schema: str) -> bool:
    """Make the record of tables where there is none; says whether it was made."""
    if _oid(connection, schema, LEDGER):
        return False
    connection.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, product text NOT NULL, dataset text NOT NULL,"
            " table_id oid NOT NULL, ledger_id oid NOT NULL, columns text[] NOT NULL, emptied text[] NOT NULL,"
            " key text[] NOT NULL, contract text NOT NULL)"
        ).format(sql.Identifier(schema, LEDGER))
    )
    return True


def owned_table(
    connection: Connection, schema: str, name: str, product: str, key: tuple[str, ...], *, upgraded: bool
) -> tuple[Found | None, Owned | None]:
    """Return a table as it is and as it is on record, None each where there is none.

    Raises `PublicationRefused` where something of that name is there that this product did not make. ``upgraded`` says
    that the product was published here before there was a record: then a table with just its key is its own.
    """
    where = f"{schema}.{name}"
    relation = connection.execute(
        "SELECT c.oid::bigint, c.relkind::text, r.rolname::text FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner"
        " WHERE n.nspname = %s AND c.relname = %s",
        (schema, name),
    ).fetchone()
    record = connection.execute(
        sql.SQL(
            "SELECT product, table_id::bigint, ledger_id::bigint, columns, emptied, key, contract"
            " FROM {} WHERE name = {}"
        ).format(sql.Identifier(schema, LEDGER), sql.Literal(name))
    ).fetchone()
    if record is not None and record[0] != product:
        raise PublicationRefused(
            f"The product {record[0]} publishes this table.",
            where=where,
            do="publish under another name.",
        )
    owned = None
    if record is not None:
        columns, emptied, recorded_key = (tuple(part) for part in record[3:6])
        owned = Owned(record[1], columns, emptied, recorded_key, record[6])
    if relation is None:
        return None, owned
    oid, kind, owner = relation
    if kind != "r":
        raise PublicationRefused(
            f"It is a {_KINDS.get(kind, 'thing of another kind')} of {owner}, and not a table that headworks made.",
            where=where,
            do=_OURS + "Nothing was written.",
        )
    found = _found(connection, oid)
    restored = record is not None and record[2] != _oid(connection, schema, LEDGER)
    if owned is not None and (owned.oid == oid or restored):
        return found, owned
    if owned is None and upgraded and found.key == key and found.key_name == f"{name}_pkey":
        # Which of its columns were ours is not known, so none that gold does not have is touched.
        return found, Owned(oid, (), (), key, "")
    raise PublicationRefused(
        f"There is a table of that name, of {owner}, which headworks did not make; its rows would be deleted."
        if owned is None
        else f"The table that headworks made is gone, and another one, of {owner}, has its name.",
        where=where,
        do=f"{_OURS}If it is meant for this and its rows may go, drop it; nothing was written.",
    )


def record_table(
    connection: Connection, schema: str, name: str, product: str, dataset: str, owned: Owned
) -> None:
    """Put on record what a table of ours is like now."""
    connection.execute(
        sql.SQL(
            "INSERT INTO {ledger} VALUES ({name}, {product}, {dataset}, {oid}, {ledger_id}, {columns}::text[],"
            " {emptied}::text[], {key}::text[], {contract})"
            " ON CONFLICT (name) DO UPDATE SET dataset = excluded.dataset, table_id = excluded.table_id,"
            " ledger_id = excluded.ledger_id, columns = excluded.columns, emptied = excluded.emptied,"
            " key = excluded.key, contract = excluded.contract"
        ).format(
            ledger=sql.Identifier(schema, LEDGER),
            name=sql.Literal(name),
            product=sql.Literal(product),
            dataset=sql.Literal(dataset),
            oid=sql.Literal(owned.oid),
            ledger_id=sql.Literal(_oid(connection, schema, LEDGER)),
            columns=sql.Literal(list(owned.columns)),
            emptied=sql.Literal(list(owned.emptied)),
            key=sql.Literal(list(owned.key)),
            contract=sql.Literal(owned.contract),
        )
    )


def schema_exists(connection: Connection, schema: str) -> bool:
    """Return whether a schema is there, also for a role that may not look into it."""
    return (
        connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is not None
    )


def relation_exists(connection: Connection, schema: str, name: str) -> bool:
    """Return whether something of that name is there."""
    return _oid(connection, schema, name) != 0


def table_now(connection: Connection, schema: str, name: str) -> Found:
    """Return a table that was just made or changed."""
    return _found(connection, _oid(connection, schema, name))


def _oid(connection: Connection, schema: str, name: str) -> int:
    row = connection.execute(
        "SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        (schema, name),
    ).fetchone()
    return int(row[0]) if row else 0


def _found(connection: Connection, oid: int) -> Found:
    columns = {
        name: Column(kind, not_null and not (has_default or generated), not_null, generated)
        for name, kind, not_null, has_default, generated in connection.execute(
            "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull,"
            " atthasdef OR attidentity <> '', attgenerated <> '' OR attidentity = 'a'"
            " FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (oid,),
        ).fetchall()
    }
    key = connection.execute(
        "SELECT c.conname::text, array_agg(a.attname::text ORDER BY k.place) FROM pg_constraint c,"
        " unnest(c.conkey) WITH ORDINALITY AS k (number, place)"
        " JOIN pg_attribute a ON a.attrelid = %s AND a.attnum = k.number"
        " WHERE c.conrelid = %s AND c.contype = 'p' GROUP BY c.conname",
        (oid, oid),
    ).fetchone()
    return Found(oid, columns, tuple(key[1]) if key else (), key[0] if key else None)
