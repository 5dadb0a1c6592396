"""Arrays inside records as rows of a dataset of their own: each element with the keys of the record that it came in.

What a parent's bronze has is a source like any other: its elements are landed in the child's bronze by the same
protocol, exactly once, and refined by the child's own rules. The position is the last sequence taken of each of the
parent's streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from headworks.bronze.landing import Landing, land, read_head
from headworks.bronze.stamping import LANDED
from headworks.errors import LakeUnusable
from headworks.names import AGED, OWN_IN_BRONZE, dataset_folder
from headworks.reports import LandingReport
from headworks.sources.base import REFUSAL, REFUSED, Batch, Position
from headworks.sources.repeated import REPEATED, conflicting, outermost
from headworks.storage.delta import Table
from headworks.storage.exact import in_calendar
from headworks.storage.store import Lake
from headworks.storage.translating import collected

_BATCH_ELEMENTS = 50_000

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()

Fields = dict[str, msgspec.Raw]
_Element = tuple[bytes | None, str | None, bytes | None, int | None]
"""A record, or why there is none and what there was instead; and its place in the array, `NOTHING` for an empty one."""

ELEMENT = "_element"
"""The place of a row in its parent's array; of rows from before it was noted, and of refused ones, null."""

NOTHING = -1
"""The place in a row that is no element, and says that the array is empty."""


@dataclass(frozen=True)
class Nested:
    """Declares the elements of an array as the records of a dataset.

    ``field`` is the parent's field, or its column of JSON text, that holds the array. ``given`` maps fields that each
    element gets to fields of its parent: the parent's key, and its cursor. ``index`` names a field for the element's
    place in the array, from 0. An element that is no object becomes the field ``value``. A record whose field holds
    something else than an array is refused for the child, and is in its quarantine.

    Args:
        parent: the dataset whose records have the array.

    Example:
        >>> Nested("shop.orders", "lines", {"order_id": "id", "updated_at": "updated_at"}).index
        'index'
    """

    parent: str
    field: str
    given: Mapping[str, str]
    index: str = "index"


