"""One CSV record off the beginning of some bytes: the reference that the fast reader has to agree with.

A field that begins with the quote ends at the next quote that is not doubled, and may hold delimiters and line breaks.
What comes after the closing quote, up to the delimiter, belongs to the field; a quote in the middle of an unquoted
field is a character like any other.

What belongs here: where fields begin and end. What does not: what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_QUOTED = 1024 * 1024
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
    """The record may go on after the end of the bytes."""


@dataclass(frozen=True)
class Dialect:
    """What separates and encloses fields, as single bytes; no quote means that nothing encloses them."""

    delimiter: bytes
    quote: bytes


def take(data: bytes, start: int, dialect: Dialect, *, last: bool) -> Record:
    """Return the record at ``start``; raises `NotClosed` or, unless nothing comes after ``data``, `NotWhole`."""
    newline = data.find(b"\n", start)
    if newline < 0 and not last:
        raise NotWhole
    line_end = newline if newline >= 0 else len(data)
    line = data[start:line_end]
    if not dialect.quote or dialect.quote not in line:
        text = line[:-1] if line.endswith(b"\r") else line
        fields = [(field, False) for field in text.split(dialect.delimiter)]
        return Record(fields, min(line_end + 1, len(data)), 1)
    return _quoted(data, start, dialect, last=last)


def _quoted(data: bytes, start: int, dialect: Dialect, *, last: bool) -> Record:
    fields: list[tuple[bytes, bool]] = []
    at, lines = start, 1
    while True:
        was_quoted = data.startswith(dialect.quote, at)
        value = b""
        if was_quoted:
            value, at = _enclosed(data, at + 1, dialect.quote, last=last)
            lines += value.count(b"\n")
        end, is_delimiter = _field_end(data, at, dialect, last=last)
        rest = data[at:end]
        if not is_delimiter and rest.endswith(b"\r"):
            rest = rest[:-1]
        fields.append((value + rest, was_quoted))
        at = end + 1
        if not is_delimiter:
            return Record(fields, min(at, len(data)), lines)


def _enclosed(data: bytes, start: int, quote: bytes, *, last: bool) -> tuple[bytes, int]:
    """Return what a quoted field holds, and where its closing quote is over."""
    parts, at = [], start
    while True:
        end = data.find(quote, at, start + LONGEST_QUOTED)
        if end < 0:
            if last or len(data) >= start + LONGEST_QUOTED:
                raise NotClosed
            raise NotWhole
        if end + 1 >= len(data) and not last:
            # The next byte tells whether the quote is doubled.
            raise NotWhole
        if data.startswith(quote, end + 1):
            parts.append(data[at : end + 1])
            at = end + 2
            continue
        parts.append(data[at:end])
        return b"".join(parts), end + 1


def _field_end(data: bytes, at: int, dialect: Dialect, *, last: bool) -> tuple[int, bool]:
    delimiter, newline = data.find(dialect.delimiter, at), data.find(b"\n", at)
    if newline < 0 and not last:
        raise NotWhole
    line_end = newline if newline >= 0 else len(data)
    if 0 <= delimiter < line_end:
        return delimiter, True
    return line_end, False
