"""Names that are given twice in one JSON object, with different values: nobody knows which of them is meant.

Every parser takes one of the two without a word. Whether a name came twice is seen from how many names a text has and
how many come out of it: a quote is followed by a colon at the end of a name and nowhere else, since a quote within a
text has a backslash before it. Only where the numbers differ is the record read name by name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

REPEATED = "record|repeated_name"
"""Why a record is rejected that gives a name twice with different values."""

_BLANKS = b" \t\r\n"
_decode = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def conflicts(
    records: Sequence[bytes | None], fields: Sequence[Mapping[str, Any] | None]
) -> Mapping[int, Collection[str]]:
    """Return, by the places of the records that have any, the names in ``fields`` whose value is not known.

    ``fields`` are the members of each record, None where it is no object. Such a name came twice with different
    values, or one below it did; one that comes twice with the same value is no conflict.
    """
    objects = [
        (place, record) for place, record in enumerate(records) if fields[place] is not None and record
    ]
    text = b",".join([record for _, record in objects])
    # No record has fewer names in its text than came out of it, so what is equal in sum is equal in each.
    names = _names(text)
    if names == sum(map(len, filter(None, fields))) or names == _all(text):
        return {}
    found = ((place, conflicting(record, fields[place] or {})) for place, record in objects)
    return {place: names for place, names in found if names}


def conflicting(record: bytes, fields: Mapping[str, Any]) -> Collection[str]:
    """Return the names in ``fields``, as read from a record, whose value is not known."""
    names = _names(record)
    if names == len(fields) or names == _all(record):
        return ()
    return _read_by_names(record, fields)


def _names(text: bytes) -> int:
    """Return how many names there are in a text, or more where a value in it has a quote before a colon."""
    # Blanks may come before a colon; within values it makes no difference that they go.
    return text.translate(None, _BLANKS).count(b'":')


def _all(text: bytes) -> int:
    """Return how many names come out of records at any depth; less where they cannot be read."""
    try:
        return _count(_decode(b"[%b]" % text))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Such as a number that no machine holds: then they are read name by name.
        return -1


def outermost(record: bytes) -> Collection[str]:
    """Return the names that a record itself gives twice with different values; all of one that cannot be read."""
    try:
        return _conflicts(record)[0]
    except (RecursionError, ValueError):
        return set(_fields(record))


def _count(value: Any) -> int:
    """Return how many names there are in a value, at any depth."""
    is_object = type(value) is dict
    found = len(value) if is_object else 0
    for each in value.values() if is_object else value:
        if type(each) is dict or type(each) is list:
            found += _count(each)
    return found


def _read_by_names(record: bytes, fields: Mapping[str, Any]) -> Collection[str]:
    try:
        top, anywhere = _conflicts(record)
        if not anywhere:
            return ()
        nested = {name: text for name, raw in fields.items() if (text := bytes(raw)).startswith((b"{", b"["))}
        return top | {name for name, raw in nested.items() if _conflicts(raw)[1]}
    except (RecursionError, ValueError):
        # Deeper than can be looked into from here, or bytes that are no text: nothing of it is known.
        return set(fields)


def _conflicts(text: bytes) -> tuple[set[str], bool]:
    """Return the names that conflict in the outermost object of a text, and whether any do in it."""
    outermost: set[str] = set()
    anywhere = False

    def take(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Called for the outermost object last.
        nonlocal outermost, anywhere
        made: dict[str, Any] = {}
        outermost = set()
        for name, value in pairs:
            if name in made and made[name] != value:
                outermost.add(name)
            made[name] = value
        anywhere = anywhere or bool(outermost)
        return made

    # Numbers as they are written, distinguished from texts: 1 and 1.0 are not the same, and neither are 1 and "1".
    decoder = json.JSONDecoder(
        object_pairs_hook=take, parse_int=_Number, parse_float=_Number, parse_constant=_Number
    )
    value = decoder.decode(text.decode())
    return (outermost if isinstance(value, dict) else set()), anywhere


class _Number(str):
    """A number as it is written."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Number) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__
