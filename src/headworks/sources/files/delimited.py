"""CSV: blocks are parsed by Arrow as a whole; where anything in one is unusual, record by record.

Both ways give the same rows. Arrow's result counts only if it explains every line of the block, so a quote that
somebody forgot cannot swallow lines unnoticed; then the slow way finds out which record is at fault, and keeps its
bytes.

What belongs here: rows and refusals. What does not: where fields end (``tokens.py``), types (``formats.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from headworks.sources.files.content import FileDamaged
from headworks.sources.files.formats import CsvOptions, typed
from headworks.sources.files.ndjson import BOM
from headworks.sources.files.progress import Place
from headworks.sources.files.text import LINE, REFUSED_LINES, Parsed, refused_frame
from headworks.sources.files.tokens import Dialect, NotClosed, NotWhole, Record, take

RESERVED = {
    *("_file", "_file_version", "_line", "_refused", "_raw"),
    *("_stream", "_sequence", "_row", "_ingested_at"),
}
_STEP = 64 * 1024
_ARROW_BLOCK = 1024 * 1024
_FIELDS, _QUOTE, _ENCODING = "line|fields", "line|quote", "line|encoding"


@dataclass
class _Found:
    """What the slow way found: good records as text, refused ones as bytes."""

    rows: list[list[str | None]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    refusals: list[tuple[int, str, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Csv:
    """Takes CSV records off a text."""

    options: CsvOptions

    def parse(self, data: bytes, place: Place, *, last: bool) -> Parsed:
        """Return the rows; the place's state is the names of the file's columns."""
        names, at, lines = list(place.state), 0, 0
        if not names:
            at = len(BOM) if place.offset == 0 and data.startswith(BOM) else 0
            try:
                first = take(data, at, self._dialect, last=last)
            except NotWhole:
                return Parsed(pl.DataFrame(schema=REFUSED_LINES), 0, 0, 0)
            except NotClosed:
                raise FileDamaged("file|header", "a quote in the first record is not closed") from None
            names = self._names(first)
            if self.options.header:
                at, lines = first.end, first.lines
        frames: list[pl.DataFrame] = []
        line = place.line + lines
        at, line = self._body(data, at, line, names, frames, last=last)
        frame = pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema=REFUSED_LINES)
        refused = frame.get_column("_refused").count() if "_refused" in frame.columns else 0
        return Parsed(frame, refused, at, line - place.line, tuple(names))

    def _body(
        self, data: bytes, at: int, line: int, names: list[str], frames: list[pl.DataFrame], *, last: bool
    ) -> tuple[int, int]:
        """Append the rows after ``at``, and return where they end and the number of the line there."""
        step = len(data)
        while at < len(data):
            cut = self._cut(data, at, min(at + step, len(data)), last=last)
            fast = self._fast(data[at:cut], line, names) if cut > at else None
            if fast is not None:
                frame, lines = fast
                frames.append(frame)
                at, line = cut, line + lines
                if step == len(data):
                    break
                continue
            if step > _STEP:
                step = _STEP
                continue
            upto = cut if cut > at else min(at + step, len(data))
            before = at
            at, line = self._slow(data, at, upto, line, names, frames, last=last)
            if at == before:
                break
        return at, line

    def _cut(self, data: bytes, start: int, end: int, *, last: bool) -> int:
        """Return the end of the last record that seems to end before ``end``; ``start`` where none does."""
        if last and end == len(data):
            return end
        quote = self._dialect.quote
        newline = data.rfind(b"\n", start, end)
        if newline < 0:
            return start
        quotes = data.count(quote, start, newline) if quote else 0
        while quotes % 2:
            before = data.rfind(b"\n", start, newline)
            if before < 0:
                return start
            quotes -= data.count(quote, before, newline)
            newline = before
        return newline + 1

    def _fast(self, text: bytes, line: int, names: list[str]) -> tuple[pl.DataFrame, int] | None:
        """Let Arrow parse whole records; None where anything is not as it should be."""
        utf8 = self._plain(text)
        if utf8 is None:
            return None
        if not utf8.endswith(b"\n"):
            # So that a quote left open at the very end would enclose a line break, and be noticed.
            utf8 += b"\n"
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(utf8),
                read_options=arrow_csv.ReadOptions(column_names=names, block_size=_ARROW_BLOCK),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.options.delimiter,
                    quote_char=self.options.quote or False,
                    newlines_in_values=bool(self.options.quote),
                    ignore_empty_lines=False,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=list(self.options.null_values),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        frame = pl.DataFrame(table)
        if not frame.height or any("\n" in (value or "")[-1:] for value in frame.row(-1)[-1:]):
            return None
        lines = utf8.count(b"\n")
        if frame.height == lines:
            numbers = pl.int_range(line, line + lines, eager=True, dtype=pl.Int64)
        else:
            inner = frame.select(
                pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True)).cast(pl.Int64)
            ).to_series()
            if frame.height + inner.sum() != lines:
                return None
            numbers = (inner + 1).cum_sum() - (inner + 1) + line
        read = self._typed(frame)
        if self._unreadable(frame, read).any():
            return None
        return read.with_columns(numbers.alias(LINE)), lines

    def _plain(self, text: bytes) -> bytes | None:
        """Return the text as UTF-8, None where it has blank lines, single carriage returns, or what is no text."""
        if text.startswith((b"\n", b"\r\n")) or b"\n\n" in text or b"\n\r\n" in text:
            return None
        if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
            return None
        if text.isascii():
            return text
        try:
            decoded = text.decode(self._encoding)
        except UnicodeDecodeError:
            return None
        return text if self._encoding == "utf-8" else decoded.encode()

    def _slow(
        self,
        data: bytes,
        at: int,
        upto: int,
        line: int,
        names: list[str],
        frames: list[pl.DataFrame],
        *,
        last: bool,
    ) -> tuple[int, int]:
        """Take record after record until ``upto`` is reached, or what is left may go on in the next block."""
        found = _Found()
        while at < upto:
            try:
                record = take(data, at, self._dialect, last=last)
            except NotWhole:
                break
            except NotClosed:
                end = data.find(b"\n", at) + 1 or len(data)
                found.refusals.append((line, _QUOTE, _without_break(data[at:end])))
                at, line = end, line + 1
                continue
            self._sort(found, record, _without_break(data[at : record.end]), line, len(names))
            at, line = record.end, line + record.lines
        frames.extend(self._frames(found, names))
        return at, line

    def _sort(self, found: _Found, record: Record, raw: bytes, line: int, width: int) -> None:
        """Put a record with the good or the refused ones; a blank line is nothing at all."""
        if not raw.strip(b"\r"):
            return
        if len(record.fields) != width:
            found.refusals.append((line, _FIELDS, raw))
            return
        if b"\r" in raw and any(b"\r" in value and not quoted for value, quoted in record.fields):
            found.refusals.append((line, "line|carriage_return", raw))
            return
        try:
            texts = [(value.decode(self._encoding), quoted) for value, quoted in record.fields]
        except UnicodeDecodeError:
            found.refusals.append((line, _ENCODING, raw))
            return
        nulls = self._nulls
        found.rows.append([None if not quoted and text in nulls else text for text, quoted in texts])
        found.numbers.append(line)
        found.raws.append(raw)

    def _frames(self, found: _Found, names: list[str]) -> list[pl.DataFrame]:
        frame = pl.DataFrame(found.rows, schema=dict.fromkeys(names, pl.String()), orient="row")
        read = self._typed(frame).with_columns(pl.Series(LINE, found.numbers, dtype=pl.Int64))
        bad = self._unreadable(frame, read)
        refusals = list(found.refusals)
        if bad.any():
            refusals += [
                (found.numbers[index], self._reason(frame, read, index), found.raws[index])
                for index in bad.arg_true()
            ]
            read = read.filter(~bad)
        return [part for part in (read, refused_frame(sorted(refusals))) if part.height]

    def _typed(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(typed(name, dtype) for name, dtype in self._types.items())

    def _unreadable(self, frame: pl.DataFrame, read: pl.DataFrame) -> pl.Series:
        lost = [frame.get_column(n).is_not_null() & read.get_column(n).is_null() for n in self._types]
        if not lost or not frame.height:
            return pl.Series([False] * (1 if frame.height else 0), dtype=pl.Boolean)
        return pl.DataFrame(lost, schema=list(self._types)).select(pl.any_horizontal(pl.all())).to_series()

    def _reason(self, frame: pl.DataFrame, read: pl.DataFrame, index: int) -> str:
        at_fault = next(
            name for name in self._types if frame[name][index] is not None and read[name][index] is None
        )
        return f"{at_fault}|unreadable"

    def _names(self, first: Record) -> list[str]:
        """Return the names of a file's columns, checked against the declaration."""
        declared = list(self.options.columns)
        if self.options.header:
            try:
                found = [value.decode(self._encoding).strip() for value, _ in first.fields]
            except UnicodeDecodeError as problem:
                raise FileDamaged(
                    "file|header", f"the names are not {self._encoding}: {problem}"
                ) from problem
            names = [name or f"column_{place}" for place, name in enumerate(found, start=1)]
        else:
            names = declared or [f"column_{place}" for place in range(1, len(first.fields) + 1)]
        doubled = sorted({name for name in names if names.count(name) > 1})
        reserved = sorted(RESERVED & set(names))
        missing = [name for name in declared if name not in names]
        for fault, at_fault in (("doubled", doubled), ("reserved", reserved), ("missing", missing)):
            if at_fault:
                raise FileDamaged("file|header", f"columns are {fault}: {', '.join(at_fault)}")
        return names

    @cached_property
    def _dialect(self) -> Dialect:
        return Dialect(self.options.delimiter.encode(), (self.options.quote or "").encode())

    @cached_property
    def _types(self) -> dict[str, pl.DataType]:
        types = self.options.types()
        return {name: dtype for name, dtype in types.items() if dtype != pl.String()}

    @cached_property
    def _nulls(self) -> frozenset[str]:
        return frozenset(self.options.null_values)

    @property
    def _encoding(self) -> str:
        # What has line breaks of several bytes is handed on as UTF-8.
        return (
            "utf-8"
            if self.options.encoding.startswith(("utf-16", "utf-32", "utf-8"))
            else self.options.encoding
        )


def _without_break(raw: bytes) -> bytes:
    return raw[:-1] if raw.endswith(b"\n") else raw
