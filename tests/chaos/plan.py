"""The plan of a campaign: where each kill is aimed, decided by the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from shop import datasets, gold
from tests.chaos.steps import KINDS, Kind, Phase, Place

_DATASETS: Final = tuple(dataset.name for independent in datasets.IN_ORDER for dataset in independent)
_TABLES: Final[dict[Kind, tuple[str, ...]]] = {
    "bronze": _DATASETS,
    "silver": _DATASETS,
    "quarantine": _DATASETS,
    "gold": tuple(table.name for table in gold.TABLES),
    "products": (gold.PRODUCT,),
    "postgres": (gold.PRODUCT,),
}
# Half of the kills go anywhere in a step, half into one of its commits, which last only some milliseconds.
_PHASES: Final[tuple[Phase, ...]] = ("step", "commit")
_MOST_BATCHES: Final = 3
STILL: Final = 0.4
"""So often the shop has not lived on since the kill before: new rows would be published over what is wrong."""


@dataclass(frozen=True)
class Aim:
    """A kill as planned: at the n-th time in this place, when this share of its usual time has passed.

    Where the shop is ``still``, the pass has to take up what the last one left, with nothing new to cover it.
    """

    place: Place
    nth: int
    share: float
    still: bool = False


def aims(seed: str) -> Iterator[Aim]:
    """Yield kills without end; each kind of step comes once in every six."""
    chance = Random(f"{seed}/aims")
    while True:
        for kind in chance.sample(KINDS, len(KINDS)):
            phase = chance.choice(_PHASES)
            table = chance.choice(_TABLES[kind])
            nth = chance.randint(1, _MOST_BATCHES) if (kind, phase) == ("bronze", "commit") else 1
            yield Aim(
                Place(kind, phase, _named(kind, phase, table)), nth, chance.random(), chance.random() < STILL
            )


def _named(kind: Kind, phase: Phase, table: str) -> str:
    """Return the table's name in the marker: the commit of a product is one to the table of products."""
    return "products" if (kind, phase) == ("products", "commit") else table