@dataclass
class Elements:
    """The elements in a parent's bronze, as a source: each is a JSON object, with what its parent gives it."""

    nested: Nested
    bronze: Table
    schema: pl.Schema = field(
        default_factory=lambda: pl.Schema({"record": pl.Binary(), **REFUSAL, ELEMENT: pl.Int64()})
    )

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield the elements of the parent's batches that were not taken yet, some batches at a time."""
        taken: dict[str, int] = dict((position or {}).get("streams", {}))
        records: list[_Element] = []
        moved, warnings = False, self._aged(position)
        for stream, sequence in self._pending(taken):
            records += self._elements(stream, sequence)
            taken[stream], moved = sequence, True
            if len(records) >= _BATCH_ELEMENTS:
                yield self._batch(records, taken, warnings)
                records, moved = [], False
        if moved:
            yield self._batch(records, taken, warnings)

    def _pending(self, taken: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """Yield the batches of the parent that were not taken yet, in the order in which they were landed.

        Their elements get their order in bronze from it. Batches without a row are taken as the last of their stream.
        """
        batches = self.bronze.scan()
        landed = pl.col(LANDED) if LANDED in batches.collect_schema() else pl.lit(None, dtype=pl.Int64)
        places = collected(
            batches.group_by("_stream", "_sequence")
            .agg(landed.min().alias("landed"), pl.col("_ingested_at").min())
            .sort("landed", "_ingested_at", "_stream", "_sequence", nulls_last=False),
            self.bronze.name,
        )
        for stream, sequence in places.select("_stream", "_sequence").iter_rows():
            if sequence > taken.get(stream, 0):
                yield stream, sequence
        for stream in sorted(self.bronze.streams()):
            last = self.bronze.transaction(stream)
            if last < taken.get(stream, 0):
                raise LakeUnusable(
                    f"The parent's bronze is older than what was taken of it: stream {stream} ends at sequence {last}, "
                    f"and sequence {taken[stream]} was taken.",
                    where=self.bronze.name,
                    do="restore it from the moment of the child's bronze or a later one.",
                )
            if last > taken.get(stream, 0):
                yield stream, last

    def _aged(self, position: Position | None) -> tuple[str, ...]:
        """Return a warning where rows of the parent may have gone before they were taken."""
        if not self.bronze.transaction(AGED):
            return ()
        before: dict[str, int] = (position or {}).get("streams", {})
        batches = collected(self.bronze.scan().select("_stream", "_sequence").unique(), self.bronze.name)
        there = dict(batches.group_by("_stream").agg(pl.col("_sequence").min()).iter_rows())
        if all(first <= before.get(stream, 0) + 1 for stream, first in there.items()):
            return ()
        return (
            f"Retention took rows of {self.nested.parent} before their {self.nested.field} were taken: it is not known "
            f"what they held. Read {self.nested.parent} in full to take what the source has",
        )

    def _batch(
        self, records: list[_Element], taken: Mapping[str, int], warnings: tuple[str, ...] = ()
    ) -> Batch:
        refused = sum(reason is not None for _, reason, *_ in records)
        return Batch(
            pl.DataFrame(records, schema=self.schema, orient="row"),
            {"streams": dict(taken)},
            read=len(records),
            refused=refused,
            warnings=warnings,
        )

    def _elements(self, stream: str, sequence: int) -> Iterator[_Element]:
        rows = self.bronze.scan().filter((pl.col("_stream") == stream) & (pl.col("_sequence") == sequence))
        if REFUSED in rows.collect_schema():
            rows = rows.filter(pl.col(REFUSED).is_null())
        if ELEMENT in rows.collect_schema():
            rows = rows.filter(pl.col(ELEMENT).is_null() | (pl.col(ELEMENT) != NOTHING))
        for text, parent in _parents(collected(rows.sort("_row"), self.bronze.name)):
            given = {
                name: parent.get(source, msgspec.Raw(b"null")) for name, source in self.nested.given.items()
            }
            if text is not None and self._is_in_doubt(text, parent):
                yield None, REPEATED, text, None
                continue
            elements = _array_in(parent.get(self.nested.field))
            if elements is None:
                # As much of the parent as says whose lines these are, and what is in their place.
                kept = {**given, self.nested.field: parent[self.nested.field]}
                yield None, f"{self.nested.field}|no array", _encoder.encode(kept), None
                continue
            if not elements and given and self.nested.field in parent:
                # A record without the field does not say that there are none: it may be in part, or of a deletion.
                yield _encoder.encode(given), None, None, NOTHING
            for place, element in enumerate(elements):
                own = _object_in(element)
                index = {self.nested.index: msgspec.Raw(str(place).encode())}
                if own is not None and conflicting(bytes(element), own):
                    # As it is, for the child's own rules to reject. What is given comes last, where it counts.
                    yield _with_both(bytes(element), _encoder.encode({**given, **index})), None, None, place
                    continue
                record = {**(own if own is not None else {"value": element}), **given, **index}
                yield _encoder.encode(record), None, None, place

    def _is_in_doubt(self, text: bytes, parent: Fields) -> bool:
        """Return whether a parent says twice, and differently, whose its elements are, or which."""
        unknown = conflicting(text, parent)
        if not unknown:
            return False
        # An element that says something twice is in doubt itself, and no reason against the others.
        given = set(self.nested.given.values()) - {self.nested.field}
        return not given.isdisjoint(unknown) or self.nested.field in outermost(text)


def take_nested(lake: Lake, dataset: str, nested: Nested, run_id: str, **ports: Any) -> LandingReport:
    """Land what a parent's bronze has of a child that the child's has not; ``ports`` are the landing's clock and token.

    The parent's rows that the child has not taken are not let go by retention from then on; of those that went before,
    the report warns. Raises `LakeUnusable` where the parent has no bronze table.
    """
    lake.create_object(f"{_folder(nested.parent)}/{dataset}.json", {"child": dataset})
    elements = Elements(nested, lake.must_open("bronze", nested.parent))
    return land(Landing(lake, dataset, dataset, run_id, **ports), elements)


def taken_by_children(lake: Lake, parent: str) -> list[Mapping[str, int]]:
    """Return up to which sequence each dataset that is nested in another's records has taken each of its streams."""
    folder = _folder(parent)
    found: list[Mapping[str, int]] = []
    for each in lake.list_objects(folder):
        child = each.path.removeprefix(f"{folder}/").removesuffix(".json")
        if "/" in child:
            continue  # a child of a dataset whose name begins like this one's
        bronze = lake.open("bronze", child)
        position = None if bronze is None else read_head(lake, bronze, child, child).position
        found.append((position or {}).get("streams", {}))
    return found


def _folder(parent: str) -> str:
    return f"_headworks/nested/{dataset_folder(parent)}"


def _with_both(element: bytes, given: bytes) -> bytes:
    """Return an object's text with the members of another one after its own."""
    return element.rstrip()[:-1] + b"," + given[1:]


def _parents(rows: pl.DataFrame) -> Iterator[tuple[bytes | None, Fields]]:
    """Yield each row's record, where it is one, with its fields as JSON.

    What cannot be read has none, and is its own dataset's to reject.
    """
    if "record" in rows.columns and rows.schema["record"] == pl.Binary:
        for record in rows.get_column("record"):
            yield record, _object_in(record) or {}
        return
    names = [name for name in rows.columns if name not in OWN_IN_BRONZE]
    for row in in_calendar(rows.select(names)).iter_rows(named=True):
        yield None, {name: _as_json(value) for name, value in row.items()}


def _as_json(value: Any) -> msgspec.Raw:
    """Return a column's value as JSON: text that is an array already as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        return msgspec.Raw(value.encode())
    return msgspec.Raw(_encoder.encode(value))


def _object_in(data: Any) -> Fields | None:
    try:
        return _object.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, TypeError):
        return None


def _array_in(data: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    """Return the elements of an array, also of one that is written as a text; None where there is something else.

    Nothing at all, or an empty text, is an array without elements.
    """
    try:
        if data is None or (raw := bytes(data)) == b"null":
            return []
        text = _text.decode(raw) if raw.startswith(b'"') else None
        if text is not None and not text.strip():
            return []
        return _array.decode(raw if text is None else text)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None
