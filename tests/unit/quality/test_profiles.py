"""Profiles: what a frame looks like in numbers, and nothing in them that is nobody's business."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from headworks.quality import profiles
from headworks.quality.profiles import ColumnProfile, Profile, profile_columns

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def columns(frame: pl.DataFrame, *identifiers: str, cursor: str | None = None) -> dict[str, ColumnProfile]:
    return {one.name: one for one in profile_columns(frame, identifiers, NOW, timedelta(days=1), cursor)}


def test_each_kind_of_column_is_counted_in_its_way() -> None:
    frame = pl.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "price": [1.0, 100.0, None, -5.0],
            "city": ["Köln", "KÃ¶ln", " Delft", "n/a"],
            "at": [NOW, NOW - timedelta(hours=3), NOW + timedelta(days=9), None],
            "paid": [True, True, False, None],
            "_stream": ["s"] * 4,
        }
    )
    found = columns(frame, "id")
    assert set(found) == {"id", "price", "city", "at", "paid"}
    price, city, at = found["price"], found["city"], found["at"]
    assert (price.kind, price.nulls, price.low, price.high, sum(price.bins.values())) == (
        "number",
        1,
        -5,
        100,
        3,
    )
    assert city.damage == {
        "blank": 0, "padded": 1, "mojibake": 1, "replaced": 0, "numeric": 0, "placeholder": 1,
    }  # fmt: skip
    assert (at.damage, at.hours[0], at.hours[21]) == ({"future": 1}, 2, 1)
    assert found["paid"].categories == {"true": 2, "false": 1}
    assert found["id"].identifier


def test_values_are_kept_only_where_there_are_few_of_them() -> None:
    """Names and addresses are many, and are not kept."""
    many = pl.DataFrame(
        {"name": [f"person {number}" for number in range(100)], "city": ["Köln", "Delft"] * 50}
    )
    found = columns(many)
    assert (found["name"].categories, found["name"].distinct) == (None, 100)
    assert found["city"].categories == {"Köln": 50, "Delft": 50}
    assert "person" not in found["name"].model_dump_json()


def test_moments_are_measured_from_the_cursor() -> None:
    frame = pl.DataFrame(
        {"at": [NOW] * 3, "ordered_at": [NOW - timedelta(hours=hours) for hours in (1, 1, 50)]}
    )
    found = columns(frame, cursor="at")
    assert sorted(found["ordered_at"].bins.values()) == [1, 2]
    assert found["at"].bins == {}


def test_of_very_many_rows_a_sample_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"v": list(range(1, 1001)), "city": ["Köln", "Delft", "Leeds", None] * 250})
    monkeypatch.setattr(profiles, "SAMPLE", 200)
    found = columns(frame)
    assert found == columns(frame), "the same rows give the same sample"
    assert abs(found["city"].nulls - 250) < 100
    assert sum((found["city"].categories or {}).values()) + found["city"].nulls == 1000
    assert sum(found["v"].bins.values()) == 1000


def test_empty_and_all_null_frames_have_profiles_too() -> None:
    frame = pl.DataFrame({"v": [None, None], "s": [None, None]}, schema={"v": pl.Float64(), "s": pl.String()})
    assert [one.nulls for one in columns(frame).values()] == [2, 2]
    assert [one.nulls for one in columns(frame.clear()).values()] == [0, 0]


def test_a_profile_is_read_back_as_it_was_kept() -> None:
    frame = pl.DataFrame({"v": [1.5, 2.5], "s": ["a", "b"]})
    kept = Profile(
        scope="silver.t", kind="live", run_id="1", moment=NOW, rows=2, columns=tuple(columns(frame).values())
    )
    assert Profile.model_validate_json(kept.model_dump_json(exclude_defaults=True)) == kept
