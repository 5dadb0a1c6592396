"""Every known kind of dirt is there: in the history, and again within any three days after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

import psycopg

from shop.database import live
from shop.world import World

Connect = Callable[..., psycopg.Connection[Any]]

_COPIES: Final = (
    "SELECT t::text FROM {table} AS t WHERE {key} IS NOT NULL AND {today} GROUP BY 1 HAVING count(*) > 1"
)
_STALE: Final = (
    "SELECT {key} FROM {table} WHERE {key} IS NOT NULL AND {today} GROUP BY {key}{more} "
    "HAVING count(DISTINCT updated_at) > 1"
)
_RECORD: Final = "SELECT payload::jsonb AS r, updated_at FROM catalogue.products WHERE {today}"

# Each finds rows written on or after %(day)s only, without any help of the generator.
DETECT: Final = {
    "copied customer": _COPIES.replace("{table}", "shop.customers").replace("{key}", "customer_id"),
    "copied order": _COPIES.replace("{table}", "shop.orders").replace("{key}", "order_id"),
    "copied line": _COPIES.replace("{table}", "shop.order_lines").replace("{key}", "order_id"),
    "stale customer": _STALE.replace("{table}", "shop.customers")
    .replace("{key}", "customer_id")
    .replace("{more}", ""),
    "stale order": _STALE.replace("{table}", "shop.orders")
    .replace("{key}", "order_id")
    .replace("{more}", ""),
    "stale line": _STALE.replace("{table}", "shop.order_lines")
    .replace("{key}", "order_id")
    .replace("{more}", ", line_no"),
    "null customer key": "SELECT 1 FROM shop.customers WHERE customer_id IS NULL AND {today}",
    "null order key": "SELECT 1 FROM shop.orders WHERE order_id IS NULL AND {today}",
    "null customer of an order": "SELECT 1 FROM shop.orders WHERE customer_id IS NULL AND {today}",
    "null order of a line": "SELECT 1 FROM shop.order_lines WHERE order_id IS NULL AND {today}",
    "null product of a line": "SELECT 1 FROM shop.order_lines WHERE product_id IS NULL AND {today}",
    "negative quantity": "SELECT 1 FROM shop.order_lines WHERE quantity < 0 AND {today}",
    "negative unit price": "SELECT 1 FROM shop.order_lines WHERE unit_price < 0 AND {today}",
    "discount above 1": "SELECT 1 FROM shop.order_lines WHERE discount >= 1 AND {today}",
    "unknown currency": "SELECT 1 FROM shop.orders WHERE currency = 'XXX' AND {today}",
    "unknown status": "SELECT 1 FROM shop.orders WHERE status = 'teleported' AND {today}",
    "orphan line": "SELECT 1 FROM shop.order_lines WHERE order_id >= 8000000 AND {today}",
    "late parent": "SELECT 1 FROM shop.order_lines AS l WHERE order_id < 8000000 AND {today} "
    "AND NOT EXISTS (SELECT FROM shop.orders AS o WHERE o.order_id = l.order_id)",
    "unknown product": "SELECT 1 FROM shop.order_lines WHERE product_id >= 8000000 AND {today}",
    "unknown customer": "SELECT 1 FROM shop.orders WHERE customer_id >= 8000000 AND {today}",
    "order of 1900": "SELECT 1 FROM shop.orders WHERE ordered_at < '1901-01-01' AND {today}",
    "order of 2999": "SELECT 1 FROM shop.orders WHERE ordered_at > '2900-01-01' AND {today}",
    "impossible birth date": "SELECT 1 FROM shop.customers WHERE birth_date = '1987-02-30' AND {today}",
    "malformed email": "SELECT 1 FROM shop.customers WHERE email NOT LIKE '%%@%%' AND {today}",
    "unknown country": "SELECT 1 FROM shop.customers WHERE country = 'XX' AND {today}",
    "malformed shipping": "SELECT 1 FROM shop.orders WHERE {today} AND CASE WHEN shipping IS JSON OBJECT "
    "THEN coalesce(shipping::jsonb ->> 'city', '') = '' ELSE true END",
    "price n/a": f"SELECT 1 FROM ({_RECORD}) WHERE r ->> 'price' = 'n/a'",
    "negative price": f"SELECT 1 FROM ({_RECORD}) WHERE r ->> 'price' LIKE '-%%'",
    "null product id": f"SELECT 1 FROM ({_RECORD}) WHERE r -> 'product_id' = 'null'",
    "malformed attributes": f"SELECT 1 FROM ({_RECORD}) WHERE NOT (r ->> 'attributes' IS JSON OBJECT)",
}
COPIED_PRODUCTS: Final = (
    "SELECT count(*) - count(DISTINCT payload::jsonb -> 'product_id') FROM catalogue.products "
    "WHERE payload::jsonb -> 'product_id' <> 'null'"
)


def missing(connection: psycopg.Connection[Any], since: date) -> list[str]:
    """The kinds of dirt of which nothing was written since a day."""
    return [
        kind
        for kind, statement in DETECT.items()
        if not connection.execute(
            statement.replace("{today}", "updated_at >= %(day)s"), {"day": since}
        ).fetchall()
    ]


def copied_products(connection: psycopg.Connection[Any]) -> int:
    """How many records of products there are beyond one for each key."""
    row = connection.execute(COPIED_PRODUCTS).fetchone()
    assert row is not None
    return int(row[0])


def test_every_kind_is_in_the_history(founded_dsn: str, small: World) -> None:
    with psycopg.connect(founded_dsn) as connection:
        assert missing(connection, small.first_day) == []
        assert copied_products(connection) >= 1


def test_every_kind_comes_again_within_any_three_days(
    connect: Connect, founded_dsn: str, small: World
) -> None:
    connection = connect(founded_dsn)
    for alone in (0, 1, 0, 0, 1, 0):
        # A day between the windows now and then, so that windows start on every day of the rhythm.
        live(connection, small, alone)
        copies = copied_products(connection)
        first, *_ = live(connection, small, 3)
        assert missing(connection, first) == []
        assert copied_products(connection) > copies


def test_some_dirt_is_repaired_in_place(connect: Connect, founded_dsn: str, small: World) -> None:
    connection = connect(founded_dsn)
    broken = "SELECT order_id FROM shop.orders WHERE currency = 'XXX' OR ordered_at < '1901-01-01'"
    products = "SELECT ord FROM catalogue.products WHERE payload::jsonb ->> 'price' = 'n/a'"
    live(connection, small, 6)
    before = set(connection.execute(broken)), set(connection.execute(products))
    live(connection, small, 12)
    for old, statement in zip(before, (broken, products), strict=True):
        assert old - set(connection.execute(statement))


def test_a_late_parent_arrives_on_the_next_day(connect: Connect, founded_dsn: str, small: World) -> None:
    connection = connect(founded_dsn)
    orphans = (
        "SELECT DISTINCT order_id FROM shop.order_lines WHERE order_id < 8000000 "
        "AND order_id NOT IN (SELECT order_id FROM shop.orders WHERE order_id IS NOT NULL)"
    )
    waiting = connection.execute(orphans).fetchall()
    assert len(waiting) == 1
    live(connection, small, 1)
    still_waiting = connection.execute(orphans).fetchall()
    assert len(still_waiting) == 1
    assert still_waiting != waiting
