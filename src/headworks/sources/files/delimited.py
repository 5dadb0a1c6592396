"""CSV: blocks are parsed by Arrow as a whole; where anything in one is unusual, record by record.

Both ways give the same rows. Arrow's result counts only if it explains every line of the block, so a quote that
somebody forgot cannot swallow lines unnoticed; then the slow way finds out which record is at fault, and keeps its
bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from headworks.sources.base import RAW
from headworks.sources.files.content import FileDamaged
from headworks.sources.files.encodings import is_plain, original
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.header import HEADER, check_names
from headworks.sources.files.ndjson import BOM
from headworks.sources.files.progress import Place
from headworks.sources.files.text import LINE, PIECE_ROWS, REFUSED_LINES, Parsed, refused_frame
from headworks.sources.files.tokens import Dialect, NotClosed, NotWhole, Record, TextAfterQuote, take
from headworks.sources.files.values import read_texts

_STEP = 64 * 1024
_ARROW_BLOCK = 1024 * 1024
_FIELDS, _QUOTE, _ENCODING = "line|fields", "line|quote", "line|encoding"
_BLANK_LINE = "line|blank"
_BLANK = re.compile(rb"(?:\r*+\n)++")
_RETURNS = "\r"
"""At the head of a file's state: its lines end with a carriage return alone."""
_SWAPPED = bytes.maketrans(b"\r\n", b"\n\r")
_SEPARATOR = b"\x1f"
"""Replaces a delimiter of several characters, which Arrow does not read."""
_EXTRA = "extra"
_CACHED = 128 * 1024
_SAMPLE_BYTES = 64 * 1024
"""So many bytes without a line break show that a file has others."""


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
        state = place.state
        unbroken = not state and place.offset == 0 and b"\n" not in data and b"\r" in data
        if unbroken and not last and len(data) < _SAMPLE_BYTES:
            return Parsed(pl.DataFrame(schema=REFUSED_LINES), 0, 0, 0)
        if not unbroken and state[:1] != (_RETURNS,):
            return self._parse(data, place, state, last=last)
        # Old Macs end lines with a carriage return alone. The two are exchanged, so that nothing else need know.
        swapped = self._parse(data.translate(_SWAPPED), place, state[1:], last=last)
        after = (_RETURNS, *swapped.state) if swapped.state else ()
        frame = _swapped_back(swapped.frame)
        return Parsed(frame, swapped.refused, swapped.consumed, swapped.lines, after, swapped.more)

    def _parse(self, data: bytes, place: Place, state: tuple[str, ...], *, last: bool) -> Parsed:
        names, at, lines = list(state), 0, 0
        if not names:
            try:
                at, lines = self._head(data, place, last=last)
                if at >= len(data) and last:
                    return Parsed(pl.DataFrame(schema=REFUSED_LINES), 0, len(data), lines)
                first = take(data, at, self._dialect, last=last)
            except NotWhole:
                return Parsed(pl.DataFrame(schema=REFUSED_LINES), 0, 0, 0)
            except (NotClosed, TextAfterQuote):
                raise FileDamaged(HEADER, "a quote in the first record is not closed") from None
            names = self._names(first)
            if self.options.header:
                at, lines = first.end, lines + first.lines
        frames: list[pl.DataFrame] = []
        line = place.line + lines
        at, line, more = self._body(data, at, line, names, frames, last=last)
        frame = pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema=REFUSED_LINES)
        refused = frame.get_column("_refused").count() if "_refused" in frame.columns else 0
        return Parsed(frame, refused, at, line - place.line, tuple(names), more)

    def _head(self, data: bytes, place: Place, *, last: bool) -> tuple[int, int]:
        """Return where the first record begins, after what is none, and how many lines come before it."""
        at = len(BOM) if place.offset == 0 and data.startswith(BOM) else 0
        lines = 0
        while at < len(data):
            end = data.find(b"\n", at)
            text = data[at:end] if end >= 0 else data[at:]
            skipped = lines < self.options.skip_lines or not text.strip(b"\r")
            if not skipped and not self._is_comment(data, at):
                return at, lines
            if end < 0 and not last:
                raise NotWhole
            at, lines = (end + 1 if end >= 0 else len(data)), lines + 1
        if not last:
            raise NotWhole
        return at, lines

    def _is_comment(self, data: bytes, at: int) -> bool:
        return bool(self._comment) and data.startswith(self._comment, at)

    def _body(
        self, data: bytes, at: int, line: int, names: list[str], frames: list[pl.DataFrame], *, last: bool
    ) -> tuple[int, int, bool]:
        """Append the rows after ``at``; return where they end, the line there, and whether others follow already."""
        step, rows, counted = _first_step(data, at), 0, 0
        while at < len(data):
            rows += sum(frame.height for frame in frames[counted:])
            counted = len(frames)
            if rows >= PIECE_ROWS:
                return at, line, True
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
        return at, line, False

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
        delimiter = self.options.delimiter
        if len(delimiter) > 1:
            if _SEPARATOR in utf8 or (self._dialect.quote and self._dialect.quote in utf8):
                return None
            utf8, delimiter = utf8.replace(delimiter.encode(), _SEPARATOR), _SEPARATOR.decode()
        frame = self._by_arrow(utf8, delimiter, names)
        if frame is None and self.options.trailing_delimiter:
            frame = self._by_arrow(utf8, delimiter, [*names, _EXTRA * (1 + max(map(len, names)))])
            if frame is None or frame.to_series(-1).str.len_bytes().sum():
                return None
            frame = frame.select(frame.columns[:-1])
        if frame is None or not frame.height:
            return None
        if any("\n" in (value or "")[-1:] for value in frame.row(-1)[-1:]):
            return None
        lines = utf8.count(b"\n")
        if frame.height == lines:
            numbers = pl.int_range(line, line + lines, eager=True, dtype=pl.Int64)
        else:
            inner = (
                frame.select(pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True).fill_null(0)))
                .to_series()
                .cast(pl.Int64)
            )
            if frame.height + inner.sum() != lines:
                return None
            numbers = (inner + 1).cum_sum() - (inner + 1) + line
        read = self._typed(frame)
        if self._unreadable(frame, read).any():
            return None
        return read.with_columns(numbers.alias(LINE)), lines

    def _by_arrow(self, utf8: bytes, delimiter: str, names: list[str]) -> pl.DataFrame | None:
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(utf8),
                read_options=arrow_csv.ReadOptions(column_names=names, block_size=_ARROW_BLOCK),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter,
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
        return pl.DataFrame(table)

    def _plain(self, text: bytes) -> bytes | None:
        """Return the text as UTF-8, None where it has blank lines, single carriage returns, or what is no text."""
        if text.startswith((b"\n", b"\r\n")) or b"\n\n" in text or b"\n\r\n" in text:
            return None
        if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
            return None
        if self._comment and (text.startswith(self._comment) or b"\n" + self._comment in text):
            return None
        if self._dialect.escape and self._dialect.escape in text:
            return None
        if self._dialect.quote and not self._quotes_are_regular(text):
            return None
        if text.isascii():
            return text
        try:
            decoded = text.decode(self._encoding)
        except UnicodeDecodeError:
            return None
        return text if self._encoding == "utf-8" else decoded.encode()

    def _quotes_are_regular(self, text: bytes) -> bool:
        """Return whether nothing but the end of its field follows any closing quote, which Arrow takes as it comes."""
        quote = self._dialect.quote[0]
        if quote not in text:
            return True
        data = np.frombuffer(text, np.uint8)
        at = _places(data, quote)
        if len(at) % 2 == 0:
            opening, closing = at[0::2], at[1::2]
            opens = self._before[data[opening - 1]] | (opening == 0)
            closes = self._after[data[np.minimum(closing + 1, len(data) - 1)]] | (closing == len(data) - 1)
            # The second quote of two that represent one opens again what the first one closed.
            duplicated = closing[:-1] + 1 == opening[1:]
            opens[1:] |= duplicated
            closes[:-1] |= duplicated
            if opens.all() and closes.all():
                return True
        return self._records is not None and self._records.fullmatch(text) is not None

    @cached_property
    def _before(self) -> npt.NDArray[np.bool_]:
        """For each byte, whether a field may begin after it."""
        return _among(self._dialect.delimiter[:1] + b"\n")

    @cached_property
    def _after(self) -> npt.NDArray[np.bool_]:
        """For each byte, whether a quoted field may end before it."""
        return _among(self._dialect.delimiter[:1] + b"\r\n")

    @cached_property
    def _records(self) -> re.Pattern[bytes] | None:
        """Matches records whose quoted fields are followed by nothing, and whose others may have quotes in them."""
        if len(self._dialect.delimiter) > 1:
            return None
        quote, delimiter = re.escape(self._dialect.quote), re.escape(self._dialect.delimiter)
        return re.compile(
            rb"(?:(?:%(q)s(?:[^%(q)s]++|%(q)s%(q)s)*+%(q)s\r?|[^%(q)s%(d)s\n][^%(d)s\n]*+)?(?:%(d)s|\n|\Z))*+"
            % {b"q": quote, b"d": delimiter}
        )

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
        """Take record after record until ``upto`` is reached, or what is left may continue in the next block."""
        found = _Found()
        while at < upto:
            if self._is_comment(data, at):
                end = data.find(b"\n", at) + 1 or (len(data) if last else 0)
                if not end:
                    break
                at, line = end, line + 1
                continue
            blank = _BLANK.match(data, at)
            if blank is not None and len(names) > 1:
                at, line = blank.end(), line + data.count(b"\n", at, blank.end())
                continue
            if blank is not None:
                # It may be a null or nothing at all; at the end of a file it is nothing, if that is the end.
                ends = blank.end() == len(data)
                if ends and not last and len(data) - at < _STEP:
                    break
                end = blank.end() if blank.end() <= upto else data.rfind(b"\n", at, upto) + 1 or blank.end()
                lines = data.count(b"\n", at, end)
                if not (ends and last):
                    found.refusals += [(line + number, _BLANK_LINE, b"") for number in range(lines)]
                at, line = end, line + lines
                continue
            try:
                record = take(data, at, self._dialect, last=last)
            except NotWhole:
                break
            except (NotClosed, TextAfterQuote) as fault:
                end = self._end_of_fault(data, at, len(names), fault)
                found.refusals.append((line, _QUOTE, self._raw(data[at:end])))
                line += data.count(b"\n", at, end)
                at = end
                continue
            self._sort(found, record, self._raw(data[at : record.end]), line, len(names))
            at, line = record.end, line + record.lines
        frames.extend(self._frames(found, names))
        return at, line

    def _end_of_fault(self, data: bytes, at: int, width: int, fault: NotClosed | TextAfterQuote) -> int:
        """Return where a record ends whose quotes are not as they should be.

        Where the lines up to the next quote look like records, somebody forgot a quote, and one line is at fault. Else
        it is one record of several lines, none of which is a row.
        """
        first = data.find(b"\n", at) + 1 or len(data)
        if isinstance(fault, NotClosed) or fault.end <= first:
            return first
        inner = data[first : fault.end].split(b"\n")
        fields = {each.count(self._dialect.delimiter) + 1 for each in inner if each.strip(b"\r")}
        return first if fields <= {width} else fault.end

    def _raw(self, text: bytes) -> bytes:
        """Return the bytes of a record as they are in the file, without the break at its end."""
        text = text[:-1] if text.endswith(b"\n") else text
        return original(text, self.options.encoding)

    def _sort(self, found: _Found, record: Record, raw: bytes, line: int, width: int) -> None:
        """Put a record with the good or the refused ones; a blank line is nothing at all."""
        if not raw.strip(b"\r"):
            return
        fields = record.fields
        if self.options.trailing_delimiter and len(fields) == width + 1 and fields[-1] == (b"", False):
            fields = fields[:-1]
        if len(fields) != width:
            found.refusals.append((line, _FIELDS, raw))
            return
        if any(b"\r" in value and not quoted for value, quoted in fields):
            found.refusals.append((line, "line|carriage_return", raw))
            return
        try:
            texts = [(value.decode(self._encoding), quoted) for value, quoted in fields]
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
        forms = self.options.forms()
        return frame.with_columns(
            read_texts(frame.get_column(name), dtype, forms).alias(name)
            for name, dtype in self._types.items()
        )

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
        fields = first.fields
        if self.options.trailing_delimiter and len(fields) > 1 and fields[-1] == (b"", False):
            fields = fields[:-1]
        if self.options.header:
            try:
                found = [value.decode(self._encoding).strip() for value, _ in fields]
            except UnicodeDecodeError as problem:
                raise FileDamaged(
                    HEADER, f"the names are not {self.options.encoding}: {problem}"
                ) from problem
            names = [name or f"column_{place}" for place, name in enumerate(found, start=1)]
        else:
            names = declared or [f"column_{place}" for place in range(1, len(fields) + 1)]
        check_names(names, declared)
        return names

    @cached_property
    def _dialect(self) -> Dialect:
        options = self.options
        nulls = frozenset(each.encode() for each in options.null_values)
        return Dialect(
            options.delimiter.encode(), (options.quote or "").encode(), (options.escape or "").encode(), nulls
        )

    @cached_property
    def _comment(self) -> bytes:
        return (self.options.comment or "").encode()

    @cached_property
    def _types(self) -> dict[str, pl.DataType]:
        types = self.options.types()
        return {name: dtype for name, dtype in types.items() if dtype != pl.String()}

    @cached_property
    def _nulls(self) -> frozenset[str]:
        return frozenset(self.options.null_values)

    @property
    def _encoding(self) -> str:
        # What is not divided by its bytes is handed on as UTF-8.
        encoding = self.options.encoding
        return encoding if is_plain(encoding) and encoding != "utf-8-sig" else "utf-8"


