"""One snapshot of a Postgres, exported so that several connections read the same rows.

The connection that exported it asks all questions about the table as well, in the same transaction. So the description,
the rows and the counts belong together, and nobody changes the table's columns meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from psycopg import IsolationLevel, errors, sql

from headworks.settings import DatabaseSettings
from headworks.sources.sql.bound import Bound
from headworks.sources.sql.columns import Column, describe_columns, primary_key
from headworks.sources.sql.connect import Connection, connected
from headworks.sources.sql.table import Table

# A statement for each quarter of a gigabyte: so the statement timeout is one of a part, and parts even out.
_PART_BLOCKS = 32_768
# Before this version a condition on ctid reads the whole table.
_RANGES_FROM = 14_00_00

_HIDDEN = (
    "row-level security is in force for this user: only the rows that its policies show were read, and how many others "
    "there are is not known. Read with a role that has BYPASSRLS, or with a policy that shows it all rows"
)


@dataclass(frozen=True)
class Described:
    """A table's columns and its key, as the database knows them."""

    columns: list[Column]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot while it is open: its id for other connections, and the connection that keeps it."""

    connection: Connection = field(repr=False)
    table: Table
    id: str = ""
    bound: Bound | None = None
    described: Described = field(default_factory=lambda: Described([], ()))

    @property
    def relation(self) -> sql.Composable:
        """Return the table or query as written behind FROM."""
        return relation_of(self.table)

    def parts(self, select: sql.Composable) -> list[str]:
        """Return the queries that together read the table whole: by ranges of its pages where that is cheap."""
        blocks = self._blocks()
        cuts = list(range(_PART_BLOCKS, blocks, _PART_BLOCKS))
        lows, highs = [0, *cuts], [*cuts, None]
        if not cuts:
            return [select.as_string(self.connection)]
        return [
            self._part(select, low, high).as_string(self.connection)
            for low, high in zip(lows, highs, strict=True)
        ]

    def _part(self, select: sql.Composable, low: int, high: int | None) -> sql.Composable:
        # The last part is open: a table that inherits from this one has pages of its own.
        query = sql.SQL("{} WHERE ctid >= {}::tid").format(select, sql.Literal(f"({low},0)"))
        if high is None:
            return query
        return sql.SQL("{} AND ctid < {}::tid").format(query, sql.Literal(f"({high},0)"))

    def _blocks(self) -> int:
        """Return the number of the table's pages, 0 where its rows have no place to divide it by."""
        if self.table.query is not None or self.connection.info.server_version < _RANGES_FROM:
            return 0
        found = self.connection.execute(
            "SELECT pg_relation_size(oid) / current_setting('block_size')::int8 FROM pg_class "
            "WHERE oid = %s::regclass AND relkind IN ('r', 'm')",
            (self.relation.as_string(self.connection),),
        ).fetchone()
        return int(found[0]) if found else 0


def relation_of(table: Table) -> sql.Composable:
    """Return a table or query as written behind FROM."""
    if table.query is not None:
        # The line's end closes a comment at the end of the query.
        return sql.SQL("({}\n) AS query").format(sql.SQL(table.query))
    return _identifier(table)


def described(database: DatabaseSettings, application: str, table: Table) -> Described:
    """Ask for a table's columns and key."""
    with connected(database, application=application, read_only=True) as connection:
        return _describe(connection, table)


@contextmanager
def in_snapshot(
    database: DatabaseSettings,
    application: str,
    table: Table,
    *,
    bound: Callable[[Snapshot], Bound | None] = lambda _: None,
) -> Iterator[Snapshot]:
    """Open a snapshot, taken after ``bound`` was asked, and keep it while the context lasts."""
    with connected(database, application=application, read_only=True) as connection:
        # The bound is asked in a transaction of its own: the snapshot must be younger than its answer.
        limit = bound(Snapshot(connection, table))
        connection.rollback()
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        exported = connection.execute("SELECT pg_export_snapshot()").fetchone()
        yield Snapshot(
            connection, table, str(exported[0]) if exported else "", limit, _describe(connection, table)
        )


def hidden_rows(snapshot: Snapshot) -> tuple[str, ...]:
    """Say that row-level security hides rows from this user; nothing where it does not.

    With ``row_security`` off Postgres refuses a query that a policy would filter, in a view, too.
    """
    connection = snapshot.connection
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL row_security = off")
            connection.execute(sql.SQL("SELECT FROM {} LIMIT 0").format(snapshot.relation))
    except errors.InsufficientPrivilege:
        return (_HIDDEN,)
    return ()


def own_zone(database: DatabaseSettings, application: str) -> str:
    """Return the time zone that sessions of the database have where they do not ask for another."""
    with connected(database, application=application, read_only=True, timezone=None) as connection:
        return connection.info.parameter_status("TimeZone") or "UTC"


def _describe(connection: Connection, table: Table) -> Described:
    columns = describe_columns(connection, relation_of(table), table.label)
    key = table.key
    if not key and table.name is not None:
        key = primary_key(connection, _identifier(table))
    return Described(columns, key)


def _identifier(table: Table) -> sql.Identifier:
    parts = [part for part in (table.schema_name, table.name) if part is not None]
    return sql.Identifier(*parts)
