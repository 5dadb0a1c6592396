"""The shop's sound orders and lines: when they are placed, how they move on.

Each day's orders are a pure function of the world and the day number, with their whole later life already
planned. So any day can be computed without having lived the days before. Broken orders are in `dirt`.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Final

from shop.catalogue import list_price_cents, products_on_sale
from shop.people import customer, customers_known
from shop.world import LineRow, OrderRow, Placed, RunContext, Version, World

LIFE_DAYS: Final = 12
"""No row is changed later than this many days after its order's day."""

ANNOUNCED, STALE, COPIED, LATE, CORRECTED = range(5)
"""The first places of each day have parts: its lines come a day early, it has an older version, it is written
twice, it is late, its first line is corrected the next day."""

_CURRENCY_OF: Final = {"CH": "CHF", "GB": "GBP", "PL": "PLN", "SE": "SEK", "US": "USD"}
_PRICE_PER_EURO: Final = {"EUR": 100, "USD": 109, "GBP": 85, "CHF": 95, "PLN": 430, "SEK": 1140}
_CITIES: Final = (
    "Aarau",
    "Bergen",
    "Córdoba",
    "Delft",
    "Évian",
    "Gdańsk",
    "Köln",
    "Leeds",
    "Malmö",
    "Torino",
)
_DISCOUNTS: Final = ("0.0500", "0.1000", "0.1250", "0.3333")
_WEEKDAY_PERCENT: Final = (110, 105, 100, 100, 110, 95, 80)


def order_key(world: World, day_no: int, place: int) -> int:
    """The key of an order by its day and its place in it; places from the end (-1, -2 …) are for dirt."""
    places = 2 * world.orders_per_day + 60
    return 100_001 + day_no * places + place % places


def draw_order(world: World, chance: Random, day_no: int, place: int, status: str = "new") -> OrderRow:
    """A sound order of a day."""
    buyer = customer(world, chance.randint(1, customers_known(world, day_no)))
    ordered = world.moment(day_no, chance)
    usual = _CURRENCY_OF.get(buyer.country, "EUR")
    city = chance.choice(_CITIES)
    return OrderRow(
        order_id=order_key(world, day_no, place),
        customer_id=buyer.customer_id,
        ordered_at=ordered,
        currency=usual if chance.random() < 0.9 else "EUR",
        status=status,
        shipping=json.dumps({"city": city, "express": chance.random() < 0.2}, ensure_ascii=False),
        updated_at=ordered + timedelta(seconds=chance.randrange(0, 1200)),
    )


def draw_lines(world: World, chance: Random, day_no: int, order: OrderRow, count: int) -> list[LineRow]:
    """The lines of an order, written with it."""
    factor = _PRICE_PER_EURO.get(order.currency, 100)
    lines = []
    for line_no in range(1, count + 1):
        product_id = chance.randint(1, products_on_sale(world, day_no))
        cents = list_price_cents(world, product_id) * factor * chance.randint(90, 110) // 10_000
        discount = "0.0000" if chance.random() < 0.7 else chance.choice(_DISCOUNTS)
        lines.append(
            LineRow(
                order_id=order.order_id,
                line_no=line_no,
                product_id=product_id,
                quantity=chance.choice((1, 1, 1, 2, 2, 3, 5, 12)),
                unit_price=Decimal(cents) / 100,
                discount=Decimal(discount),
                updated_at=order.updated_at,
            )
        )
    return lines


@lru_cache(maxsize=64)
def placed(world: World, day_no: int) -> Placed:
    """The sound orders first written on a day, with their lines and all their later changes."""
    if day_no < 0:
        return Placed((), ())
    chance = world.random("orders", day_no)
    percent = _WEEKDAY_PERCENT[world.day(day_no).weekday()] * chance.randint(90, 110)
    orders: list[RunContext[OrderRow]] = []
    lines: list[RunContext[LineRow]] = []
    for place in range(max(6, world.orders_per_day * percent // 10_000)):
        paid = place in (STALE, LATE) or chance.random() < 0.4
        order = _dated(
            chance, day_no, place, draw_order(world, chance, day_no, place, "paid" if paid else "new")
        )
        orders.append(_career(world, chance, day_no, order))
        announced = place == ANNOUNCED and day_no > 0
        for line in draw_lines(world, chance, day_no, order, chance.randint(1, 5)):
            if announced:
                early = line._replace(updated_at=order.ordered_at)
                lines.append((Version(day_no - 1, early),))
            else:
                lines.append(_line_life(world, chance, day_no, place, line))
    return Placed(tuple(orders), tuple(lines))


def _dated(chance: Random, day_no: int, place: int, order: OrderRow) -> OrderRow:
    """Put the order's own date back where it is reported of late."""
    days = 0
    if place == ANNOUNCED and day_no > 0:
        days = 1
    elif place == LATE or (place > CORRECTED and chance.random() < 0.03):
        days = chance.randint(1, 9)
    return order._replace(ordered_at=order.ordered_at - timedelta(days=days))


def _career(world: World, chance: Random, day_no: int, order: OrderRow) -> RunContext[OrderRow]:
    """How an order moves on: paid, shipped, delivered; a few are cancelled before they are shipped."""
    story = [Version(day_no, order)]
    path = {"new": ["paid", "shipped", "delivered"], "paid": ["shipped", "delivered"]}[order.status]
    if chance.random() < 0.06:
        path = [*path[: chance.randint(0, len(path) - 2)], "cancelled"]
    day = day_no
    for status in path:
        day += chance.randint(1, 3)
        story.append(Version(day, order._replace(status=status, updated_at=_during(world, chance, day))))
    return tuple(story)


def _line_life(world: World, chance: Random, day_no: int, place: int, line: LineRow) -> RunContext[LineRow]:
    """Most lines stay as they are; a few get another quantity within three days."""
    wanted = place == CORRECTED and line.line_no == 1
    if not wanted and chance.random() >= 0.03:
        return (Version(day_no, line),)
    day = day_no + (1 if wanted else chance.randint(1, 3))
    quantity = line.quantity + chance.randint(1, 4)
    changed = line._replace(quantity=quantity, updated_at=_during(world, chance, day))
    return (Version(day_no, line), Version(day, changed))


def _during(world: World, chance: Random, day_no: int) -> datetime:
    """A moment of a day; one in eight on the full hour, so that some rows share their instant."""
    moment = world.moment(day_no, chance)
    if chance.random() < 0.125:
        return moment.replace(minute=0, second=0, microsecond=0)
    return moment
