"""Writing the shop's days into Postgres: the schema, the history, and each day lived after it.

The only module that writes to the shop's tables. What is written is decided in `chronicle`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from importlib.resources import files
from typing import Any, Final, LiteralString

from psycopg import Connection, sql
from psycopg.pq import TransactionStatus

from shop.chronicle import Chronicle
from shop.errors import ShopError
from shop.world import CustomerRow, Day, LineRow, Move, OrderRow, ProductRow, RateRow, World

Row = tuple[Any, ...]

_LIVED: Final = "SELECT coalesce(max(day_no) + 1, 0) FROM shop.life"

# In-place changes go to the newest version of a key: an older version alongside it stays what it is.
_CHANGE_NEWEST: Final = """
    WITH newest AS (
        SELECT {key}, max(t.updated_at) AS moment
        FROM {table} AS t JOIN {changes} AS c USING ({key})
        GROUP BY {key}
    )
    UPDATE {table} AS t SET {assignments} FROM {changes} AS c JOIN newest USING ({key})
    WHERE {same_key} AND t.updated_at = newest.moment
"""


def create_schema(connection: Connection[Any], world: World) -> None:
    """Create the shop's empty tables; where they are already, check that they belong to the same world."""
    _require_idle(connection)
    settings = world.model_dump_json()
    with connection.transaction():
        # Two founders at once would collide in the system catalogue.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('shop.create_schema'))")
        # What exists is not even touched: the locks of idle DDL would deadlock with somebody who lives a day.
        (there, lived_by) = _one(
            connection,
            "SELECT to_regclass('shop.life') IS NOT NULL, "
            "obj_description(to_regclass('shop.life'), 'pg_class')",
        )
        if not there:
            connection.execute(read_sql("schema"))
            comment = sql.SQL("COMMENT ON TABLE shop.life IS {}").format(sql.Literal(settings))
            connection.execute(comment)
        elif lived_by != settings:
            raise ShopError(
                f"This database holds the shop of another world: {lived_by}. Asked for: {settings}. "
                "Use the same settings, or an empty database."
            )


def lived_days(connection: Connection[Any]) -> int:
    """How many days the shop has lived."""
    with connection.transaction():
        (days,) = _one(connection, _LIVED)
    return int(days)


def live(connection: Connection[Any], world: World, days: int) -> list[date]:
    """Live so many days more after the last, each in its own transaction; the dates of the days lived."""
    return live_until(connection, world, lived_days(connection) + days)


def live_until(connection: Connection[Any], world: World, days: int) -> list[date]:
    """Live on until so many days have been lived in all; nothing happens if they have been already."""
    _require_idle(connection)
    chronicle = Chronicle(world)
    lived: list[date] = []
    while (day := _live_one(connection, chronicle, days)) is not None:
        lived.append(day)
    return lived


def found(connection: Connection[Any], world: World) -> list[date]:
    """Found the shop, its tables and its history; continues where it was interrupted; the dates lived."""
    create_schema(connection, world)
    lived = live_until(connection, world, world.history_days)
    if lived:
        with connection.transaction():
            for table in (
                "shop.customers",
                "shop.orders",
                "shop.order_lines",
                "catalogue.products",
                "catalogue.rates",
            ):
                connection.execute(f"ANALYZE {table}")
    return lived


def _live_one(connection: Connection[Any], chronicle: Chronicle, days: int) -> date | None:
    with connection.transaction():
        # Whoever lives a day keeps others from living the same one, and from computing the truth meanwhile.
        connection.execute("LOCK TABLE shop.life IN EXCLUSIVE MODE")
        (day_no,) = _one(connection, _LIVED)
        if day_no >= days:
            return None
        day = chronicle.day(day_no)
        write_day(connection, day)
        connection.execute("INSERT INTO shop.life VALUES (%s, %s)", (day_no, day.day))
    return day.day


def write_day(connection: Connection[Any], day: Day) -> None:
    """Write one day: changes to what was there first, then what is new."""
    _change(connection, "shop.customers", ("customer_id",), CustomerRow._fields, day.changed_customers)
    _change(connection, "shop.customers", ("customer_id",), Move._fields, day.moves)
    _change(connection, "shop.orders", ("order_id",), OrderRow._fields, day.changed_orders)
    _change(connection, "shop.order_lines", ("order_id", "line_no"), LineRow._fields, day.changed_lines)
    _change(connection, "catalogue.products", ("ord",), ProductRow._fields, day.changed_products)
    _copy(connection, sql.Identifier("shop", "customers"), CustomerRow._fields, day.new_customers)
    _copy(connection, sql.Identifier("shop", "orders"), OrderRow._fields, day.new_orders)
    _copy(connection, sql.Identifier("shop", "order_lines"), LineRow._fields, day.new_lines)
    _copy(connection, sql.Identifier("catalogue", "products"), ProductRow._fields, day.new_products)
    _copy(connection, sql.Identifier("catalogue", "rates"), RateRow._fields, day.rates)


def read_sql(name: str) -> str:
    """A statement of this package, by its file name."""
    return files("shop").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def _copy(
    connection: Connection[Any], table: sql.Identifier, columns: Iterable[str], rows: Iterable[Row]
) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _change(
    connection: Connection[Any],
    name: str,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    rows: Sequence[Row],
) -> None:
    table, changes = sql.Identifier(*name.split(".")), sql.Identifier("changes")
    if not rows:
        return
    connection.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(changes, table))
    _copy(connection, changes, columns, rows)
    connection.execute(sql.SQL("ANALYZE {}").format(changes))
    assignments = [sql.SQL("{0} = c.{0}").format(sql.Identifier(name)) for name in columns if name not in key]
    same = [sql.SQL("t.{0} = c.{0}").format(sql.Identifier(name)) for name in key]
    connection.execute(
        sql.SQL(_CHANGE_NEWEST).format(
            table=table,
            changes=changes,
            key=sql.SQL(", ").join(map(sql.Identifier, key)),
            assignments=sql.SQL(", ").join(assignments),
            same_key=sql.SQL(" AND ").join(same),
        )
    )
    connection.execute(sql.SQL("DROP TABLE {}").format(changes))


def _one(connection: Connection[Any], statement: LiteralString) -> Row:
    row: Row | None = connection.execute(statement).fetchone()
    if row is None:
        raise ShopError(f"The database gave no row for: {statement}")
    return row


def _require_idle(connection: Connection[Any]) -> None:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise ShopError(
            "The connection is in the middle of a transaction: commit or roll back first; each day has one."
        )
