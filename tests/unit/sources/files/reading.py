"""Reading bytes with a text format, as a file in blocks would be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from headworks.sources.files.progress import START, Place
from headworks.sources.files.text import TextFormat, pieces


@dataclass(frozen=True)
class Result:
    """Rows in order of their lines, the count of refused ones, and the place at the end."""

    rows: list[dict[str, object]]
    refused: int
    place: Place

    def good(self) -> list[dict[str, object]]:
        """Return the rows that were not refused, without the metadata."""
        return [
            {name: value for name, value in row.items() if not name.startswith("_")}
            for row in self.rows
            if row.get("_refused") is None
        ]

    def refusals(self) -> list[tuple[object, object, object]]:
        """Return line, reason and bytes of the refused records."""
        return [(r["_line"], r["_refused"], r["_raw"]) for r in self.rows if r.get("_refused") is not None]


def read(form: TextFormat, blocks: Iterable[bytes], place: Place = START) -> Result:
    """Read blocks to their end."""
    frames, refused = [], 0
    for piece in pieces(iter([block for block in blocks if block]), place, form):
        frames.append(piece.frame)
        refused += piece.refused
        place = piece.place
    frame = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
    rows = frame.sort("_line", maintain_order=True).rows(named=True) if frame.height else []
    return Result([{"_refused": None, "_raw": None, **row} for row in rows], refused, place)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at places, which need not be in order or in range."""
    ends = [*sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
