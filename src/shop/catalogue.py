"""The shop's catalogue: products as the API serves them, and exchange rates.

Products, their changes and their known dirt belong here, since a record is only text. Serving it is in `api`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Final

from shop.vocabulary import CATEGORIES
from shop.world import ProductRow, RateRow, World

_THINGS: Final = ("Lantern", "Kettle", "Atlas", "Trowel", "Flute", "Ledger", "Racket", "Puzzle", "Crème pot")
_MAKES: Final = ("Alder", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Heath")
_COLOURS: Final = ("red", "blue", "green", "white", "grün-weiß")
_EURO_PER_UNIT: Final = {"CHF": 1.05, "EUR": 1.0, "GBP": 1.17, "PLN": 0.232, "SEK": 0.088, "USD": 0.917}
_NEW_EVERY_DAYS: Final = 3
_DIRTY_IDS: Final = 700_000
RATES_LEAD_DAYS: Final = 10
PRODUCT_DIRT: Final = ("copy", "null id", "price text", "price negative", "attributes")


@dataclass(frozen=True, slots=True)
class Product:
    """One record of the catalogue."""

    ord: int
    product_id: int | None
    name: str
    category: str
    price: str
    attributes: str
    updated_at: datetime

    def row(self) -> ProductRow:
        """The record as it is stored and served."""
        payload = {
            "product_id": self.product_id,
            "name": self.name,
            "category": self.category,
            "price": self.price,
            "currency": "EUR",
            "attributes": self.attributes,
            "updated_at": self.updated_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        return ProductRow(self.ord, json.dumps(payload, ensure_ascii=False), self.updated_at)


def products_on_sale(world: World, day_no: int) -> int:
    """How many sound products there are on a day: their keys are 1 to this number."""
    return world.products_at_start + (day_no + 1) // _NEW_EVERY_DAYS


@lru_cache(maxsize=8_192)
def list_price_cents(world: World, product_id: int) -> int:
    """The first list price of a product, in euro cents."""
    return (
        world.random("price", product_id).choice((199, 450, 999, 1250, 1995, 4900, 12_999)) + product_id % 50
    )


class Catalogue:
    """The catalogue as it changes from day to day; it is lived from the first day on, which costs little."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._records: list[Product] = []
        self._sound: dict[int, int] = {}
        self._repairs: defaultdict[int, list[Product]] = defaultdict(list)
        self.next_day_no = 0

    def live(self) -> tuple[list[ProductRow], list[ProductRow]]:
        """Live one more day; the records that are new and those that changed in place."""
        day_no, self.next_day_no = self.next_day_no, self.next_day_no + 1
        chance = self._world.random("catalogue", day_no)
        before, known = len(self._records), list(self._sound)
        for product_id in range(len(self._sound) + 1, products_on_sale(self._world, day_no) + 1):
            self._sound[product_id] = len(self._records)
            self._records.append(self._product(chance, day_no, product_id))
        changed = self._change(chance, day_no, known) + self._repairs.pop(day_no, [])
        for record in changed:
            self._records[record.ord - 1] = record
        for number, kind in enumerate(PRODUCT_DIRT):
            if (day_no + number + 1) % self._rhythm(day_no) == 0:
                self._soil(chance, day_no, kind)
        return [record.row() for record in self._records[before:]], [record.row() for record in changed]

    def _product(self, chance: Random, day_no: int, product_id: int) -> Product:
        cents = list_price_cents(self._world, product_id)
        return Product(
            ord=len(self._records) + 1,
            product_id=product_id,
            name=f"{chance.choice(_MAKES)} {chance.choice(_THINGS)} {product_id}",
            category=chance.choice(CATEGORIES),
            price=f"{cents // 100}.{cents % 100:02d}",
            attributes=json.dumps({"colour": chance.choice(_COLOURS), "grams": chance.randint(20, 9000)}),
            updated_at=self._world.moment(day_no, chance),
        )

    def _change(self, chance: Random, day_no: int, known: list[int]) -> list[Product]:
        """Four new prices and one new category a day."""
        if not known:
            return []
        changed = []
        for number, product_id in enumerate(chance.sample(known, min(5, len(known)))):
            record = self._records[self._sound[product_id]]
            if number == 0:
                others = [category for category in CATEGORIES if category != record.category]
                record = replace(record, category=chance.choice(others))
            else:
                price = Decimal(record.price) * chance.randint(85, 120) / 100
                record = replace(record, price=str(price.quantize(Decimal("0.01"))))
            changed.append(replace(record, updated_at=self._world.moment(day_no, chance)))
        return changed

    def _rhythm(self, day_no: int) -> int:
        """Days from dirt to dirt: sparsely in the history, since it stays; every third day later."""
        history = self._world.history_days
        return min(15, history) if day_no < history else 3

    def _soil(self, chance: Random, day_no: int, kind: str) -> None:
        """Add one broken record; every other time it is repaired within five days, if it has a key."""
        if kind == "copy":
            original = self._records[self._sound[chance.choice(list(self._sound))]]
            self._records.append(replace(original, ord=len(self._records) + 1))
            return
        sound = self._product(chance, day_no, _DIRTY_IDS + len(self._records))
        broken = {
            "null id": replace(sound, product_id=None),
            "price text": replace(sound, price="n/a"),
            "price negative": replace(sound, price=f"-{sound.price}"),
            "attributes": replace(sound, attributes='{"colour": "red", '),
        }[kind]
        self._records.append(broken)
        if kind != "null id" and day_no // self._rhythm(day_no) % 2 == 1:
            day = day_no + chance.randint(3, 5)
            self._repairs[day].append(replace(sound, updated_at=self._world.moment(day, chance)))


def rates(world: World, day_no: int) -> list[RateRow]:
    """The exchange rates published on a day: none at weekends; on the first, those of days before, too."""
    first = world.day(day_no)
    if day_no == 0:
        first -= timedelta(days=RATES_LEAD_DAYS)
        # A week-end has no rates of its own: the first order day that may be needed must still find one.
        first -= timedelta(days=max(0, first.weekday() - 4))
    last = world.day(day_no)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [rate for day in days if day.weekday() < 5 for rate in _rates_of(world, day)]


def _rates_of(world: World, day: date) -> list[RateRow]:
    chance = world.random("rates", day.toordinal())
    published = []
    for currency, usual in _EURO_PER_UNIT.items():
        value = 1.0 if currency == "EUR" else usual * chance.uniform(0.98, 1.02)
        published.append(RateRow(day, currency, Decimal(f"{value:.8f}")))
    return published
