"""JSON records by line and in arrays: every record is its exact bytes, however the text is cut into blocks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.sources.files.array import JsonArray
from headworks.sources.files.ndjson import Ndjson
from tests.unit.sources.files.reading import Result, cut, read

OBJECTS = st.lists(
    st.dictionaries(
        st.text(max_size=4),
        st.none() | st.integers() | st.text(max_size=6) | st.lists(st.integers(), max_size=2),
        max_size=3,
    ),
    max_size=8,
)
PLACES = st.lists(st.integers(0, 10_000), max_size=4)


def records(result: Result) -> list[object]:
    return [row["record"] for row in result.rows if row["_refused"] is None]


@given(OBJECTS, PLACES, st.sampled_from(["", "\n"]))
@settings(max_examples=80, deadline=None)
def test_lines_come_back_as_they_were(objects: list[dict[str, Any]], places: list[int], end: str) -> None:
    lines = [json.dumps(each, ensure_ascii=False).encode() for each in objects]
    result = read(Ndjson(), cut(b"\n".join(lines) + end.encode(), places))
    assert records(result) == lines
    assert [row["_line"] for row in result.rows] == list(range(1, len(lines) + 1))


@given(OBJECTS, PLACES, st.sampled_from([None, 2]))
@settings(max_examples=80, deadline=None)
def test_elements_come_back_as_they_were(
    objects: list[dict[str, Any]], places: list[int], indent: int | None
) -> None:
    text = json.dumps(objects, ensure_ascii=False, indent=indent).encode()
    result = read(JsonArray(), cut(text, places))
    assert [json.loads(str(record, "utf-8")) for record in records(result)] == objects  # type: ignore[call-overload]
    assert all(record in text for record in records(result))  # type: ignore[operator]
    assert result.refused == 0


@given(OBJECTS, st.integers(0, 10_000), PLACES)
@settings(max_examples=80, deadline=None)
def test_an_array_that_is_cut_short_gives_its_whole_elements_and_one_refusal(
    objects: list[dict[str, Any]], at: int, places: list[int]
) -> None:
    text = json.dumps(objects).encode()
    short = text[: 1 + at % max(len(text) - 1, 1)]
    result = read(JsonArray(), cut(short, places))
    whole = [json.loads(str(record, "utf-8")) for record in records(result)]  # type: ignore[call-overload]
    assert whole == objects[: len(whole)]
    assert [reason for _, reason, _ in result.refusals()] == ([] if short == text else ["array|broken"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": 1', "line|json"),
        (b'{"a": 1} {"b": 2}', "line|json"),
        (b"[1]", "line|json"),
        (b"null", "line|json"),
        (b'{"a": NaN}', "line|json"),
        (b'{"a": "\xff"}', "line|encoding"),
    ],
)
def test_a_line_that_is_no_object_is_refused_with_its_bytes(line: bytes, reason: str) -> None:
    result = read(Ndjson(), [b'{"a": 0}\n\n' + line + b'\n{"a": 2}'])
    assert result.refusals() == [(3, reason, line)]
    assert records(result) == [b'{"a": 0}', b'{"a": 2}']


def test_objects_one_after_another_are_read_like_an_array() -> None:
    result = read(JsonArray(), [b'\xef\xbb\xbf {"a": 1}\n{"a": 2}'])
    assert records(result) == [b'{"a": 1}', b'{"a": 2}']


def test_what_comes_after_the_arrays_end_is_refused() -> None:
    result = read(JsonArray(), [b'[{"a": 1}] [{"a": 2}]'])
    assert records(result) == [b'{"a": 1}']
    assert result.refusals() == [(2, "array|broken", b'[{"a": 2}]')]
