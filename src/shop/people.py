"""The shop's customers: who they are, when they come and where they move.

Sound customers belong here; broken records of customers are in `dirt`.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from shop.vocabulary import COUNTRIES, SEGMENTS
from shop.world import CustomerRow, Move, World

_FIRST: Final = (
    "Ada", "Bruno", "Chloé", "Dario", "Elif", "Femke", "Göran", "Hanna", "Inés", "Jörg", "Kasia", "Lars",
    "Mira", "Nils", "Oona", "Paweł", "Quim", "Rosa", "Søren", "Tess", "Ugo", "Vera", "Wim", "Zoë",
)  # fmt: skip
_LAST: Final = (
    "Almeida", "Berg", "Çelik", "Dubois", "Eriksson", "Fischer", "García", "Hughes", "Ivanova", "Jansen",
    "Kowalska", "Lindqvist", "Moretti", "Nowak", "O'Hara", "Peeters", "Rossi", "Schäfer", "Torres", "Weber",
)  # fmt: skip


def customers_known(world: World, day_no: int) -> int:
    """How many sound customers there are at the end of a day: their keys are 1 to this number."""
    return world.customers_at_start + (day_no + 1) * world.customers_per_day


@lru_cache(maxsize=16_384)
def customer(world: World, customer_id: int) -> CustomerRow:
    """A sound customer as first written."""
    chance = world.random("customer", customer_id)
    day_no = max(0, (customer_id - 1 - world.customers_at_start) // world.customers_per_day)
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    written = world.moment(day_no, chance)
    old = customer_id <= world.customers_at_start
    created = written - timedelta(days=chance.randrange(1, 900)) if old else written
    born = date(1940, 1, 1) + timedelta(days=chance.randrange(0, 24_000))
    return CustomerRow(
        customer_id=customer_id,
        name=f"{first} {last}",
        email=f"customer{customer_id}@mail{chance.randrange(1, 40)}.example",
        country=chance.choice(COUNTRIES),
        segment=chance.choices(SEGMENTS, weights=(20, 70, 10))[0],
        birth_date=None if chance.random() < 0.1 else born.isoformat(),
        created_at=created,
        updated_at=written,
    )


def newcomers(world: World, day_no: int) -> list[CustomerRow]:
    """The sound customers first written on a day."""
    first = 1 if day_no == 0 else customers_known(world, day_no - 1) + 1
    return [customer(world, key) for key in range(first, customers_known(world, day_no) + 1)]


def moves(world: World, day_no: int) -> list[Move]:
    """The customers who move on a day; now and then one "moves" to where he was already."""
    if day_no == 0:
        return []
    chance = world.random("moves", day_no)
    known = customers_known(world, day_no - 1)
    moved = chance.sample(range(1, known + 1), min(world.moves_per_day, known))
    return [Move(key, chance.choice(COUNTRIES), world.moment(day_no, chance)) for key in moved]
