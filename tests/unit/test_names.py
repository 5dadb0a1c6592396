"""Names: what the grammar lets through is a safe path, and everything else is refused with an example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headworks.errors import NameRefused
from headworks.names import (
    Window,
    check_dataset,
    check_stream,
    generation_stream,
    reading_of,
    table_path,
    window_of,
    window_stream,
)

word = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
datasets = st.lists(word, min_size=1, max_size=4).map(".".join)


@given(datasets)
def test_a_dataset_is_a_path_below_its_layer_and_no_two_share_one(name: str) -> None:
    path = PurePosixPath(table_path("silver", name))
    assert path.parts[0] == "silver"
    assert path.parts[1:] == tuple(name.split("."))
    assert ".." not in path.parts


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "A",
        "a-b",
        "a/b",
        "../a",
        "a b",
        "1a",
        "a.1",
        "a.b\n",
        "é",
        "a.b;drop",
        "_a",
        "a@b",
    ],
)
def test_everything_else_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(NameRefused, match="is not a dataset's name") as caught:
        check_dataset(name)
    assert "shop.orders" in caught.value.do


@given(datasets, st.integers(1, 10**6))
def test_the_stream_of_a_generation_is_a_streams_name(name: str, number: int) -> None:
    assert check_stream(generation_stream(name, number)) == f"{name}@g{number}"


@pytest.mark.parametrize("name", ["", "@g1", "a@", "a@b/c", "a@../b", "a@b@c", "a b", "a@é"])
def test_a_stream_with_a_path_in_it_is_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="stream"):
        check_stream(name)


moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(st.lists(moments, min_size=4, max_size=4, unique=True))
def test_windows_that_differ_have_streams_that_differ(found: list[datetime]) -> None:
    a, b, c, d = sorted(found)
    windows = [Window(start=a, end=b), Window(start=a, end=c), Window(start=b, end=d), Window(start=c, end=d)]
    names = [window_stream("t.x", window, attempt) for window in windows for attempt in (1, 2)]
    assert len(set(names)) == len(names)
    assert [check_stream(name) for name in names] == names


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=2, max_size=2, unique=True).map(sorted))
def test_a_windows_stream_says_from_when_until_when_it_reaches(found: list[datetime]) -> None:
    window = Window(start=found[0], end=found[1])
    once = window.model_copy(update={"once": "history-of.2025"})
    for stream in (window_stream("t.x", window, 3), window_stream("t.x", once, 1)):
        assert window_of(stream) == (window.start, window.end)


def test_other_streams_are_no_windows() -> None:
    assert window_of("t.x") is None
    assert window_of(generation_stream("t.x", 3)) is None


def test_a_window_is_in_utc_whatever_zone_it_was_given_in() -> None:
    east = timezone(timedelta(hours=2))
    window = Window(start=datetime(2026, 1, 5, 2, tzinfo=east), end=datetime(2026, 1, 5, 1))
    assert (window.start, window.end) == (
        datetime(2026, 1, 5, tzinfo=UTC),
        datetime(2026, 1, 5, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("end", [datetime(2026, 1, 5), datetime(2026, 1, 4)])
def test_a_window_without_time_in_it_is_refused(end: datetime) -> None:
    with pytest.raises(ValidationError, match="must lie before its end"):
        Window(start=datetime(2026, 1, 5), end=end)


def test_a_window_survives_json_and_takes_no_other_field() -> None:
    window = Window(start=datetime(2026, 1, 5), end=datetime(2026, 1, 6))
    assert Window.model_validate_json(window.model_dump_json()) == window
    with pytest.raises(ValidationError):
        Window.model_validate({"start": "2026-01-05", "end": "2026-01-06", "until": "x"})


@given(datasets)
def test_a_stream_says_what_it_reads(name: str) -> None:
    window = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    once = window.model_copy(update={"once": "a.year_of_it"})
    streams = (
        name,
        generation_stream(name, 3),
        window_stream(name, window, 1),
        window_stream(name, once, 1),
    )
    assert [reading_of(stream) for stream in streams] == ["live", "full", "window", "backfill"]
