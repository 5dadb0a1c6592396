"""Pages that are not plain JSON of objects: NDJSON, CSV, XML, arrays with columns, several arrays, sideloads.

Whatever a page is written in becomes records that are JSON objects. NDJSON's are the bytes that came; those of CSV and
XML are made, all their values texts.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.parsers.expat import ExpatError

import msgspec
import xmltodict

from headworks.errors import PageUnreadable
from headworks.sources.api.failing import failure_of
from headworks.sources.api.judging import Reply
from headworks.sources.api.paths import EACH
from headworks.sources.api.paths import parts as parts_of
from headworks.sources.api.records import (
    Body,
    Envelope,
    FieldReader,
    array_at,
    fault,
    outline,
    split,
    value_of,
)
from headworks.sources.api.resource import DELETED_FIELD, Resource

MISFIT = "record|fields"
"""Why a record is refused that has more values than there are columns, or a row of CSV with fewer."""

UNENDED = (
    "Its last line has no end, so the file may have been cut short: this reading is not shown to be complete."
)

_OTHERS = re.compile(r"[,;|\t]")
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.encode
_FIELD_LIMIT = 16 * 1024 * 1024


class Format:
    """Takes the pages of one resource apart. ``prefix`` are members that each record begins with, as raw JSON."""

    def __init__(self, resource: Resource, envelope: Envelope, prefix: bytes = b"") -> None:
        self._resource, self._envelope, self._prefix = resource, envelope, prefix
        self._sides = {
            name: (FieldReader((side.field,)), FieldReader((side.key,)), side)
            for name, side in resource.sideloads.items()
        }
        several = (
            resource.records,
            *resource.arrays,
            *(side.records for side in resource.sideloads.values()),
        )
        self._forced = {tuple(step for step in parts_of(path) if step != EACH) for path in several}
        self._plain = (
            resource.format == "json"
            and not resource.columns
            and not resource.header_row
            and not resource.arrays
            and not resource.sideloads
            and not prefix
        )

    def arrays(self) -> tuple[str, ...]:
        """Return the paths that some page must have in addition to the records'."""
        return (*self._resource.arrays, *(side.records for _, _, side in self._sides.values()))

    def body(self, reply: Reply, text: bytes) -> tuple[Body, frozenset[str]]:
        """Take a page apart: its body, and which of `arrays` it has; raises `PageUnreadable`."""
        if self._plain:
            return split(text, self._envelope), frozenset()
        kind = self._resource.format
        if kind == "ndjson":
            return self._changed(_lines(text)), frozenset()
        if kind == "csv":
            return self._changed(self._rows(text)), frozenset()
        if kind == "xml":
            text = self._json_of(reply.body)
        there: set[str] = set()
        body = self._several(split(text, self._envelope), text, there)
        body = self._named(body, text)
        return self._changed(self._joined(body, text, there)), frozenset(there)

    def _several(self, body: Body, text: bytes, there: set[str]) -> Body:
        """Add the records of further arrays; those of the array of deleted ones are marked."""
        tombstone = self._resource.tombstone
        gone = tombstone.records if tombstone else None
        if not self._resource.arrays and gone is None:
            return body
        records = _marked(body.records) if gone == self._resource.records else list(body.records)
        faults = dict(body.faults)
        for path in self._resource.arrays:
            found = array_at(text, path)
            if found is None:
                continue
            there.add(path)
            faults |= {len(records) + place: why for place, one in enumerate(found) if (why := fault(one))}
            records += _marked(found) if path == gone else found
        return replace(body, records=records, faults=faults)

    def _named(self, body: Body, text: bytes) -> Body:
        """Give the values of records that are arrays the names of their columns."""
        columns, records = self._resource.columns, body.records
        if self._resource.header_row:
            if not records:
                return body
            names, records = _names(records[0]), records[1:]
        elif not columns:
            return body
        elif isinstance(columns, str):
            found = array_at(text, columns)
            if found is None:
                if not records:
                    return body
                raise PageUnreadable(
                    f"A page has no names of columns at {columns}.", do="correct columns of the resource."
                )
            names = [str(value_of(name)) for name in found]
        else:
            names = list(columns)
        keys = [_encode(name) for name in names]
        made: list[bytes] = []
        faults: dict[int, str] = {}
        for place, record in enumerate(records):
            try:
                values = _raws.decode(record)
            except (msgspec.DecodeError, msgspec.ValidationError):
                made.append(record)
                continue
            if len(values) > len(keys):
                faults[place] = MISFIT
                made.append(record)
                continue
            pairs = (b"%b:%b" % (key, bytes(value)) for key, value in zip(keys, values, strict=False))
            made.append(b"{%b}" % b",".join(pairs))
        return replace(body, records=made, faults=faults)

    def _joined(self, body: Body, text: bytes, there: set[str]) -> Body:
        """Put into each record what a page has alongside for it."""
        records = body.records
        for name, (fields, keys, side) in self._sides.items():
            found = array_at(text, side.records)
            if found is None:
                continue
            there.add(side.records)
            by_key = dict(zip((row[0] for row in keys.read(found)), found, strict=True))
            wanted = fields.columns(records)[0]
            member = _encode(name) + b":"
            records = [
                one if key is None or key not in by_key else _begun(one, member + by_key[key] + b",")
                for one, key in zip(records, wanted, strict=True)
            ]
        return body if records is body.records else replace(body, records=list(records))

    def _changed(self, body: Body) -> Body:
        if not self._prefix:
            return body
        records = [
            one if place in body.faults else _begun(one, self._prefix)
            for place, one in enumerate(body.records)
        ]
        return replace(body, records=records)

    def _rows(self, text: bytes) -> Body:
        """Return the rows of a CSV file as objects of texts; raises `PageUnreadable` where it is cut or is none."""
        start = text[:64].lstrip()
        if start[:1] in (b"{", b"["):
            failure = failure_of(outline(text))
            raise failure or PageUnreadable(
                "A page should be CSV, and is JSON.", do="correct the resource's format."
            )
        try:
            decoded = text.decode("utf-8-sig")
        except UnicodeDecodeError as problem:
            raise PageUnreadable(f"A page should be CSV, and is not UTF-8: {problem}.") from problem
        csv.field_size_limit(_FIELD_LIMIT)
        reader = csv.reader(io.StringIO(decoded, newline=""), delimiter=self._resource.delimiter, strict=True)
        fixed = self._resource.columns
        names = list(fixed) if fixed and not isinstance(fixed, str) else None
        records: list[bytes] = []
        faults: dict[int, str] = {}
        ended = decoded.endswith(("\n", "\r")) or not decoded
        row: list[str] = []
        try:
            for row in reader:
                if names is None:
                    names = row
                    if len(set(names)) < len(names) or not any(names):
                        raise PageUnreadable(
                            f"The header of a page of CSV is {names!r}: names must be there once."
                        )
                elif not row:
                    continue
                elif len(row) != len(names):
                    faults[len(records)] = MISFIT
                    records.append(_encode(row))
                else:
                    records.append(_encode(dict(zip(names, row, strict=True))))
        except csv.Error as problem:
            raise PageUnreadable(f"A page of CSV cannot be read, or is cut short: {problem}.") from problem
        if names is None:
            raise PageUnreadable("A page should be CSV, and has not even a header.")
        if (len(names) == 1 and _OTHERS.search(names[0])) or (
            len(records) > 2 and len(faults) == len(records)
        ):
            raise PageUnreadable(
                f"No row of a page of CSV fits its header {names!r}.",
                do="correct delimiter or columns of the resource.",
            )
        if not ended and faults and len(records) - 1 in faults:
            raise PageUnreadable(f"A page of CSV is cut short: its last line is {row!r}.")
        return Body(records, {}, faults, doubt="" if ended else UNENDED)

    def _json_of(self, text: bytes) -> bytes:
        """Return a page of XML as JSON: attributes as ``@name``, text alongside them as ``#text``."""
        try:
            return _encode(xmltodict.parse(text, force_list=self._is_list))
        except (ExpatError, ValueError, LookupError, RecursionError) as problem:
            raise PageUnreadable(
                f"A page should be XML, and cannot be read, or is cut short: {problem}.",
                do="check the resource's format, if it stays so.",
            ) from problem

    def _is_list(self, path: Sequence[tuple[str, Any]], key: str, value: Any) -> bool:
        """Return whether an element is one of many: the records are, also where there is one of them."""
        return (*(step for step, _ in path), key) in self._forced


