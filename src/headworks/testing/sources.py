"""A source of given rows, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from headworks.sources.base import Batch, Position


@dataclass(frozen=True)
class Rows:
    """Gives one frame, once."""

    frame: pl.DataFrame

    @property
    def schema(self) -> pl.Schema:
        """The frame's columns."""
        return self.frame.schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the frame, unless it was read already."""
        if position is None and not self.frame.is_empty():
            yield Batch(self.frame, {"read": True}, read=self.frame.height)
