"""Known records, and the four numbers that know whether a table holds exactly them.

Count, distinct keys, a hash of the keys and a sum: a lost record, a duplicate one and one taken for another each change
at least one of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

_WORDS = (
    "Ärmel",
    "bolt",
    "caffè",
    "drill",
    "eaves",
    "façade",
    "gauge",
    "hinge",
    "😀 joint",
    "квант",
    'l"amp',
)
_FIRST_STAMP = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_KEY = 1000
"""Keys begin here, so that smaller ones are free for records that are inserted at the front."""


@dataclass(frozen=True)
class Row:
    """One record: its key, the stamp of its last change, its amount, and the exact bytes in which it is served."""

    key: int
    stamp: str
    amount: int
    record: bytes

    @property
    def order(self) -> tuple[str, int]:
        """By last change, then by key: how an API lists what it has."""
        return (self.stamp, self.key)


@dataclass(frozen=True)
class Sums:
    """What a table holds, in four numbers."""

    count: int
    distinct: int
    key_hash: str
    amount: int

    def __str__(self) -> str:
        return f"{self.count} records, {self.distinct} keys, amount {self.amount}, keys' hash {self.key_hash[:12]}"


def sums_of(pairs: Iterable[tuple[object, int]]) -> Sums:
    """Sum up (key, amount) pairs, in whatever order they come."""
    listed = [(str(key), amount) for key, amount in pairs]
    keys = sorted(key for key, _ in listed)
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()
    return Sums(len(listed), len(set(keys)), digest, sum(amount for _, amount in listed))


def sums_of_rows(rows: Iterable[Row]) -> Sums:
    """Sum up the rows of a server."""
    return sums_of((row.key, row.amount) for row in rows)


def make_row(key: int, stamp: str, dice: Random, **more: object) -> Row:
    """Make a record as APIs write them: escaped or not, numbers with trailing zeros, spaces here and there."""
    amount = dice.randrange(-100_000, 1_000_000)
    content = {"id": key, "updated_at": stamp, "amount": amount, "name": dice.choice(_WORDS), **more}
    spaces = dice.choice(((",", ":"), (", ", ": ")))
    text = json.dumps(content, ensure_ascii=dice.random() < 0.5, separators=spaces)
    # A price that a parser would write differently: only the exact bytes keep it.
    exact = f'{text[:-1]}{spaces[0]}"price"{spaces[1]}{abs(amount) // 100}.{abs(amount) % 10}0}}'
    return Row(key, stamp, amount, exact.encode())


def stamp_of(number: int) -> str:
    """Return the stamp of the n-th change; two changes share each stamp."""
    return (_FIRST_STAMP + timedelta(minutes=number // 2)).isoformat().replace("+00:00", "Z")


def make_rows(count: int, seed: int) -> list[Row]:
    """Make ``count`` rows, the same for the same seed, in order of stamp and key."""
    dice = Random(f"rows-{seed}")
    return [make_row(FIRST_KEY + number, stamp_of(number), dice) for number in range(count)]
