"""A table that lives while it is read: rows inserted, deleted and changed under the reader."""

from __future__ import annotations

from random import Random

from headworks.testing.faults.chance import Moments
from headworks.testing.hostile import Fault, HostileApi
from headworks.testing.truth import FIRST_KEY, make_row, stamp_of
from headworks.testing.wire import Asked, Reply


class LivingTable(Fault):
    """Changes the table at some moments of a reading, after a page and before the next."""

    def __init__(self, dice: Random, times: int = 3) -> None:
        super().__init__()
        self._dice, self._moments = dice, Moments(dice, times, 12)

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Let something happen, then answer as ever."""
        if self._moments.draw():
            self.injected += 1
            self.happen(api)
        return None

    def happen(self, api: HostileApi) -> None:
        """Change the table."""


class Inserts(LivingTable):
    """Rows come at the front, so that counted pages shift and show some rows twice."""

    def happen(self, api: HostileApi) -> None:
        """Insert one to seven rows before all others."""
        smallest = min((row.key for row in api.rows), default=FIRST_KEY)
        for number in range(self._dice.randint(1, 7)):
            api.rows.append(make_row(smallest - 1 - number, stamp_of(0), self._dice))


class Deletes(LivingTable):
    """Rows at the front go, so that counted pages shift and pass some rows by."""

    def happen(self, api: HostileApi) -> None:
        """Delete one to seven of the first rows."""
        api.rows.sort(key=lambda row: row.key)
        del api.rows[: self._dice.randint(1, 7)]


class Updates(LivingTable):
    """Rows change: they get a later stamp and another amount, and move to the end where stamps decide the order."""

    def happen(self, api: HostileApi) -> None:
        """Change one to seven rows."""
        for at in self._dice.sample(range(len(api.rows)), self._dice.randint(1, 7)):
            late = stamp_of(100_000 + self.injected)
            api.rows[at] = make_row(api.rows[at].key, late, self._dice)
