"""From blocks of text to pieces of records, each with the place just after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import polars as pl

from headworks.sources.base import RAW, REFUSED
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.progress import Place

LONGEST_RECORD = 64 * 1024 * 1024
LINE = "_line"
REFUSED_LINES = pl.Schema({LINE: pl.Int64(), REFUSED: pl.String(), RAW: pl.Binary()})


@dataclass(frozen=True)
class Parsed:
    """What a format made of the beginning of some text: rows with `_line`, and how much of the text they took."""

    frame: pl.DataFrame
    refused: int
    consumed: int
    lines: int
    state: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Some records of a file, and the place after them; ``weight`` is what they count for, if not their bytes."""

    frame: pl.DataFrame
    refused: int
    place: Place
    weight: int | None = None


class TextFormat(Protocol):
    """Takes records off the beginning of a text."""

    def parse(self, data: bytes, place: Place, *, last: bool) -> Parsed:
        """Return the whole records at the beginning of ``data``; ``last`` tells that nothing comes after it.

        With ``last`` all of ``data`` is consumed; without, what may be the beginning of a record is left.
        """
        ...


def pieces(blocks: Iterator[bytes], place: Place, form: TextFormat) -> Iterator[Piece]:
    """Yield the records of a text from ``place`` on, as ``form`` reads them."""
    rest = b""
    several = _with_last(blocks)
    while True:
        try:
            block, last = next(several)
        except StopIteration:
            return
        except FileDamaged as damage:
            damage.rest = rest
            raise
        data = rest + block if rest else block
        if place.skipping:
            piece, data = _skipped(data, place)
            place = piece.place
            yield piece
        parsed = form.parse(data, place, last=last) if not place.skipping else None
        if parsed is not None:
            place = Place(
                place.offset + parsed.consumed, place.line + parsed.lines, state=parsed.state or place.state
            )
            yield Piece(parsed.frame, parsed.refused, place)
            rest = data[parsed.consumed :]
        else:
            rest = b""
        if len(rest) > LONGEST_RECORD:
            place = replace(place, offset=place.offset + len(rest), skipping=True)
            yield Piece(refused_frame([(place.line, "line|too_long", rest)]), 1, place)
            rest = b""


def refused_frame(rows: list[tuple[int, str, bytes]]) -> pl.DataFrame:
    """Make rows of refused records: the line, the reason, the bytes."""
    return pl.DataFrame(rows, schema=REFUSED_LINES, orient="row")


def _skipped(data: bytes, place: Place) -> tuple[Piece, bytes]:
    """Refuse what is left of a record that is too long, up to the end of its line; return what comes after it."""
    end = data.find(b"\n") + 1
    taken = data[:end] if end else data
    after = Place(
        place.offset + len(taken),
        place.line + (1 if end else 0),
        skipping=not end,
        state=place.state,
    )
    return Piece(refused_frame([(place.line, "line|too_long", taken)]), 1, after), data[len(taken) :]


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    before: bytes | None = None
    try:
        for block in blocks:
            if before is not None:
                yield before, False
            before = block
    except FileDamaged:
        if before is not None:
            yield before, False
        raise
    if before is not None:
        yield before, True
