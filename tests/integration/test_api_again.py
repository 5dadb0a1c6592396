"""What an API gives again with a later run lands once, up to the documented numbers; what was gone or changed lands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headworks.sources.api import memory
from tests.hostile.shapes import Things
from tests.hostile.test_shapes import Came, nothing, read, source
from tests.support.served import Answer, Asked, served

KEYED = {"path": "/all", "records": "rows", "pagination": {"kind": "single", "whole": True}}
SINCE = {"parameter": "since", "field": "at", "start": "2026-01-01T00:00:00Z"}


def _all(rows: list[dict[str, Any]]) -> Any:
    def answer(asked: Asked) -> Answer:
        since = asked.query.get("since", "")
        found = [row for row in rows if row.get("at", "9") >= since[: len(row.get("at", "9"))]]
        return Answer(json.dumps({"rows": found}).encode(), headers={"Content-Type": "application/json"})

    return answer


def _landed(came: Came, url: str, described: dict[str, Any]) -> int:
    before = len(came.records)
    read(source(url, described), came)
    return len(came.records) - before


def test_without_marks_only_what_is_new_or_changed_or_back_lands() -> None:
    rows = [{"id": number, "n": 1} for number in range(50)]
    with served(_all(rows)) as api:
        came = nothing()
        assert [_landed(came, api.url, KEYED) for _ in range(3)] == [50, 0, 0]
        rows[7]["n"] = 2
        assert [_landed(came, api.url, KEYED) for _ in range(2)] == [1, 0]
        rows[7]["n"] = 1
        assert [_landed(came, api.url, KEYED) for _ in range(2)] == [1, 0], (
            "the same bytes as two runs before"
        )
        gone = rows.pop(9)
        assert _landed(came, api.url, KEYED) == 0
        rows.append(gone)
        assert [_landed(came, api.url, KEYED) for _ in range(2)] == [1, 0], "it was gone meanwhile"


@pytest.mark.parametrize("odd", [{"id": None, "v": 1}, {"v": 1}], ids=["null", "none"])
def test_records_without_a_key_land_once_as_often_as_they_are_there(odd: dict[str, Any]) -> None:
    rows = [{"id": 1}, odd, {"id": 2}, odd]
    with served(_all(rows)) as api:
        came = nothing()
        assert [_landed(came, api.url, KEYED) for _ in range(3)] == [4, 0, 0]
        rows.append({**odd, "v": 2})
        rows.insert(0, odd)
        assert [_landed(came, api.url, KEYED) for _ in range(3)] == [2, 0, 0], "one more, and another one"
        del rows[:2]
        assert [_landed(came, api.url, KEYED) for _ in range(2)] == [0, 0]
        rows.append(odd)
        assert [_landed(came, api.url, KEYED) for _ in range(2)] == [1, 0], "it was gone meanwhile"


def test_beyond_the_number_that_is_kept_everything_lands_again_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MOST_HELD", 20)
    rows = [{"id": number} for number in range(50)]
    with served(_all(rows)) as api:
        came = nothing()
        assert [_landed(came, api.url, KEYED) for _ in range(2)] == [50, 50 - 0]
        del rows[15:]
        assert [_landed(came, api.url, KEYED) for _ in range(3)] == [15, 0, 0]


@pytest.mark.parametrize("form", ["iso", "date"], ids=["ties", "a coarser parameter"])
def test_many_records_of_one_mark_land_once(form: str) -> None:
    count = 5_000
    rows = [
        {"id": number, "at": f"2026-02-01T00:00:{number % 60 if form == 'date' else 0:02}Z"}
        for number in range(count)
    ]
    described = {**KEYED, "incremental": {**SINCE, "parameter_format": form}}
    with served(_all(rows)) as api:
        came = nothing()
        assert [_landed(came, api.url, described) for _ in range(3)] == [count, 0, 0]
        rows.append({"id": count, "at": "2026-02-01T00:00:59Z"})
        assert [_landed(came, api.url, described) for _ in range(2)] == [1, 0]


def test_a_full_read_lands_everything_whatever_the_live_stream_holds() -> None:
    api_rows = [{"id": number} for number in range(5)]
    with served(_all(api_rows)) as api:
        came = nothing()
        assert _landed(came, api.url, KEYED) == 5
        assert _landed(nothing(), api.url, KEYED) == 5, "its stream is a new one"


def test_children_are_read_again_of_parents_that_are_as_they_were() -> None:
    from tests.hostile.shapes import SHAPES

    shape, api = SHAPES["children of parents"], Things()
    with served(api.answer) as upstream:
        came = read(source(upstream.url, shape.described), nothing())
        api.put(3, again=True)
        read(source(upstream.url, shape.described), came)
    assert came.newest()[3]["again"]
