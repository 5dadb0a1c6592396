"""The shop's days, one after another: everything that is written on each.

Putting a day together belongs here; what happens is decided in `people`, `trade`, `catalogue` and `dirt`, and
`database` writes it down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shop.catalogue import Catalogue, rates
from shop.dirt import dirty_customers, dirty_orders
from shop.people import moves, newcomers
from shop.trade import LIFE_DAYS, placed
from shop.world import Day, RowT, RunContext, World


class Chronicle:
    """The days of a world, in order; asking for a later one first lives through the catalogue until then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._catalogue = Catalogue(world)

    def day(self, day_no: int) -> Day:
        """All that is written on a day; days are asked for in rising order."""
        if day_no < self._catalogue.next_day_no:
            raise ValueError(
                f"day {day_no} is over: the next is {self._catalogue.next_day_no}; begin a new chronicle"
            )
        while self._catalogue.next_day_no < day_no:
            self._catalogue.live()
        new_products, changed_products = self._catalogue.live()
        world = self._world
        # The day after is looked at as well: the lines of one of its orders are written a day early.
        seen = range(max(0, day_no - LIFE_DAYS), day_no + 2)
        placings = [part(world, number) for number in seen for part in (placed, dirty_orders)]
        customers = [story for number in seen for story in dirty_customers(world, number)]
        new_orders, changed_orders = _written(day_no, (story for one in placings for story in one.orders))
        new_lines, changed_lines = _written(day_no, (story for one in placings for story in one.lines))
        dirty_new, changed_customers = _written(day_no, customers)
        return Day(
            day_no=day_no,
            day=world.day(day_no),
            new_customers=[*newcomers(world, day_no), *dirty_new],
            changed_customers=changed_customers,
            moves=moves(world, day_no),
            new_orders=new_orders,
            changed_orders=changed_orders,
            new_lines=new_lines,
            changed_lines=changed_lines,
            new_products=new_products,
            changed_products=changed_products,
            rates=rates(world, day_no),
        )


def _written(day_no: int, stories: Iterable[RunContext[RowT]]) -> tuple[list[RowT], list[RowT]]:
    """The rows that are new on a day, and those that change on it; a copy's change is its original's."""
    new: list[RowT] = []
    changed: dict[RowT, None] = {}
    for story in stories:
        if story[0].day_no == day_no:
            new.append(story[0].row)
        else:
            changed.update(dict.fromkeys(_versions_on(day_no, story)))
    return new, list(changed)


def _versions_on(day_no: int, story: RunContext[RowT]) -> Iterator[RowT]:
    return (version.row for version in story[1:] if version.day_no == day_no)
