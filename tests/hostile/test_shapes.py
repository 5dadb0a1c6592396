"""APIs of every shape are read exactly, and no description that is slightly off reads a part and calls it complete."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError
from headworks.settings import LakeSettings
from headworks.sources.api.resource import Resource
from headworks.sources.api.source import ApiSource
from headworks.sources.base import Batch, Position
from headworks.storage.store import Lake
from tests.hostile.misdescribed import _changed, _leaves, _with
from tests.hostile.shapes import BEGIN, SHAPES, Shape, Things
from tests.support.clients import api_client
from tests.support.served import Answer, Asked, served

NAMES = sorted(SHAPES)
# A few days after the first row, and after all that are added: what is read by windows of hours has months of
# empty ones to ask for where the clock is months on.
NOW = BEGIN + timedelta(days=4)


@dataclass
class Came:
    """What readings brought: the records in their order, which of them say deleted, and where the last one ended."""

    records: list[dict[str, Any]]
    deleted: set[int]
    position: Position | None = None
    shown: bool | None = None
    warnings: tuple[str, ...] = ()

    def take(self, batch: Batch) -> None:
        """Add a batch, in the order in which it came."""
        frame = batch.frame
        assert isinstance(frame, pl.DataFrame)
        marks = frame["_deleted"] if "_deleted" in frame.columns else [False] * frame.height
        for raw, gone in zip(frame["record"], marks, strict=True):
            if raw is None:
                continue
            record = json.loads(raw)
            self.records.append(record)
            if not isinstance(record, dict) or not str(record.get("id", "")).isdigit():
                # Of a description that is slightly off.
                continue
            (self.deleted.add if gone else self.deleted.discard)(int(record["id"]))
        self.position, self.shown = batch.position, batch.shown
        self.warnings += batch.warnings

    def newest(self) -> dict[int, dict[str, Any]]:
        """Return the last record of each id that is not deleted."""
        found = {int(record["id"]): record for record in self.records}
        return {number: record for number, record in found.items() if number not in self.deleted}


def source(url: str, described: Mapping[str, Any], pages: int = 400) -> ApiSource:
    """Make the source of a shape."""
    resource = Resource.model_validate({"key": ["id"], **described})
    return ApiSource(api_client(url, now=NOW), resource, unlanded_pages=pages)


def read(reading: ApiSource, came: Came, *, batches: int | None = None) -> Came:
    """Read from where the last reading ended; ``batches``: and stop after so many, as one that is killed."""
    for number, batch in enumerate(reading.read(came.position, None), start=1):
        came.take(batch)
        if number == batches:
            break
    return came


def nothing() -> Came:
    """Return that nothing came so far."""
    return Came([], set())


def read_twice(
    answer: Callable[[Asked], Answer],
    described: Mapping[str, Any],
    given: Callable[[], Iterable[int]],
    between: Callable[[], None] = lambda: None,
) -> tuple[str, str]:
    """Read twice, and return what came of it: ``exact``, ``warned``, ``refused``, or ``LIES``, with the details.

    ``given`` returns the ids of what the server has to give; ``between`` is done between the two readings.
    """
    came, what, said = nothing(), "exact", ""
    with served(answer) as upstream:
        for turn in range(2):
            came.shown = None
            try:
                read(source(upstream.url, described), came)
            except HeadworksError as problem:
                return "refused", f"{type(problem).__name__}: {problem.what}"
            lost = set(given()) - {record["id"] for record in came.records}
            said = f"turn {turn}: {sorted(lost)} lost, shown={came.shown} {came.warnings}"
            if lost and came.shown is not False:
                return "LIES", said
            if lost or came.shown is False:
                what = "warned"
            if turn == 0:
                between()
    return what, said


def held(shape: Shape, api: Things, came: Came) -> None:
    """Check that what came is what the API has."""
    newest = came.newest()
    if not shape.deletes:
        newest = {number: record for number, record in newest.items() if number in api.rows}
    assert sorted(newest) == sorted(api.rows)
    assert {number: int(record["n"]) for number, record in newest.items()} == {
        number: row["n"] for number, row in api.rows.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_shape_is_read_exactly_again_and_after_changes(name: str, tmp_path: Path) -> None:
    shape, api, lake = SHAPES[name], Things(), Lake(LakeSettings(root=str(tmp_path / "lake")))
    with served(api.answer) as upstream:
        reading = source(upstream.url, shape.described)
        landing = Landing(lake, "t.t", "t.t", "run")
        came = nothing()
        for changes in range(3):
            first = land(landing, reading)
            _compare(lake, shape, api, came)
            assert first.shown is not False or shape.unshown, first.warnings
            before = came.records
            again = land(landing, reading)
            _compare(lake, shape, api, came)
            if shape.new:
                assert len(came.records) == len(before), f"again: {again.landed}"
            if changes < 2:
                api.change()
                api.put(5)


def _compare(lake: Lake, shape: Shape, api: Things, came: Came) -> None:
    table = lake.must_open("bronze", "t.t").scan().collect().sort("_sequence", "_row")
    came.records, came.deleted = [], set()
    came.take(Batch(table, {}, read=table.height))
    held(shape, api, came)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 18])
@pytest.mark.parametrize("name", NAMES)
def test_each_shape_is_read_exactly_whatever_its_number_of_records(name: str, count: int) -> None:
    shape, api = SHAPES[name], Things(count)
    with served(api.answer) as upstream:
        reading = source(upstream.url, shape.described)
        came = read(reading, nothing())
        held(shape, api, came)
        assert len(came.records) == count
        for number in range(200, 203):
            api.put(number)
        held(shape, api, read(reading, came))


@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", NAMES)
def test_a_kill_after_any_batch_loses_nothing_and_brings_nothing_twice(name: str) -> None:
    shape = SHAPES[name]
    for batches in range(1, 9):
        for more in (0, 1):
            api = Things()
            with served(api.answer) as upstream:
                reading = source(upstream.url, shape.described, pages=2)
                came = nothing()
                if more:
                    read(reading, came)
                    before = len(came.records)
                    api.change()
                    for number in range(201, 212):
                        api.put(number)
                read(reading, came, batches=batches)
                if shape.new or not (came.position or {})["done"]:
                    came = read(reading, came)
                held(shape, api, came)
                if shape.new or not more:
                    counted = Counter(json.dumps(record, sort_keys=True) for record in came.records)
                    assert max(counted.values()) == 1, counted.most_common(1)
                assert not more or len(came.records) > before


@pytest.mark.parametrize("name", NAMES)
def test_a_kill_before_any_batch_is_committed_loses_nothing_and_brings_nothing_twice(name: str) -> None:
    # The only place to be killed at for what is one page, as a sheet is.
    shape, killed = SHAPES[name], 0
    for batches in range(1, 6):
        for more in (0, 1):
            api, came = Things(), nothing()
            with served(api.answer) as upstream:
                reading = source(upstream.url, shape.described, pages=2)
                if more:
                    read(reading, came)
                    for number in range(201, 212):
                        api.put(number)
                for number, batch in enumerate(reading.read(came.position, None), start=1):
                    if number == batches:
                        # It was read, and nothing of it is kept.
                        killed += 1
                        break
                    came.take(batch)
                if shape.new or not (came.position or {}).get("done"):
                    came = read(reading, came)
                if not more or shape.new:
                    held(shape, api, came)
                    counted = Counter(json.dumps(record, sort_keys=True) for record in came.records)
                    assert max(counted.values()) == 1, counted.most_common(1)
    assert killed


@pytest.mark.parametrize(
    ("name", "right", "turned"),
    [
        ("a flag with the last page", "end_field", "more_field"),
        ("numbers and a flag of more", "more_field", "end_field"),
        ("offsets and a flag", "end_field", "more_field"),
    ],
)
def test_a_flag_that_is_described_the_wrong_way_round_ends_no_scan(
    name: str, right: str, turned: str
) -> None:
    described = {name: value for name, value in SHAPES[name].described.items() if name != "completeness"}
    pagination = dict(described["pagination"])
    pagination[turned] = pagination.pop(right)
    api = Things()
    with served(api.answer) as upstream, pytest.raises(HeadworksError, match="described wrongly"):
        read(source(upstream.url, {**described, "pagination": pagination}), nothing())


@pytest.mark.parametrize("lost", [2, 3, 5])
@pytest.mark.parametrize(
    "name",
    ["one token for all pages", "the next page elsewhere, Elasticsearch"],
    ids=["Intercom", "Elasticsearch"],
)
def test_a_page_that_is_lost_of_a_scan_that_the_api_keeps_begins_the_scan_again(name: str, lost: int) -> None:
    api, shape = Things(), SHAPES[name]
    asked: list[Asked] = []

    def losing(request: Asked) -> Answer:
        answer = api.answer(request)
        asked.append(request)
        return replace(answer, cut=len(asked) == lost)

    with served(losing) as upstream:
        came = read(source(upstream.url, shape.described), nothing())
    held(shape, api, came)
    assert came.shown
    assert len(came.records) == len(api.rows)


def test_a_token_that_the_api_no_longer_knows_has_all_read_again_and_says_what_is_not_known() -> None:
    for name in ("a token that is kept, Google", "an address that is kept, Graph"):
        api, shape = Things(), SHAPES[name]
        with served(api.answer) as upstream:
            reading = source(upstream.url, shape.described)
            came = read(reading, nothing())
            api.change()
            api.forgotten = api.changes
            came = read(reading, came)
            assert came.shown is False
            assert any("no longer knew the token" in warning for warning in came.warnings), came.warnings
            assert set(came.newest()) == {*api.rows, 5}, "what was deleted meanwhile is not known"
            api.put(7)
            came = read(reading, came)
            assert came.shown
            assert came.newest()[7]["n"] == api.rows[7]["n"]


def test_one_child_that_is_not_shown_complete_is_enough() -> None:
    shape, api = SHAPES["children of parents"], Things()

    def failing(asked: Asked) -> Answer:
        if "/things" in asked.path and "g%202" in asked.path and "after" in asked.query:
            return Answer(b"{}", 403)
        return api.answer(asked)

    described = {**shape.described, "empty_statuses": [403]}
    with served(failing) as upstream:
        came = read(source(upstream.url, described), nothing())
    assert came.shown is False
    assert set(came.newest()) < set(api.rows)


@pytest.mark.parametrize(("status", "shown"), [(404, True), (403, False)])
def test_children_that_are_not_to_be_had_are_skipped_and_counted(status: int, shown: bool) -> None:
    shape, api = SHAPES["children of parents"], Things()

    def failing(asked: Asked) -> Answer:
        return Answer(b"{}", status) if "g%202" in asked.path else api.answer(asked)

    with served(failing) as upstream:
        with pytest.raises(HeadworksError):
            read(source(upstream.url, shape.described), nothing())
        each = {**shape.described["each"], "skip_statuses": [403, 404]}
        came = read(source(upstream.url, {**shape.described, "each": each}), nothing())
    assert came.shown is shown
    assert any("1 parents' children were skipped" in warning for warning in came.warnings), came.warnings
    assert set(came.newest()) == {number for number in api.rows if number % 5 != 2}


def wrong(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield descriptions of a shape that are slightly off."""
    right = {"key": ["id"], **json.loads(json.dumps(SHAPES[name].described))}
    pagination = right["pagination"]
    for path, value in _leaves(right):
        if path in {("path",), ("pagination", "kind")}:
            continue
        if path[-1] in ("first", "start") and pagination["kind"] in ("keyset", "cursor"):
            # Another beginning is another question, and the answer to that is whole.
            continue
        if path == ("cap", "most"):
            # A cap that is really smaller than described cuts in silence: nothing that comes shows it.
            continue
        for done, new in _changed(path, value, right):
            if path == ("incremental", "parameter") and "array" in done:
                # The API makes of such a value what it wants: nothing that comes shows it.
                continue
            yield f"{'.'.join(path)} {done}", _with(right, path, new)
    for one, other in (("more_field", "end_field"), ("end_field", "more_field")):
        if one in pagination:
            changed = {name: value for name, value in pagination.items() if name != one}
            yield f"{one} as {other}", {**right, "pagination": {**changed, other: pagination[one]}}
    for added in ("server_side", "same_ends", "alone", "short_page_ends"):
        if not pagination.get(added):
            yield f"{added} added", {**right, "pagination": {**pagination, added: True}}