def _lines(text: bytes) -> Body:
    """Return the lines of NDJSON; raises `PageUnreadable` where the last one is cut short."""
    lines = [line for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    records = [line.strip() for line in lines]
    try:
        whole = len(_raws.decode(b"[%b]" % b",".join(records))) == len(records)
        faults: dict[int, str] | None = {} if whole else None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        faults = None
    try:
        text.decode()
    except UnicodeDecodeError:
        faults = None
    if faults is None:
        faults = {place: why for place, one in enumerate(records) if (why := fault(one))}
    ended = text.endswith(b"\n")
    if not ended and len(records) - 1 in faults:
        raise PageUnreadable("A page of NDJSON is cut short: its last line is not whole.")
    if records and len(records) - 1 not in faults:
        failure = failure_of(outline(records[-1]), lone=True)
        if failure is not None:
            raise failure
    return Body(records, {}, faults)


def _names(record: bytes) -> list[str]:
    names = value_of(record)
    if not isinstance(names, list) or not names:
        raise PageUnreadable(
            "The first record has no names of columns.", do="correct header_row of the resource."
        )
    return [str(name) for name in names]


def _marked(records: Sequence[bytes]) -> list[bytes]:
    """Return records with the mark of deleted ones; what is no object becomes the value of one."""
    member = _encode(DELETED_FIELD) + b":true,"
    return [_begun(one if one.lstrip()[:1] == b"{" else b'{"_value":%b}' % one, member) for one in records]


def _begun(record: bytes, members: bytes) -> bytes:
    """Return an object that begins with some more members, which end with a comma."""
    inside = record.lstrip()
    if not inside.startswith(b"{"):
        return record
    rest = inside[1:].lstrip()
    return b"{" + (members[:-1] if rest.startswith(b"}") else members) + rest


def prefix_of(members: Mapping[str, bytes]) -> bytes:
    """Return raw JSON values as the members that records begin with."""
    return b"".join(b"%b:%b," % (_encode(name), value) for name, value in members.items())
