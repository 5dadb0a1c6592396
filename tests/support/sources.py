"""Sources of known records: what they yield is decided by the test and nothing else.

Real sources do not belong here; those are tested against real servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from headworks.sources.base import Batch, Position

Record = tuple[str | None, str | None, int | None]
"""An item as the source has it: id and value as text, so that they can be unreadable, and a cursor."""

ITEMS = pl.Schema({"id": pl.String(), "v": pl.String(), "at": pl.Int64()})


@dataclass
class Numbered:
    """Yields ``records`` in batches of ``size``; the position is how many were read.

    ``before_batch`` is called with the batch's number, from 0, when it was read and before it is handed out: there a
    test lets something else happen in the middle of a reading. Records may be appended between readings.
    """

    records: list[Record]
    size: int = 2
    before_batch: Callable[[int], None] | None = None
    schema: pl.Schema = field(default_factory=lambda: ITEMS)
    closed: int = 0
    end_mark: bool = False

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what comes after ``position``; with ``end_mark`` a last, empty batch says that the reading is done."""
        at = position["n"] if position else 0
        try:
            for number in range(1_000_000):
                part = self.records[at : at + self.size]
                if not part:
                    break
                at += len(part)
                if self.before_batch is not None:
                    self.before_batch(number)
                yield Batch(frame_of(part, self.schema), {"n": at}, read=len(part))
            if self.end_mark:
                yield Batch(frame_of([], self.schema), {"n": at, "done": True}, read=0)
        finally:
            self.closed += 1


@dataclass
class Frames:
    """Yields given frames, one a batch, whatever the position."""

    frames: Sequence[pl.DataFrame]

    @property
    def schema(self) -> pl.Schema:
        """The first frame's columns."""
        return self.frames[0].schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the frames that were not read yet."""
        start = position["frames"] if position else 0
        for number, frame in enumerate(self.frames[start:], start=start + 1):
            yield Batch(frame, {"frames": number}, read=frame.height)


def frame_of(records: Sequence[Record], schema: pl.Schema = ITEMS) -> pl.DataFrame:
    """Make a frame of items."""
    return pl.DataFrame(records, schema=schema, orient="row")


def items(first: int, last: int, *, cursor: int = 1) -> list[Record]:
    """Make good items with the ids ``first`` to ``last``, each with ten times its id as value."""
    return [(str(number), str(number * 10), cursor) for number in range(first, last + 1)]


def bad_items(first: int, last: int, *, cursor: int = 1) -> list[Record]:
    """Make items that the rules reject: their values are negative."""
    return [(str(number), str(-number), cursor) for number in range(first, last + 1)]


def ids(frame: pl.DataFrame) -> list[Any]:
    """Return the ids of a frame, sorted, duplicate ones included."""
    return sorted(frame.get_column("id").to_list())
