"""The fields of a resource's records and envelopes that the engine itself looks at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from headworks.sources.api.memory import Key
from headworks.sources.api.records import FieldReader, value_of
from headworks.sources.api.resource import DELETED_FIELD, Resource, Tombstone

_APART = re.compile(r"\d{1,3}(?:[,_' \u00a0\u202f]\d{3})+")
_RANGE = re.compile(r"[\w-]+\s+(?:\d+-\d+|\*)/(?:\d+|\*)")
_DIGITS = 18


class RecordFields:
    """Reads what a resource's description names."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        incremental, tombstone = resource.incremental, resource.tombstone
        self._key = FieldReader(resource.key) if resource.key else None
        self._cursor = FieldReader((incremental.field,)) if incremental else None
        self._tombstone = FieldReader((tombstone.field,)) if tombstone else None
        self._gone = FieldReader((DELETED_FIELD,)) if tombstone and tombstone.records is not None else None
        self._last = (
            FieldReader(resource.pagination.record_fields) if resource.pagination.record_fields else None
        )

    def keys(self, records: Sequence[bytes]) -> list[Key] | None:
        """Return each record's key, or None where the resource has no key."""
        if self._key is None:
            return None
        columns = self._key.columns(records)
        if not any(None in column or b"null" in column for column in columns):
            parts: Any = columns
            return list(parts[0] if len(parts) == 1 else map(b",".join, zip(*parts, strict=True)))
        return [
            None if None in key or b"null" in key else b",".join(filter(None, key))
            for key in zip(*columns, strict=True)
        ]

    def cursors(self, records: Sequence[bytes]) -> list[bytes | None]:
        """Return each record's cursor value as raw JSON."""
        return [] if self._cursor is None else self._cursor.columns(records)[0]

    def deleted(self, records: Sequence[bytes]) -> list[bool] | None:
        """Return for each record whether it says that it was deleted; None where the resource has no tombstones."""
        tombstone = self._resource.tombstone
        if self._tombstone is None or tombstone is None:
            return None
        marks = self._said(tombstone, self._tombstone, records)
        if self._gone is None:
            return marks
        in_array = self._gone.columns(records)[0]
        return [mark or raw == b"true" for mark, raw in zip(marks, in_array, strict=True)]

    def _said(self, tombstone: Tombstone, reader: FieldReader, records: Sequence[bytes]) -> list[bool]:
        """Return for each record whether its field says that it was deleted."""
        if tombstone.when_present:
            return [raw is not None for raw in reader.columns(records)[0]]
        said = [value_of(value) for (value,) in reader.read(records)]
        return [any(value == one and type(value) is type(one) for one in tombstone.values) for value in said]

    def last(self, records: Sequence[bytes]) -> dict[str, Any]:
        """Return the fields of the last record that the paginator looks at."""
        if self._last is None or not records:
            return {}
        (values,) = self._last.read(records[-1:])
        for record in reversed(records[:-1]):
            if None not in values:
                break
            # A record that cannot be read does not stop the scan: it is followed from the one before it.
            (values,) = self._last.read([record])
        return {
            path: value_of(raw)
            for path, raw in zip(self._resource.pagination.record_fields, values, strict=True)
        }

    def total(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> int | None:
        """Return the number of records that a page announces, or None where it announces none."""
        announced = self._resource.completeness
        found: Any = headers.get(announced.total_header.lower()) if announced.total_header else None
        if found is None and announced.total_field:
            found = fields.get(announced.total_field)
        return _number(found)


def _number(announced: Any) -> int | None:
    """Return an announced number, also of a text with thousands set apart, or of a Content-Range; None of all else."""
    if isinstance(announced, str):
        text = (
            announced.strip().rpartition("/")[2] if _RANGE.fullmatch(announced.strip()) else announced.strip()
        )
        plain = re.sub(r"[,_' \u00a0\u202f]", "", text) if _APART.fullmatch(text) else text
        return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= _DIGITS else None
    if isinstance(announced, float) and announced.is_integer() and announced < 10**_DIGITS:
        announced = int(announced)
    return announced if type(announced) is int and announced >= 0 else None
