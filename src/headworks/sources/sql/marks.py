"""Where an incremental reading stands, so that rows which share a cursor value are neither lost nor doubled.

A position is the last cursor value with marks of the rows that hold it; the next run begins with that value inclusively
and leaves out the rows that are marked. With a lookback the rows of that time are marked as well. Where so many
rows share one value that marks would fill the checkpoint, and there is a key, the position is the last (cursor, key).

A mark is of all values of a row, so that a change which leaves the cursor as it was is seen. So a row at the boundary
lands once more when the columns of its table have changed.

What belongs here: positions as JSON, marks, recognising. What does not: queries.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, cast

import polars as pl
import pyarrow as pa

from headworks.sources.base import Position

MOST_MARKS = 50_000
"""More rows than these with one cursor value are passed by their key, where there is one."""


@dataclass(frozen=True)
class Marker:
    """Marks rows by their values, and recognises them; ``columns`` are those of the database, in order."""

    cursor: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    lookback_s: float = 0.0
    most: int = field(default_factory=lambda: MOST_MARKS)

    def newest(self, position: Position) -> Any:
        """Return the position's cursor value, up to which rows can be marked; None at the beginning."""
        return value_of(position["cursor"]) if "cursor" in position else None

    def begin(self, position: Position) -> Any:
        """Return the cursor value at which reading goes on inclusively."""
        return self._start(self.newest(position))

    def known(self, position: Position) -> Counter[str]:
        """Return the marks of a position."""
        found: Counter[str] = Counter(position.get("seen", ()))
        for marks in position.get("earlier", {}).values():
            found.update(marks)
        return found

    def fresh(self, rows: pa.Table, known: Counter[str], newest: Any) -> pa.Table:
        """Leave out of ``rows`` those that are marked, each as often as it is; takes those marks away."""
        if not known or newest is None:
            return rows
        old = (self._cursors(rows) <= newest).fill_null(False)
        if not old.any():
            return rows
        suspects = rows.filter(old.to_arrow())
        kept = []
        for mark in self._marks(suspects):
            kept.append(known[mark] == 0)
            if known[mark]:
                known[mark] -= 1
        unknown = suspects.filter(pa.array(kept, pa.bool_()))
        return pa.concat_tables([unknown, rows.filter((~old).to_arrow())])

    def after(self, rows: pa.Table, before: Position, landed: pa.Table) -> Position:
        """Return the position after a batch.

        ``rows`` are what was read, in order, and ``landed`` what was new of them. While a lookback reads what lies
        before the last position, that one stays, and what is found late is marked.
        """
        cursors = self._cursors(rows).drop_nulls()
        if cursors.is_empty():
            return before
        previous = self.newest(before)
        last = cursors[-1] if previous is None else max(previous, cursors[-1])
        text = _as_text(last)
        at_last = _where(landed, self._cursors(landed) == last)
        marked = list(before.get("seen", ())) if previous == last else []
        by_key = previous == last and "key" in before
        if by_key or (self.key and len(marked) + at_last.num_rows > self.most):
            return {"cursor": text, "key": self._key_of(rows)}
        position: Position = {"cursor": text, "seen": sorted([*marked, *self._marks(at_last)])}
        earlier = self._earlier(before, landed, last) if self.lookback_s else {}
        return {**position, "earlier": earlier} if earlier else position

    def _start(self, last: Any) -> Any:
        if not self.lookback_s or isinstance(last, int):
            return last
        span = timedelta(seconds=self.lookback_s)
        # Dates go back by begun days: a lookback of an hour is one of a day.
        return (
            last - span if isinstance(last, datetime) else last + timedelta(days=-span // timedelta(days=1))
        )

    def _earlier(self, before: Position, landed: pa.Table, last: Any) -> dict[str, list[str]]:
        """Return the marks of the rows below the last value that the next run looks back at, the newest first."""
        groups: dict[str, list[str]] = {
            text: list(marks) for text, marks in before.get("earlier", {}).items()
        }
        if before.get("seen") and before["cursor"] != _as_text(last):
            groups.setdefault(before["cursor"], []).extend(before["seen"])
        start = self._start(last)
        cursors = self._cursors(landed)
        recent = _where(landed, (cursors >= start) & (cursors < last))
        for value, mark in zip(self._cursors(recent), self._marks(recent), strict=True):
            groups.setdefault(_as_text(value), []).append(mark)
        kept: dict[str, list[str]] = {}
        count = 0
        for text in sorted(groups, key=value_of, reverse=True):
            count += len(groups[text])
            if value_of(text) < start or count > self.most:
                break
            kept[text] = sorted(groups[text])
        return kept

    def _marks(self, rows: pa.Table) -> list[str]:
        return [_mark(row) for row in _frame(rows.select(self.columns)).iter_rows()]

    def _key_of(self, rows: pa.Table) -> list[str]:
        """Return the key of the last row, as the database reads it."""
        last = _frame(rows.select(self.key).slice(rows.num_rows - 1)).row(0)
        return [_as_text(value) for value in last]

    def _cursors(self, rows: pa.Table) -> pl.Series:
        return cast(pl.Series, pl.from_arrow(rows.column(self.cursor)))


def _where(rows: pa.Table, mask: pl.Series) -> pa.Table:
    return rows.filter(mask.fill_null(False).to_arrow()) if mask.any() else rows.slice(0, 0)


def _frame(rows: pa.Table) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(rows))


def value_of(text: str) -> Any:
    """Return a cursor value from a position's text."""
    if text.lstrip("-").isdigit():
        return int(text)
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _mark(row: tuple[Any, ...]) -> str:
    """Return a short digest of a row's values, stable across processes."""
    return hashlib.blake2b(repr(row).encode(), digest_size=12).hexdigest()
