"""Which requests an fault hits, decided by a seed alone."""

from __future__ import annotations

from random import Random


class Deck:
    """Strikes an exact share of the requests, shuffled: ``bad`` of every ``size``, so that luck has no outliers."""

    def __init__(self, dice: Random, bad: int = 3, size: int = 25) -> None:
        self._dice, self._bad, self._size = dice, bad, size
        self._cards: list[bool] = []

    def draw(self) -> bool:
        """Return whether the next request is hit."""
        if not self._cards:
            self._cards = [True] * self._bad + [False] * (self._size - self._bad)
            self._dice.shuffle(self._cards)
        return self._cards.pop()


class Moments:
    """Strikes at some of the first requests, by their number; a reading shorter than ``span`` is hit less often."""

    def __init__(self, dice: Random, count: int, span: int, first: int = 2) -> None:
        self._numbers = set(dice.sample(range(first, first + span), count))
        self._number = 0

    def draw(self) -> bool:
        """Return whether the next request is hit."""
        self._number += 1
        return self._number in self._numbers
