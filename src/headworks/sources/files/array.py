"""A JSON array of records, or records one after another: each is landed as the exact bytes that it has.

Unlike lines, elements of an array have no end that could be found again after a fault: from the first fault on, the
rest of the file is refused. `_line` is the number of the element.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import polars as pl

from headworks.sources.files.ndjson import BOM, RECORD, fault
from headworks.sources.files.progress import Place
from headworks.sources.files.text import LINE, LONGEST_RECORD, PIECE_ROWS, Parsed, refused_frame

BROKEN = "array|broken"
_BETWEEN = re.compile(r"[\s,]*")
_IN, _AFTER, _LOOSE, _GONE = "in", "after", "loose", "gone"
# Numbers as they are written: Python's own have at most 4,300 digits.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


@dataclass
class _Scan:
    """Elements found so far, and the position of the scan."""

    at: int
    state: str
    records: list[bytes]
    numbers: list[int]
    refusals: list[tuple[int, str, bytes]]

    @property
    def is_full(self) -> bool:
        """Return whether there are as many elements as a piece may have."""
        return self.state != _GONE and len(self.records) + len(self.refusals) >= PIECE_ROWS


@dataclass(frozen=True)
class JsonArray:
    """Takes elements of a JSON array off a text."""

    def parse(self, data: bytes, place: Place, *, last: bool) -> Parsed:
        """Return a row for each element."""
        scan = _Scan(0, place.state[0] if place.state else "", [], [], [])
        if place.offset == 0 and data.startswith(BOM):
            scan.at = len(BOM)
        # One character for each byte, so that places in the text are places in the data.
        text = data.decode("latin-1")
        number = place.line
        while scan.state != _GONE and not scan.is_full and self._step(scan, data, text, number, last=last):
            number += 1
        more = scan.is_full and scan.at < len(data)
        if scan.state == _GONE and scan.at < len(data):
            scan.refusals.append((number, BROKEN, data[scan.at :]))
            scan.at = len(data)
        elif last and scan.state == _IN and not more:
            scan.refusals.append((number, BROKEN, b""))
        frame = pl.DataFrame(
            {"record": scan.records, LINE: scan.numbers}, schema={**RECORD, LINE: pl.Int64()}
        )
        if scan.refusals:
            frame = pl.concat([frame, refused_frame(scan.refusals)], how="diagonal")
        return Parsed(frame, len(scan.refusals), scan.at, number - place.line, (scan.state,), more)

    def _step(self, scan: _Scan, data: bytes, text: str, number: int, *, last: bool) -> bool:
        """Take the next element; False where there is none, or not yet a whole one."""
        scan.at = _after_blanks(text, scan.at)
        if scan.at >= len(text):
            return False
        if not scan.state:
            scan.state = _IN if text[scan.at] == "[" else _LOOSE
            scan.at = _after_blanks(text, scan.at + (scan.state == _IN))
            if scan.at >= len(text):
                return False
        if text[scan.at] == "]" and scan.state == _IN:
            scan.state, scan.at = _AFTER, _after_blanks(text, scan.at + 1)
            if scan.at >= len(text):
                return False
        if scan.state == _AFTER:
            scan.state = _GONE
            return False
        try:
            _, end = _decode(text, scan.at)
        except RecursionError:
            end = _end_of_nested(text, scan.at)
            if end < 0:
                scan.state = _GONE if last or len(text) - scan.at > LONGEST_RECORD else scan.state
                return False
        except ValueError:
            if last or len(text) - scan.at > LONGEST_RECORD:
                scan.state = _GONE
            return False
        if end == len(text) and not last:
            # A number may continue in the next block.
            return False
        self._keep(scan, data[scan.at : end], number)
        scan.at = end
        return True

    @staticmethod
    def _keep(scan: _Scan, record: bytes, number: int) -> None:
        reason = fault(record)
        if reason is None:
            scan.records.append(record)
            scan.numbers.append(number)
        else:
            scan.refusals.append((number, reason, record))


def _end_of_nested(text: str, at: int) -> int:
    """Return where an element ends that is nested too deep to be decoded, -1 where it has no end."""
    depth = 0
    for found in _BRACKETS.finditer(text, at):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return -1


def _after_blanks(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at
