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
PIECE_ROWS = 250_000
"""So many rows in a piece at most: 8 MiB hold four million lines of one digit, and a row takes some 200 bytes."""
LINE = "_line"
REFUSED_LINES = pl.Schema({LINE: pl.Int64(), REFUSED: pl.String(), RAW: pl.Binary()})


@dataclass(frozen=True)
class Parsed:
    """What a format made of the beginning of some text: rows with `_line`, and how much of the text they took.

    ``more`` says that it stopped because the rows were enough: the rest of the same text may have further ones.
    """

    frame: pl.DataFrame
    refused: int
    consumed: int
    lines: int
    state: tuple[str, ...] = ()
    more: bool = False


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
        """Return the whole records at the beginning of ``data``; ``last`` says that nothing comes after it.

        With ``last`` all of ``data`` is consumed; without, what may be the beginning of a record is left. Where there
        are more than `PIECE_ROWS`, the result says so, and the rest is parsed by the next call.
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
        rest, more = data, not place.skipping
        while more:
            parsed = form.parse(rest, place, last=last)
            place = Place(
                place.offset + parsed.consumed, place.line + parsed.lines, state=parsed.state or place.state
            )
            yield Piece(parsed.frame, parsed.refused, place)
            rest, more = rest[parsed.consumed :], parsed.more
        if place.skipping:
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