def _first_step(data: bytes, at: int) -> int:
    """Return how much is parsed at once: all of it, or so much that a piece does not have too many rows."""
    lines = data.count(b"\n", at)
    return len(data) if lines <= PIECE_ROWS else max(_STEP, (len(data) - at) * PIECE_ROWS // lines)


def _places(data: npt.NDArray[np.uint8], byte: int) -> npt.NDArray[np.intp]:
    """Return where a byte is, looked for in parts that stay in the processor's cache."""
    found = []
    equal = np.empty(min(_CACHED, len(data)), np.bool_)
    for start in range(0, len(data), _CACHED):
        part = data[start : start + _CACHED]
        found.append(np.flatnonzero(np.equal(part, byte, out=equal[: len(part)])) + start)
    return np.concatenate(found)


def _among(some: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(some)] = True
    return table


def _swapped_back(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows with line breaks and carriage returns exchanged."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String() and name != "_refused"]
    swapped = [
        pl.when(pl.col(name).str.contains("[\r\n]"))
        .then(pl.col(name).str.replace_many(["\r", "\n"], ["\n", "\r"]))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    ]
    frame = frame.with_columns(swapped)
    if RAW not in frame.columns:
        return frame
    raws = [raw if raw is None else raw.translate(_SWAPPED) for raw in frame.get_column(RAW)]
    return frame.with_columns(pl.Series(RAW, raws, dtype=pl.Binary))
