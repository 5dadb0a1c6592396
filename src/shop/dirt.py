"""The known dirt among customers, orders and lines: what is wrong, and on which days it is written.

Every kind comes at least once in any three days. A sound row never turns into a broken one; some broken rows
are repaired in place, three to five days later, so that whoever reads every third day sees both. Dirt in the
catalogue does not belong here: see `catalogue`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Final

from shop.people import customer, customers_known, newcomers
from shop.trade import COPIED, STALE, draw_lines, draw_order, placed
from shop.world import NOBODY, CustomerRow, LineRow, OrderRow, Placed, RunContext, Version, World

EVERY_DAYS: Final = 3
_DIRTY_CUSTOMERS: Final = 500_000
_BROKEN_SHIPPING: Final = (
    '{"city": "Köln", ',
    "{'city': 'Delft'}",
    '["Leeds"]',
    '{"city": ""}',
    '{"town": "Torino"}',
    "",
)


class OrderDirt(StrEnum):
    """What is wrong with an order."""

    NULL_KEY = "null order_id"
    NULL_CUSTOMER = "null customer_id"
    UNKNOWN_CURRENCY = "unknown currency"
    UNKNOWN_STATUS = "unknown status"
    UNKNOWN_CUSTOMER = "a customer that does not exist"
    DATE_PAST = "ordered in 1900"
    DATE_FUTURE = "ordered in 2999"
    SHIPPING = "malformed shipping"


class LineDirt(StrEnum):
    """What is wrong with a line."""

    NULL_ORDER = "null order_id"
    NULL_PRODUCT = "null product_id"
    NEGATIVE_QUANTITY = "negative quantity"
    NEGATIVE_PRICE = "negative unit_price"
    DISCOUNT = "discount above 1"
    ORPHAN = "an order that never exists"
    UNKNOWN_PRODUCT = "a product that never exists"


class CustomerDirt(StrEnum):
    """What is wrong with a customer."""

    NULL_KEY = "null customer_id"
    BIRTH_DATE = "impossible birth_date"
    EMAIL = "malformed email"
    COUNTRY = "unknown country"


_REPAIRABLE: Final = frozenset(
    {
        OrderDirt.UNKNOWN_CURRENCY,
        OrderDirt.UNKNOWN_STATUS,
        OrderDirt.DATE_PAST,
        OrderDirt.DATE_FUTURE,
        OrderDirt.SHIPPING,
    }
)


def _due(kinds: type[StrEnum], day_no: int) -> list[tuple[int, StrEnum]]:
    return [(number, kind) for number, kind in enumerate(kinds) if (day_no + number) % EVERY_DAYS == 0]


def _is_repaired(day_no: int) -> bool:
    """Every other time, beginning with the second: so something of each kind stays broken for ever."""
    return day_no // EVERY_DAYS % 2 == 1


def _repaired_on(chance: Random, day_no: int) -> int:
    return day_no + chance.randint(EVERY_DAYS, EVERY_DAYS + 2)


def dirty_orders(world: World, day_no: int) -> Placed:
    """Broken orders with sound lines, broken lines of sound orders, and needless versions of both."""
    if day_no < 0:
        return Placed((), ())
    chance = world.random("dirt", day_no)
    sound = placed(world, day_no)
    orders, lines = _needless(chance, sound, day_no)
    for number, kind in _due(OrderDirt, day_no):
        whole = draw_order(world, chance, day_no, -1 - number, "paid")
        story = [Version(day_no, _break_order(OrderDirt(kind), chance, whole))]
        if kind in _REPAIRABLE and _is_repaired(day_no):
            day = _repaired_on(chance, day_no)
            story.append(Version(day, whole._replace(updated_at=world.moment(day, chance))))
        orders.append(tuple(story))
        if kind is not OrderDirt.NULL_KEY:
            sound_lines = draw_lines(world, chance, day_no, whole, chance.randint(1, 3))
            lines.extend((Version(day_no, line),) for line in sound_lines)
    parents = [story[0].row for story in sound.orders[COPIED + 1 :]]
    for number, kind in _due(LineDirt, day_no):
        lines.append(_dirty_line(world, chance, day_no, LineDirt(kind), chance.choice(parents), 90 + number))
    return Placed(tuple(orders), tuple(lines))


def _needless(
    chance: Random, sound: Placed, day_no: int
) -> tuple[list[RunContext[OrderRow]], list[RunContext[LineRow]]]:
    """Exact copies of one order and its lines, and older versions of another's, written alongside the newest."""
    copied, stale = sound.orders[COPIED], sound.orders[STALE]
    newest = stale[0].row
    earlier = newest.updated_at - timedelta(microseconds=chance.randrange(1_000_000, 3_600_000_000))
    orders = [copied, (Version(day_no, newest._replace(status="new", updated_at=earlier)),)]
    lines: list[RunContext[LineRow]] = []
    for story in sound.lines:
        line = story[0].row
        if line.order_id == copied[0].row.order_id:
            lines.append(story)
        elif line.order_id == newest.order_id:
            older = line._replace(quantity=line.quantity + 1, updated_at=earlier)
            lines.append((Version(day_no, older),))
    return orders, lines


