"""Where the records of a CSV text begin and end, found record by record.

A record ends at a line break outside of quotes. A quoted field begins with a quote, ends at the next one that is
neither doubled nor escaped, and may hold delimiters and line breaks; nothing but a delimiter or the record's end may
follow it. A quote in the middle of an unquoted field is a character like any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

LONGEST_QUOTED = 32 * 1024 * 1024
"""A quoted field that is not closed within so many bytes is not one."""


@dataclass(frozen=True)
class Record:
    """A record: its fields with whether each was quoted, and where the next record begins."""

    fields: list[tuple[bytes, bool]]
    end: int
    lines: int


class NotClosed(Exception):
    """A quoted field has no end."""


class NotWhole(Exception):
    """The record may continue after the end of the bytes."""


class TextAfterQuote(Exception):
    """Something follows a closing quote in its field; the record would end at ``end``."""

    def __init__(self, end: int) -> None:
        self.end = end
        super().__init__(end)


@dataclass(frozen=True)
class Dialect:
    """What separates, encloses and escapes; no quote means that nothing encloses fields, no escape that nothing does.

    ``nulls`` are texts for null, which an escape does not change: a backslash and N.
    """

    delimiter: bytes
    quote: bytes
    escape: bytes = b""
    nulls: frozenset[bytes] = frozenset()

    @cached_property
    def opening(self) -> bytes:
        """What a quoted field begins with, if it is not the first."""
        return self.delimiter + self.quote

    @cached_property
    def unquoted(self) -> re.Pattern[bytes]:
        """Matches an unquoted field with escaped characters in it."""
        escape, delimiter = re.escape(self.escape), re.escape(self.delimiter)
        return re.compile(rb"(?:%s(?:[\s\S]|\Z)|(?!%s)[^\n%s])*+" % (escape, delimiter, escape))

    @cached_property
    def duplicated(self) -> re.Pattern[bytes]:
        """Matches what a quoted field holds, with doubled quotes."""
        quote = re.escape(self.quote)
        return re.compile(rb"(?:[^%s]++|%s%s)*+" % (quote, quote, quote))

    @cached_property
    def quoted(self) -> re.Pattern[bytes]:
        """Matches what a quoted field holds, with escaped quotes and quotes written twice."""
        escape, quote = re.escape(self.escape), re.escape(self.quote)
        return re.compile(rb"(?:%s[\s\S]|%s%s|[^%s%s]++)*+" % (escape, quote, quote, escape, quote))

    @cached_property
    def escaped(self) -> re.Pattern[bytes]:
        """Matches an escape and the character after it."""
        return re.compile(rb"%s([\s\S])" % re.escape(self.escape))


def take(data: bytes, start: int, dialect: Dialect, *, last: bool) -> Record:
    """Return the record at ``start``.

    Raises `NotClosed` and `TextAfterQuote` for what is no record, and, unless nothing comes after ``data``, `NotWhole`.
    """
    newline = data.find(b"\n", start)
    if newline < 0 and not last:
        raise NotWhole
    line_end = newline if newline >= 0 else len(data)
    line = data[start:line_end]
    if dialect.escape and dialect.escape in line:
        return _Fields(data, start, dialect, last=last).record()
    if not dialect.quote or not (line.startswith(dialect.quote) or dialect.opening in line):
        text = line[:-1] if line.endswith(b"\r") else line
        fields = [(field, False) for field in text.split(dialect.delimiter)]
        return Record(fields, min(line_end + 1, len(data)), 1)
    return _Fields(data, start, dialect, last=last).record()


class _Fields:
    """Takes the fields of one record, one after another."""

    def __init__(self, data: bytes, start: int, dialect: Dialect, *, last: bool) -> None:
        self._data, self._start, self._at, self._last = data, start, start, last
        self._dialect = dialect
        self._newline = start - 1

    def record(self) -> Record:
        """Return the record."""
        fields: list[tuple[bytes, bool]] = []
        dialect = self._dialect
        while True:
            if dialect.quote and self._data.startswith(dialect.quote, self._at):
                value, more = self._enclosed()
                fields.append((value, True))
            else:
                value, was_escaped, more = self._open()
                fields.append((value, was_escaped))
            if not more:
                end = min(self._at, len(self._data))
                return Record(fields, end, self._lines(end))

    def _lines(self, end: int) -> int:
        """Return the lines of a record, the last of which may lack its break."""
        text = self._data[self._start : end]
        return text.count(b"\n") + (not text.endswith(b"\n"))

    def _open(self) -> tuple[bytes, bool, bool]:
        """Return an unquoted field, whether something in it was escaped, and whether another one follows."""
        if self._dialect.escape:
            found = self._dialect.unquoted.match(self._data, self._at)
            end = found.end() if found else self._at
            if end >= len(self._data) and not self._last:
                raise NotWhole
        else:
            end = self._line_end()
            delimiter = self._data.find(self._dialect.delimiter, self._at, end)
            end = delimiter if delimiter >= 0 else end
        text = self._data[self._at : end]
        more = self._end_field(end)
        if not more and text.endswith(b"\r"):
            text = text[:-1]
        if self._dialect.escape and self._dialect.escape in text and text not in self._dialect.nulls:
            return self._dialect.escaped.sub(rb"\1", text), True, more
        return text, False, more

    def _enclosed(self) -> tuple[bytes, bool]:
        """Return what a quoted field holds, and whether another field follows."""
        value = self._with_escapes() if self._dialect.escape else self._without_escapes()
        data, at = self._data, self._at
        if data.startswith(self._dialect.delimiter, at):
            return value, self._end_field(at)
        end = at + 1 if data.startswith(b"\r", at) else at
        if end >= len(data):
            if not self._last:
                raise NotWhole
            return value, self._end_field(end)
        if data.startswith(b"\n", end):
            return value, self._end_field(end)
        rest = len(data) - at
        if not self._last and rest < len(self._dialect.delimiter):
            raise NotWhole
        line_end = self._line_end()
        raise TextAfterQuote(min(line_end + 1, len(data)))

    def _without_escapes(self) -> bytes:
        data, quote, start = self._data, self._dialect.quote, self._at + 1
        limit = start + LONGEST_QUOTED
        found = self._dialect.duplicated.match(data, start, min(len(data), limit))
        end = found.end() if found else start
        if end >= limit or not data.startswith(quote, end):
            self._not_closed(start)
        if end + 1 >= len(data) and not self._last:
            # The next byte says whether the quote is duplicated.
            raise NotWhole
        if data.startswith(quote, end + 1):
            # Two that represent one, the second of which lies beyond the limit.
            self._not_closed(start)
        self._at = end + 1
        return data[start:end].replace(quote + quote, quote)

    def _with_escapes(self) -> bytes:
        dialect, start = self._dialect, self._at + 1
        found = dialect.quoted.match(self._data, start, min(len(self._data), start + LONGEST_QUOTED))
        end = found.end() if found else start
        if not self._data.startswith(dialect.quote, end):
            self._not_closed(start)
        if end + 1 >= len(self._data) and not self._last:
            raise NotWhole
        self._at = end + 1
        text, quote = self._data[start:end], re.escape(dialect.quote)
        both = re.compile(rb"%s([\s\S])|%s(%s)" % (re.escape(dialect.escape), quote, quote))
        return both.sub(rb"\1\2", text)

    def _not_closed(self, start: int) -> None:
        if self._last or len(self._data) >= start + LONGEST_QUOTED:
            raise NotClosed
        raise NotWhole

    def _line_end(self) -> int:
        """Return where the line ends that the scan is in; looked for once a line, and not for each field."""
        if self._newline < self._at:
            found = self._data.find(b"\n", self._at)
            if found < 0 and not self._last:
                raise NotWhole
            self._newline = found if found >= 0 else len(self._data)
        return self._newline

    def _end_field(self, end: int) -> bool:
        """Go past what ends a field, and say whether it is a delimiter."""
        if self._data.startswith(self._dialect.delimiter, end):
            self._at = end + len(self._dialect.delimiter)
            return True
        self._at = end + 1
        return False
