"""JSON records, one a line: each is landed as the exact bytes that it has."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import polars as pl

from headworks.sources.base import RAW, REFUSAL, REFUSED
from headworks.sources.files.progress import Place
from headworks.sources.files.text import LINE, PIECE_ROWS, Parsed

RECORD = pl.Schema({"record": pl.Binary()})
BOM = b"\xef\xbb\xbf"
NOT_JSON = "line|json"
NOT_UTF8 = "line|encoding"
NESTED = "line|nested"


class _AnyObject(msgspec.Struct):
    """Decodes from any JSON object, whose fields are checked and forgotten."""


_check = msgspec.json.Decoder(_AnyObject).decode


@dataclass(frozen=True)
class Ndjson:
    """Takes lines of JSON off a text."""

    def parse(self, data: bytes, place: Place, *, last: bool) -> Parsed:
        """Return a row for each line that is not blank."""
        end = len(data) if last else data.rfind(b"\n") + 1
        text = data[:end]
        head = len(BOM) if place.offset == 0 and text.startswith(BOM) else 0
        lines = text[head:].split(b"\n", PIECE_ROWS)
        more = len(lines) > PIECE_ROWS and bool(lines[-1])
        if more:
            end -= len(lines.pop())
            text = text[:end]
        elif not lines[-1]:
            lines.pop()
        faults = {} if _all_fine(text, lines) else _faults(lines)
        frame = pl.DataFrame(
            {"record": lines, LINE: pl.int_range(place.line, place.line + len(lines), eager=True)},
            schema={**RECORD, LINE: pl.Int64()},
        )
        if faults:
            frame = _with_faults(frame, faults)
        refused = sum(reason is not None for reason in faults.values())
        return Parsed(frame, refused, end, len(lines), more=more)


def _all_fine(text: bytes, lines: list[bytes]) -> bool:
    try:
        text.decode()
        for line in lines:
            _check(line)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def fault(record: bytes) -> str | None:
    """Return why some bytes are not one JSON object in UTF-8, None where they are."""
    try:
        record.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
    try:
        _check(record)
    except msgspec.MsgspecError:
        return NOT_JSON
    except RecursionError:
        # Nobody who reads it later would come further.
        return NESTED
    return None


def _faults(lines: list[bytes]) -> dict[int, str | None]:
    """Return the reason by index of each line that is no record; None for a blank line, which is nothing at all."""
    found: dict[int, str | None] = {}
    for index, line in enumerate(lines):
        if not line.strip():
            found[index] = None
        elif (reason := fault(line)) is not None:
            found[index] = reason
    return found


def _with_faults(frame: pl.DataFrame, faults: dict[int, str | None]) -> pl.DataFrame:
    """Leave out blank lines, and make refused records of those with a reason."""
    reasons: list[str | None] = [None] * frame.height
    blank = [False] * frame.height
    for index, reason in faults.items():
        reasons[index], blank[index] = reason, reason is None
    marked = frame.with_columns(pl.Series(REFUSED, reasons, dtype=REFUSAL[REFUSED]))
    is_refused = pl.col(REFUSED).is_not_null()
    classified = marked.with_columns(
        pl.when(is_refused).then(pl.col("record")).alias(RAW),
        pl.when(~is_refused).then(pl.col("record")).alias("record"),
    )
    return classified.filter(~pl.Series(blank, dtype=pl.Boolean))
