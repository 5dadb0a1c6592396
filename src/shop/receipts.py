"""The receipts of the shop's tills: one CSV file a day, put down in a folder as a till system would."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from shop.world import World

_STORES = ("north", "harbour", "market")
_LARGEST_CENTS = 20_000


def put_receipts(folder: Path, world: World, days: Iterable[date]) -> list[Path]:
    """Write each day's file that is not there yet; returns those that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [path for day in days if (path := _put(folder, world, day)) is not None]


def _put(folder: Path, world: World, day: date) -> Path | None:
    path = folder / f"{day}.csv"
    if path.exists():
        return None
    chance = world.random("receipts", day.toordinal())
    # Under a name that no pattern takes until it is whole: a run may read the folder at any moment.
    unfinished = folder / f".{day}.csv"
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("receipt", "store", "day", "amount_eur"))
        for number in range(1, chance.randint(5, 15)):
            amount = chance.randint(100, _LARGEST_CENTS)
            lines.writerow((f"{day:%Y%m%d}-{number:03}", chance.choice(_STORES), day, f"{amount / 100:.2f}"))
    unfinished.replace(path)
    return path
