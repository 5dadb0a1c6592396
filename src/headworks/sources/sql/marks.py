"""The position of an incremental reading, so that rows which share a cursor value are neither lost nor landed twice.

A position is the last cursor value with marks of the rows that hold it; the next run begins with that value inclusively
and leaves out the rows that are marked. Where a reading looks back, the rows of that time are marked as well. Where
more rows share one value than a checkpoint should hold marks of, and there is a key, the position is the last
(cursor, key) with the number of rows up to there: if that number is another one later, all rows of the value are read
again.

A mark is of all values of a row, so that a change which leaves the cursor as it was is seen. So a row at the boundary
lands once more when the columns of its table have changed.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, cast

import numpy as np
import polars as pl
import pyarrow as pa

from headworks.sources.base import Position

MOST_MARKS = 500_000
"""More rows than these with one cursor value are passed by their key, where there is one."""

MOST_EARLIER = 200_000
"""Of the rows that a reading looks back at no more than these are marked: the newest."""

_DIGEST = 12
_MARK = 8
_DAY = timedelta(days=1)
_EPOCH, _FIRST = datetime(1970, 1, 1), date(1970, 1, 1)


@dataclass(frozen=True)
class Marker:
    """Marks rows by their values, and recognises them; ``columns`` are those of the database, in order.

    ``looks_back`` is how far before a cursor value rows may still come; ``floor`` a value from which on they may still
    come whatever the last value is, where that is known.
    """

    cursor: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    looks_back: Callable[[Any], timedelta] = lambda _: timedelta()
    floor: Any = None
    most: int = field(default_factory=lambda: MOST_MARKS)
    most_earlier: int = field(default_factory=lambda: MOST_EARLIER)

    def newest(self, position: Position) -> Any:
        """Return the position's cursor value, up to which rows can be marked; None at the beginning."""
        return value_of(position["cursor"]) if "cursor" in position else None

    def begin(self, position: Position) -> Any:
        """Return the cursor value from which reading continues, inclusively; None at the beginning."""
        newest = self.newest(position)
        wanted = self._back(newest, newest)
        if "from" not in position:
            return wanted
        marked = value_of(position["from"])
        # What was not marked would land again.
        return marked if position.get("cut") else min(marked, wanted)

    def known(self, position: Position) -> Counter[int]:
        """Return the marks of a position."""
        found = Counter(unpacked(position.get("seen", "")))
        found.update(_earlier_of(position)[1].tolist())
        return found

    def passage(self, position: Position) -> Passage:
        """Return a reading that continues at a position."""
        return Passage(self, position, self.known(position), self.newest(position), self.begin(position))

    def marks(self, rows: pa.Table) -> list[int]:
        """Return the mark of each row."""
        return [_mark(row) for row in _frame(rows.select(self.columns)).iter_rows()]

    def cursors(self, rows: pa.Table) -> pl.Series:
        """Return the rows' cursor values."""
        return cast(pl.Series, pl.from_arrow(rows.column(self.cursor)))

    def compared(self, rows: pa.Table, operator: Literal["==", "<="], value: Any) -> pl.Series:
        """Say for each row whether its cursor value is equal to one, or not after it; a null is neither."""
        cursors = self.cursors(rows)
        # An unsigned number may be more than 64 bits hold.
        other = Decimal(value) if isinstance(cursors.dtype, pl.Decimal) else value
        found: pl.Series = cursors == other if operator == "==" else cursors <= other
        return found.fill_null(False)

    def key_of_last(self, rows: pa.Table) -> list[str]:
        """Return the key of the last row, as the database reads it."""
        last = _frame(rows.select(self.key).slice(rows.num_rows - 1)).row(0)
        return [_as_text(value) for value in last]

    def earlier(self, before: Position, landed: pa.Table, last: Any, began: Any) -> Position:
        """Return the marks of the rows below ``last`` that the next run looks back at, the newest.

        ``began`` is where this reading began: what lies before that was not read, and is not marked.
        """
        start = self._back(last, last if self.floor is None else min(last, self.floor))
        start = start if began is None else max(start, began)
        if start >= last:
            return {}
        values, marked = _earlier_of(before)
        if before.get("seen") and before["cursor"] != _as_text(last):
            seen = unpacked(before["seen"])
            values = np.append(values, np.full(len(seen), _number(value_of(before["cursor"]))))
            marked = np.append(marked, np.array(seen, np.uint64))
        cursors = self.cursors(landed)
        recent = where(landed, (cursors >= start) & (cursors < last))
        # One more than are kept, by which it is seen that there are more.
        recent = recent.slice(max(0, recent.num_rows - self.most_earlier - 1))
        values = np.append(values, [_number(value) for value in self.cursors(recent)]).astype(np.int64)
        marked = np.append(marked, np.array(self.marks(recent), np.uint64))
        order = np.argsort(values, kind="stable")
        order = order[values[order] >= _number(start)]
        values, marked = values[order], marked[order]
        cut = bool(before.get("cut")) and start == began
        if len(values) > self.most_earlier:
            # Of the oldest value that stays, all rows must be marked.
            start = _value(int(values[len(values) - self.most_earlier - 1]) + 1, last)
            kept = values >= _number(start)
            values, marked, cut = values[kept], marked[kept], True
        found: Position = {"from": _as_text(start)}
        if len(values):
            found["earlier"] = {"at": _packed(values), "marks": _packed(marked)}
        return {**found, "cut": True} if cut else found

    def _back(self, last: Any, earliest: Any) -> Any:
        """Return how far back from ``earliest`` rows may still come whose cursor is not after ``last``."""
        if not isinstance(last, date):
            return last
        span = self.looks_back(last)
        if isinstance(last, datetime):
            first: date = datetime.min.replace(tzinfo=last.tzinfo)
        else:
            # Dates go back by begun days: a lookback of an hour is one of a day.
            first, span = date.min, -(-span // _DAY) * _DAY
        return earliest - span if earliest - first > span else first


@dataclass
class Passage:
    """One reading on its way: what it recognises, and its position after each batch."""

    marker: Marker
    position: Position
    known: Counter[int]
    newest: Any
    began: Any
    _last: Any = None
    _read_at_last: int = 0
    _key: list[str] = field(default_factory=list)

    def take(self, rows: pa.Table) -> pa.Table:
        """Take a batch as it was read, in order; returns the rows that are new, and moves the position."""
        fresh = self._fresh(rows)
        self._move(rows, fresh)
        return fresh

    def finished(self) -> Position:
        """Return the position after the last batch."""
        seen = unpacked(self.position.get("seen", ""))
        if self.marker.key and self._key and len(seen) > self.marker.most:
            kept = {name: value for name, value in self.position.items() if name != "seen"}
            self.position = {**kept, "key": self._key, "passed": self._read_at_last}
        return self.position

    def _fresh(self, rows: pa.Table) -> pa.Table:
        """Leave out the rows that are marked, each as often as it is; takes those marks away."""
        if not self.known or self.newest is None:
            return rows
        old = self.marker.compared(rows, "<=", self.newest)
        if not old.any():
            return rows
        suspects = rows.filter(old.to_arrow())
        kept = []
        for mark in self.marker.marks(suspects):
            kept.append(self.known[mark] == 0)
            if self.known[mark]:
                self.known[mark] -= 1
        unknown = suspects.filter(pa.array(kept, pa.bool_()))
        return pa.concat_tables([unknown, rows.filter((~old).to_arrow())])

    def _move(self, rows: pa.Table, fresh: pa.Table) -> None:
        """Move the position behind a batch.

        While a reading looks back at what lies before the last position, that one stays, and what is found late is
        marked.
        """
        marker, before = self.marker, self.position
        cursors = marker.cursors(rows).drop_nulls()
        if cursors.is_empty():
            return
        previous, highest = marker.newest(before), _plain(cursors[-1])
        last = highest if previous is None else max(previous, highest)
        at = self._count(rows, last)
        if not fresh.num_rows:
            return
        earlier = marker.earlier(before, fresh, last, self.began)
        if previous == last and "key" in before:
            passed = {"key": self._key or before["key"], "passed": before.get("passed", 0) + at}
            self.position = {"cursor": _as_text(last), **passed, **earlier}
            return
        marked = unpacked(before.get("seen", "")) if previous == last else []
        at_last = where(fresh, marker.compared(fresh, "==", last))
        # Rows that were marked before this reading may lie behind this batch: their marks are kept to the end.
        most = marker.most if last != self.newest else 2 * marker.most
        if marker.key and self._key and len(marked) + at_last.num_rows > most:
            passed = {"key": self._key, "passed": self._read_at_last}
        else:
            passed = {"seen": packed([*marked, *marker.marks(at_last)])}
        self.position = {"cursor": _as_text(last), **passed, **earlier}

    def _count(self, rows: pa.Table, last: Any) -> int:
        """Count the rows of a batch that hold the last value, and with those of this reading before it."""
        if last != self._last:
            self._last, self._read_at_last, self._key = last, 0, []
        at = int(self.marker.compared(rows, "==", last).sum())
        self._read_at_last += at
        if at and self.marker.key:
            self._key = self.marker.key_of_last(rows)
        return at


def packed(marks: Sequence[int]) -> str:
    """Return marks as text for a position."""
    return _packed(np.array(sorted(marks), np.uint64))


def unpacked(text: str | Sequence[str]) -> list[int]:
    """Return the marks of a position, as they are written now or were once: a list of hexadecimal digests."""
    if not isinstance(text, str):
        return [int.from_bytes(bytes.fromhex(each)[:_MARK], "little") for each in text]
    return [int(mark) for mark in np.frombuffer(base64.b64decode(text), np.uint64)]


def where(rows: pa.Table, mask: pl.Series) -> pa.Table:
    """Return the rows for which a mask is true."""
    return rows.filter(mask.fill_null(False).to_arrow()) if mask.any() else rows.slice(0, 0)


def _packed(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _earlier_of(position: Position) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the cursor values and the marks of the rows that a position looks back at."""
    written = position.get("earlier", {})
    if set(written) == {"at", "marks"}:
        at, marks = (base64.b64decode(written[name]) for name in ("at", "marks"))
        return np.frombuffer(at, np.int64), np.frombuffer(marks, np.uint64)
    # As it was written once: a list of digests for each value.
    pairs = [
        (_number(value_of(text)), mark) for text, digests in written.items() for mark in unpacked(digests)
    ]
    return np.array([at for at, _ in pairs], np.int64), np.array([mark for _, mark in pairs], np.uint64)


def _frame(rows: pa.Table) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(rows))


def _plain(value: Any) -> Any:
    """Return a cursor value as one that is written and compared: whole numbers as such, of whatever size."""
    return int(value) if isinstance(value, Decimal) else value


def _number(value: Any) -> int:
    """Return a moment or a day as a whole number in its own order."""
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)
    return int((value - _FIRST).days)


def _value(number: int, like: Any) -> Any:
    """Return the moment or day of a number."""
    if isinstance(like, datetime):
        return (_EPOCH + timedelta(microseconds=number)).replace(tzinfo=like.tzinfo)
    return _FIRST + timedelta(days=number)


def value_of(text: str) -> Any:
    """Return a cursor value from a position's text."""
    if text.lstrip("-").isdigit():
        return int(text)
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _mark(row: tuple[Any, ...]) -> int:
    """Return a short digest of a row's values, stable across processes."""
    digest = hashlib.blake2b(repr(row).encode(), digest_size=_DIGEST).digest()
    return int.from_bytes(digest[:_MARK], "little")