ALL_WRONG = [(name, done, described) for name in NAMES for done, described in wrong(name)]


def lie(name: str, described: Mapping[str, Any], count: int) -> str:
    """Read by a description, twice, and return in what way it lied; empty where it did not."""
    api = Things(count)
    with served(api.answer) as upstream:
        try:
            reading = source(upstream.url, described)
        except ValidationError:
            return ""
        came = nothing()
        for turn in ("first", "second"):
            came.shown = None
            try:
                read(reading, came)
            except HeadworksError:
                return ""
            ids = (one.get("id", "") for one in came.records if isinstance(one, dict))
            lost = set(api.rows) - {int(one) for one in ids if str(one).isdigit()}
            if lost and came.shown is not False:
                return f"{turn}: {len(lost)} of {len(api.rows)} lost, shown={came.shown}, {came.warnings}"
            for number in (301, 302, 303):
                api.put(number)
    return ""


@pytest.mark.parametrize(
    ("name", "done", "described"),
    [pytest.param(*one, id=f"{one[0]}: {one[1]}") for one in Random(19).sample(ALL_WRONG, 80)],
)
def test_what_is_described_wrongly_is_refused_or_whole_or_not_called_complete(
    name: str, done: str, described: Mapping[str, Any]
) -> None:
    for count in (3, 4, 18):
        assert not lie(name, described, count), done


def main() -> int:
    """Play every description that is slightly off: ``python -m tests.hostile.test_shapes``."""
    lies = 0
    for name, done, described in ALL_WRONG:
        for count in (3, 4, 18):
            said = lie(name, described, count)
            if said:
                lies += 1
                print(f"LIES {name}: {done} ({count}): {said}", flush=True)
    print(f"{len(ALL_WRONG)} descriptions x 3 sizes, {lies} lies", flush=True)
    return 1 if lies else 0


if __name__ == "__main__":
    raise SystemExit(main())
