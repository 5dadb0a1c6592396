"""What a campaign needs to know of those whose days it corrupts: datasets, gold tables, and the days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from headworks.gold.curation import GoldTable
from headworks.silver.dataset import Dataset

Frames = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Day:
    """What the sources have new at the end of a day."""

    number: int
    ends: datetime
    frames: Frames


@dataclass(frozen=True)
class Company:
    """Datasets in the order in which silver is made, gold tables of one product, and days by seed and number.

    A day is one delivery, whatever time it covers. ``real`` says that the days were lived and not made: nobody knows
    which of them are clean. ``warm_up`` are the deliveries before anything is judged.
    """

    name: str
    ranks: tuple[tuple[Dataset, ...], ...]
    tables: tuple[GoldTable, ...]
    inputs: tuple[str, ...]
    product: str
    days: Callable[[int, int], Iterator[Day]]
    real: bool = False
    warm_up: int = 30

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """All datasets, in the order in which silver is made."""
        return tuple(dataset for rank in self.ranks for dataset in rank)