def _break_order(kind: OrderDirt, chance: Random, order: OrderRow) -> OrderRow:
    match kind:
        case OrderDirt.NULL_KEY:
            return order._replace(order_id=None)
        case OrderDirt.NULL_CUSTOMER:
            return order._replace(customer_id=None)
        case OrderDirt.UNKNOWN_CURRENCY:
            return order._replace(currency="XXX")
        case OrderDirt.UNKNOWN_STATUS:
            return order._replace(status="teleported")
        case OrderDirt.UNKNOWN_CUSTOMER:
            return order._replace(customer_id=NOBODY + chance.randrange(100_000))
        case OrderDirt.DATE_PAST:
            return order._replace(ordered_at=datetime(1900, 1, 1, chance.randrange(24), tzinfo=UTC))
        case OrderDirt.DATE_FUTURE:
            return order._replace(ordered_at=datetime(2999, 12, 31, chance.randrange(24), tzinfo=UTC))
        case OrderDirt.SHIPPING:
            return order._replace(shipping=chance.choice(_BROKEN_SHIPPING))


def _dirty_line(
    world: World, chance: Random, day_no: int, kind: LineDirt, parent: OrderRow, line_no: int
) -> RunContext[LineRow]:
    """One more line of a sound order, broken; negative quantities are repaired every other time."""
    whole = draw_lines(world, chance, day_no, parent, 1)[0]._replace(line_no=line_no)
    broken = _break_line(kind, chance, whole)
    if kind is LineDirt.NEGATIVE_QUANTITY and _is_repaired(day_no):
        day = _repaired_on(chance, day_no)
        return (Version(day_no, broken), Version(day, whole._replace(updated_at=world.moment(day, chance))))
    return (Version(day_no, broken),)


def _break_line(kind: LineDirt, chance: Random, line: LineRow) -> LineRow:
    match kind:
        case LineDirt.NULL_ORDER:
            return line._replace(order_id=None)
        case LineDirt.NULL_PRODUCT:
            return line._replace(product_id=None)
        case LineDirt.NEGATIVE_QUANTITY:
            return line._replace(quantity=-line.quantity)
        case LineDirt.NEGATIVE_PRICE:
            return line._replace(unit_price=-line.unit_price)
        case LineDirt.DISCOUNT:
            return line._replace(discount=Decimal("1.5000"))
        case LineDirt.ORPHAN:
            return line._replace(order_id=NOBODY + chance.randrange(100_000))
        case LineDirt.UNKNOWN_PRODUCT:
            return line._replace(product_id=NOBODY + chance.randrange(100_000))


def dirty_customers(world: World, day_no: int) -> list[RunContext[CustomerRow]]:
    """The broken customers of a day, a copy of a newcomer and an older version of another."""
    if day_no < 0:
        return []
    chance = world.random("dirty customers", day_no)
    stories: list[RunContext[CustomerRow]] = []
    copied, newest = newcomers(world, day_no)[-2:]
    stories.append((Version(day_no, copied),))
    earlier = newest.updated_at - timedelta(microseconds=chance.randrange(1_000_000, 3_600_000_000))
    stories.append((Version(day_no, newest._replace(segment="public", name="?", updated_at=earlier)),))
    for number, kind in _due(CustomerDirt, day_no):
        model = customer(world, chance.randint(1, customers_known(world, day_no)))
        key = _DIRTY_CUSTOMERS + day_no * len(CustomerDirt) + number
        written = world.moment(day_no, chance)
        whole = model._replace(customer_id=key, created_at=written, updated_at=written)
        story = [Version(day_no, _break_customer(CustomerDirt(kind), whole))]
        if kind is not CustomerDirt.NULL_KEY and _is_repaired(day_no):
            day = _repaired_on(chance, day_no)
            story.append(Version(day, whole._replace(updated_at=world.moment(day, chance))))
        stories.append(tuple(story))
    return stories


def _break_customer(kind: CustomerDirt, row: CustomerRow) -> CustomerRow:
    match kind:
        case CustomerDirt.NULL_KEY:
            return row._replace(customer_id=None)
        case CustomerDirt.BIRTH_DATE:
            return row._replace(birth_date="1987-02-30")
        case CustomerDirt.EMAIL:
            return row._replace(email=row.email.replace("@", " at "))
        case CustomerDirt.COUNTRY:
            return row._replace(country="XX")
