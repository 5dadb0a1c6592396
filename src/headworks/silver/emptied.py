"""A silver table as if it had consumed nothing: what is refined into it replaces all that it has, in one commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from headworks.quality.deliveries import HOLDS, HOLDS_TOKEN
from headworks.silver.quarantine import QUARANTINED, REBUILT, TRY, WRITER
from headworks.silver.table import CHANGE, CHANGED_BY
from headworks.storage.delta import Table
from headworks.storage.exact import in_types, lazily_in_types

_OF_THE_TABLE = {TRY, WRITER, QUARANTINED, CHANGE, CHANGED_BY, HOLDS, HOLDS_TOKEN}
"""The counters that continue; of all else, which says what of bronze was consumed, nothing is known."""


class FromNothing(Table):
    """A silver table without rows and with a declaration's columns; ``first`` is called just before its commit."""

    def __init__(self, silver: Table, columns: pl.Schema, first: Callable[[], object]) -> None:
        super().__init__(silver._delta, silver.name)
        self._wanted, self._first = columns, first

    @property
    def columns(self) -> list[str]:
        """The names of the columns that are declared."""
        return list(self._wanted)

    @property
    def schema(self) -> pl.Schema:
        """The columns that are declared."""
        return self._wanted

    @property
    def is_seen_otherwise(self) -> bool:
        """Always: what the table's files have is to be replaced."""
        return True

    def transaction(self, app_id: str) -> int:
        """Return a number that continues, and 0 for what was consumed; rejected rows count from the next try."""
        if app_id == REBUILT:
            return super().transaction(WRITER) + 1
        return super().transaction(app_id) if app_id in _OF_THE_TABLE else 0

    def scan(self) -> pl.LazyFrame:
        """Return no rows."""
        return pl.LazyFrame(schema=self._wanted)

    def files(self) -> tuple[str, ...]:
        """Return none."""
        return ()

    def restored_since(self, version: int) -> int | None:
        """Return None: whatever the table was set back to is replaced."""
        return None

    def append(self, frame: Any, transactions: Any, *, retries: int = 0) -> None:
        """Replace all rows and columns in one commit that is never rebased, and say that this is so."""
        rows = (
            lazily_in_types(frame, self._wanted, self.name)
            if isinstance(frame, pl.LazyFrame)
            else in_types(
                frame, self._wanted, self.name, "report this: its values were judged by these types."
            )
        )
        said = {
            CHANGE: super().transaction(CHANGE) + 1,
            CHANGED_BY: transactions[TRY],
            REBUILT: transactions[WRITER],
        }
        self._first()
        self.overwrite(rows, {**transactions, **said})

    def merge(self, *arguments: Any, **named: Any) -> None:
        """Never called: there are no rows to merge with."""
        raise AssertionError("a table without rows is appended to")
