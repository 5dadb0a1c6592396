"""What every comparison of the campaign comes to: rows expected, rows found, missing, doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headworks.storage.store import Lake
from tests.chaos.living import LivingShop


@dataclass(frozen=True)
class Compared:
    """One table alongside what it has to be; a wrong row is missing as it should be and doubled as it is."""

    table: str
    found: int
    missing: int
    duplicated: int

    @property
    def expected(self) -> int:
        """How many rows there should be."""
        return self.found + self.missing - self.duplicated


@dataclass
class Witness:
    """What must be in the lake whatever happens: what was there to read, and what was said to be landed."""

    lake: Lake
    shop: LivingShop
    must: dict[str, Counter[Any]] = field(default_factory=dict)
    """Rows of each table, and records of each resource, that some pass read to the end."""
    acknowledged: dict[str, int] = field(default_factory=dict)
    """The last sequence of each stream that a worker reported as landed, killed later or not."""

    def pass_done(self) -> None:
        """Note that a pass came to its end: all that the shop shows now was there to read."""
        for name, rows in self.shop.now.tables.items():
            self.must[name] = _most(self.must.get(name), rows)
        for name, listed in (("shop.products", self.shop.now.products), ("shop.rates", self.shop.now.rates)):
            self.must[name] = _most(self.must.get(name), Counter(listed))

    def hear(self, acknowledged: Mapping[str, int]) -> None:
        """Note what a worker reported."""
        for stream, sequence in acknowledged.items():
            self.acknowledged[stream] = max(sequence, self.acknowledged.get(stream, 0))


def compared(
    table: str, found: Mapping[Any, int], least: Mapping[Any, int], most: Mapping[Any, int]
) -> Compared:
    """Compare how often each row was found with how often it has to be there at least and may be there at most."""
    return Compared(
        table,
        found=sum(found.values()),
        missing=sum(max(0, times - found.get(row, 0)) for row, times in least.items()),
        duplicated=sum(max(0, times - most.get(row, 0)) for row, times in found.items()),
    )


def summed(table: str, parts: list[Compared]) -> Compared:
    """Add the comparisons of a table's parts."""
    return Compared(
        table,
        found=sum(part.found for part in parts),
        missing=sum(part.missing for part in parts),
        duplicated=sum(part.duplicated for part in parts),
    )


def _most(known: Counter[Any] | None, seen: Counter[Any]) -> Counter[Any]:
    """Return each as often as the one or the other has it, whichever has it oftener."""
    return Counter(known or ()) | seen
