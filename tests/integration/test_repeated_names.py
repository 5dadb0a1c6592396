"""A record that gives a name twice: rejected and kept in every place and way, and its good neighbours land.

Three further runs each: the same again, the record as its source corrects it, and a declaration that takes the last.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.nested import Nested
from headworks.reports import RefineReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.expressions import whole_number
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.silver.replay import replay
from headworks.sources.api.paginate import PageNumbers
from headworks.sources.api.resource import Resource
from headworks.sources.api.source import ApiSource
from headworks.sources.base import Source
from headworks.sources.files.selection import Files
from headworks.sources.repeated import REPEATED
from headworks.storage.store import Lake
from tests.support.clients import api_client
from tests.support.served import numbered, served
from tests.support.stores import Folder
from tests.support.taken_files import source

NAME = "t.things"
BEFORE = [b'{"id":%d,"v":%d,"in":{"a":[{"b":1},{"b":2}]}}' % (n, n) for n in range(1, 6)]


class Schema(dy.Schema):
    """A thing."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=True)


THINGS = Dataset(
    name=NAME,
    key=("id",),
    schema=Schema,
    fields=("id", "v", "in"),
    columns={"id": whole_number("id"), "v": whole_number("v")},
    limits=RejectLimits(share=1.0),
)

POISONS = {
    "its key": b'{"id":3,"id":4,"v":7}',
    "its key, at the end": b'{"id":3,"v":7,"id":"3"}',
    "a value": b'{"id":3,"v":7,"v":8}',
    "a value, escaped": b'{"id":3,"v":7,"\\u0076":8}',
    "a value, with blanks": b'{ "id" : 3 , "v" : 7 , "v" : 8 }',
    "a field that silver does not have": b'{"id":3,"w":1,"v":7,"w":2}',
    "in an object": b'{"id":3,"v":7,"in":{"x":1,"x":2}}',
    "deep in an array": b'{"id":3,"v":7,"in":{"a":[{"b":1},{"b":2,"b":3}]}}',
}
"""Where a name comes twice in the record of thing 3."""

SAME = {
    "its key": b'{"id":3,"id":3,"v":7}',
    "a value": b'{"id":3,"v":7,"v":7}',
    "an object": b'{"id":3,"v":7,"in":{"x":1,"y":2},"in":{"y":2,"x":1}}',
}


class Api:
    """An API with these records on pages of two."""

    def __init__(self, folder: Path, lake: Lake) -> None:
        self._lake = lake

    def read(self, records: list[bytes], take: Callable[[Source], Any]) -> None:
        """Serve the records, and take what the API then has."""
        with served(numbered(records)) as api:
            resource = Resource(
                path="/v1/things",
                records="data.items",
                pagination=PageNumbers(pages_field="meta.pages", size=2),
            )
            take(ApiSource(api_client(api.url, in_flight=1), resource))


class Lines:
    """A folder that gets a file of NDJSON in each run."""

    form: Literal["ndjson", "json"] = "ndjson"

    def __init__(self, folder: Path, lake: Lake) -> None:
        (folder / "in").mkdir()
        self._folder, self._lake, self._files = Folder(folder / "in"), lake, 0

    def read(self, records: list[bytes], take: Callable[[Source], Any]) -> None:
        """Put a file with the records, and take it."""
        self._files += 1
        self._folder.put(f"{self._files}.{self.form}", self._text(records))
        files = Files(format=self.form, pattern=f"*.{self.form}", settle_s=0)
        take(source(self._folder, self._lake, files))

    def _text(self, records: list[bytes]) -> bytes:
        return b"\n".join(records) + b"\n"


class Array(Lines):
    """The same with one JSON array a file."""

    form: Literal["ndjson", "json"] = "json"

    def _text(self, records: list[bytes]) -> bytes:
        return b"[" + b",\n".join(records) + b"]"


WAYS: dict[str, type[Api | Lines]] = {"api": Api, "ndjson": Lines, "json": Array}


def _silver(lake: Lake) -> dict[int, int | None]:
    rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).select("id", "v").collect()
    return dict(rows.iter_rows())


def _kept(lake: Lake) -> list[dict[str, Any]]:
    rows = rejected_rows(lake, NAME, lake.must_open("silver", NAME))
    return [] if rows is None else rows.sort("_sequence", "_row").collect().to_dicts()


def _run(lake: Lake, way: Api | Lines, records: list[bytes]) -> RefineReport:
    way.read(records, lambda found: land(Landing(lake, NAME, NAME, "run"), found))
    outcome = refine(Refinement(lake, "run"), THINGS)
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    return outcome.report


