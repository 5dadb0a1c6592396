"""The one protocol of every source: read batches from a position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias, runtime_checkable

import polars as pl
import pyarrow as pa

Position = dict[str, Any]
"""Where a source was read up to: JSON, opaque to everything but the source."""

REFUSED, RAW = "_refused", "_raw"
REFUSAL = pl.Schema({REFUSED: pl.String(), RAW: pl.Binary()})
"""Columns of a source that can meet records which fit no row: why one was refused, and the bytes that it had.

A refused record is a row of its batch, so that one commit holds it together with the good ones; all columns but these
two, and those that report where it came from, are null in it.
"""

PLACE = pl.Schema({"_file": pl.String(), "_line": pl.Int64()})
"""Columns that say where in a file a record is: its path, and the line that it begins on, or its number."""


Rows: TypeAlias = pl.DataFrame | pa.Table
"""Records as a Polars frame, or as the Arrow table that a fast source has them in: turning one into the other costs."""


@dataclass(frozen=True)
class Effort:
    """What it took to read: pages or files, requests, and how many of these were tried again."""

    pages: int = 0
    requests: int = 0
    retries: int = 0


@dataclass(frozen=True)
class Batch:
    """A bounded number of records with the position just after them.

    ``frame`` holds the records that are new. ``read`` counts every record that the source gave, ``repeated`` those of
    them that earlier batches hold already and that the frame therefore leaves out: ``read == frame.height + repeated``.

    ``warnings`` are what people should know about the source. ``shown`` shows, with the last batch of a reading,
    whether it is shown to be complete; None where the source has nothing to say. ``expected`` is the number of
    records of the whole reading, where that is announced.
    ``null_cursor`` counts rows that this way of reading cannot take; ``later`` those whose cursor lies after what this
    reading could take, and ``ahead`` those of them whose cursor lies after the source's present. ``refused`` counts the
    rows of the frame that have the columns of `REFUSAL` filled and no others: these are not landed as good ones.
    ``left_out`` counts, by reason and for the reading so far, what was there and is not read, such as files that may
    still be written.
    """

    frame: Rows
    position: Position
    read: int
    repeated: int = 0
    warnings: tuple[str, ...] = ()
    shown: bool | None = None
    expected: int | None = None
    effort: Effort = Effort()
    refused: int = 0
    null_cursor: int = 0
    later: int = 0
    ahead: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """The number of new records."""
        return self.frame.height if isinstance(self.frame, pl.DataFrame) else int(self.frame.num_rows)

    @property
    def landed(self) -> int:
        """The number of good rows in the frame."""
        return self.height - self.refused


class Source(Protocol):
    """Something that can be read in batches from a position."""

    @property
    def schema(self) -> pl.Schema:
        """The columns of every batch's frame."""
        ...

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the batches after ``position`` (None: from the beginning) with cursors before ``until`` (None: all).

        The same position and the same data give the same records again. The iterator holds connections only while it
        is alive; closing it closes them.
        """
        ...


Wider: TypeAlias = Callable[[pl.DataType, pl.DataType], pl.DataType | None]
"""Returns the type of a table that holds every value of two others, None where there is none."""


@runtime_checkable
class Learning(Protocol):
    """A source that learns its columns while it is read, so that it must know which of them bronze has."""

    def knowing(self, columns: pl.Schema, wider: Wider) -> Source:
        """Return the source as it reads into a table with these columns."""
        ...


def knowing(source: Source, columns: pl.Schema, wider: Wider) -> Source:
    """Return a source that knows bronze's columns, where it asks for them."""
    return source.knowing(columns, wider) if isinstance(source, Learning) else source