# Each place in one of the ways, so that every way meets several places.
@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("poison", "way"), [(each, list(WAYS)[place % len(WAYS)]) for place, each in enumerate(POISONS)]
)
def test_a_record_with_a_name_twice_is_rejected_alone_and_kept_and_can_be_taken(
    tmp_path: Path, lake: Lake, way: str, poison: str
) -> None:
    reader = WAYS[way](tmp_path, lake)
    good = [record for place, record in enumerate(BEFORE) if place != 2]
    records = [*good[:2], POISONS[poison], *good[2:]]
    report = _run(lake, reader, records)
    assert (report.rejected, report.reasons) == (1, {REPEATED: 1})
    others = {1: 1, 2: 2, 4: 4, 5: 5}
    assert _silver(lake) == others
    (row,) = _kept(lake)
    assert row["record"].strip().encode() == POISONS[poison], "its text is kept as it came"
    assert row["key"] == (None if "key" in poison else "3"), "its key is known unless it is what came twice"
    _run(lake, reader, [*records, b'{"id":6,"v":6}'])
    assert _silver(lake) == {**others, 6: 6}
    # A declaration may say that the last one counts, and what was kept is then taken.
    outcome = replay(Refinement(lake, "run"), replace(THINGS, repeated_names="last"))
    assert outcome.report.released >= 1
    last = json.loads(POISONS[poison])
    taken = {**others, 6: 6, int(last["id"]): last["v"]}
    if poison == "its key":
        taken[4] = _silver(lake)[4]  # it came later, or with a later record of the same key
    assert _silver(lake) == taken
    _run(lake, reader, [b'{"id":3,"v":9}'])
    assert _silver(lake)[3] == 9


@pytest.mark.parametrize(("same", "way"), list(zip(SAME, WAYS, strict=True)))
def test_a_name_that_comes_twice_with_the_same_value_lands(
    tmp_path: Path, lake: Lake, way: str, same: str
) -> None:
    reader = WAYS[way](tmp_path, lake)
    report = _run(lake, reader, [*BEFORE[:2], SAME[same]])
    assert (report.rejected, _silver(lake)) == (0, {1: 1, 2: 2, 3: 7})


class LineSchema(dy.Schema):
    """A line."""

    id = dy.Int64(nullable=False)
    place = dy.Int64(nullable=False)
    sku = dy.String(nullable=True)


NESTED = Dataset(
    name="t.lines",
    key=("id", "place"),
    schema=LineSchema,
    fields=("id", "place", "sku"),
    columns={"id": whole_number("id"), "place": whole_number("place"), "sku": pl.col("sku")},
    nested=Nested(NAME, "lines", {"id": "id"}, index="place"),
    limits=RejectLimits(share=1.0),
)


@pytest.mark.parametrize(
    ("record", "landed", "key"),
    [
        (b'{"id":3,"lines":[{"sku":"a"},{"sku":"b","sku":"c"},{"sku":"d"}]}', {(3, 0): "a", (3, 2): "d"}, "3 / 1"),
        (b'{"id":3,"id":4,"lines":[{"sku":"a"}]}', {}, None),
        (b'{"id":3,"lines":[{"sku":"a"}],"lines":[{"sku":"b"}]}', {}, None),
        (b'{"id":3,"lines":[{"sku":"a","x":{"y":1,"y":2}},{"sku":"d"}]}', {(3, 1): "d"}, "3 / 0"),
    ],
    ids=["in a line", "in the key that lines get", "the array itself", "deep in a line"],
)  # fmt: skip
def test_a_name_that_comes_twice_in_a_line_costs_that_line_alone(
    tmp_path: Path, lake: Lake, record: bytes, landed: dict[tuple[int, int], str], key: str | None
) -> None:
    others = [b'{"id":1,"lines":[{"sku":"x"}]}', record, b'{"id":2,"lines":[{"sku":"y"}]}']
    Api(tmp_path, lake).read(others, lambda found: land(Landing(lake, NAME, NAME, "run"), found))
    for number in range(3):
        report = refine(Refinement(lake, f"run {number}"), NESTED).report
        assert report.reasons == ({REPEATED: 1} if number == 0 else {})
        rows = lake.must_open("silver", "t.lines").scan().select("id", "place", "sku").collect()
        assert {(row[0], row[1]): row[2] for row in rows.iter_rows()} == {(1, 0): "x", (2, 0): "y", **landed}
    kept = rejected_rows(lake, "t.lines", lake.must_open("silver", "t.lines"))
    assert kept is not None
    assert kept.select("key").collect().to_series().to_list() == [key]
