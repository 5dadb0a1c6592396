"""The files of bronze: what the log says of them is true of every value, and tables that ask for more are respected."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headworks.bronze.landing import Landing, land
from headworks.errors import CommitUnclear, ConcurrentRun
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.items import NAME, bronze, land_items
from tests.support.sources import Frames, Numbered, ids, items

ROWS = "t.rows"
TYPED = pl.Schema(
    {
        "number": pl.Int64(),
        "small": pl.Int16(),
        "text": pl.String(),
        "day": pl.Date(),
        "at": pl.Datetime("us", "UTC"),
        "local": pl.Datetime("us"),
        "share": pl.Float64(),
        "price": pl.Decimal(15, 2),
        "yes": pl.Boolean(),
        "raw": pl.Binary(),
    }
)
BOUNDED = ("at",)
"""Columns of which the log may keep bounds."""

_TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.integers(-(2**63), 2**63 - 1),
    "small": st.integers(-(2**15), 2**15 - 1),
    "text": st.text(max_size=6) | st.text("aé漢\U0001f30a", min_size=60, max_size=70),
    "day": st.dates(date(1, 1, 1)),
    "at": _TIMES.map(lambda time: time.replace(tzinfo=UTC)),
    "local": _TIMES,
    "share": st.floats(),
    "price": st.decimals("-9999999999999.99", "9999999999999.99", places=2).map(Decimal),
    "yes": st.booleans(),
    "raw": st.binary(max_size=5),
}


def landed(lake: Lake, *frames: pl.DataFrame) -> pl.DataFrame:
    """Land frames, a batch each, and return bronze's rows."""
    land(Landing(lake, ROWS, ROWS, "run"), Frames(list(frames)))
    return lake.must_open("bronze", ROWS).scan().sort("_sequence", "_row").collect()


def entries(lake: Lake, dataset: str = ROWS) -> pl.DataFrame:
    """Return what the table's log says of its files."""
    found = DeltaTable(f"{lake.settings.root}/bronze/{dataset.replace('.', '/')}").get_add_actions(
        flatten=True
    )
    return pl.DataFrame(found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}),
        min_size=1,
        max_size=8,
    )
)
def test_what_the_log_says_of_a_file_is_true_of_all_its_values(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path_factory.mktemp("lake"))))
    frame = pl.DataFrame(rows, schema=TYPED)
    assert landed(lake, frame).select(TYPED.names()).equals(frame)
    (entry,) = entries(lake).rows(named=True)
    assert entry["num_records"] == len(rows)
    for name in TYPED.names():
        assert entry.get(f"null_count.{name}") in {None, frame.get_column(name).null_count()}
        least, most = entry.get(f"min.{name}"), entry.get(f"max.{name}")
        assert name in BOUNDED or (least is None and most is None)
        for value in frame.get_column(name).drop_nulls() if least is not None else ():
            assert least <= value <= most, name


@pytest.mark.parametrize("name", TYPED.names())
def test_bounds_are_kept_of_own_numbers_and_moments_and_of_no_column_of_a_source(
    lake: Lake, name: str
) -> None:
    """By those of headworks' own files are left out; those of a source's would show in the clear what is in them."""
    values = {
        "number": [-5, 3],
        "small": [1, 2],
        "text": ["Ada", "Zoe"],
        "day": [date(1999, 1, 2), date(2024, 2, 29)],
        "at": [datetime(1999, 1, 2, 3, 4, 5, 678_901, UTC), datetime(2024, 2, 29, tzinfo=UTC)],
        "local": [datetime(1999, 1, 2, 3, 4, 5, 678_901), datetime(2024, 2, 29)],
        "share": [0.25, 0.5],
        "price": [Decimal("1.50"), Decimal("2.50")],
        "yes": [False, True],
        "raw": [b"Ada", b"Zoe"],
    }
    source = f"of_{name}"
    landed(lake, pl.DataFrame({source: values[name]}, schema={source: TYPED[name]}))
    (entry,) = entries(lake).rows(named=True)
    assert entry.get(f"min.{source}") is None
    assert entry.get(f"max.{source}") is None
    assert (entry["min._sequence"], entry["max._row"]) == (1, 1)


def test_a_file_lies_where_delta_rs_lays_those_of_its_stream(lake: Lake) -> None:
    """One stream, one folder: compaction and rewriting write there too."""
    stream = f"{ROWS}@w20260101T000000-20260102T000000-1"
    land(Landing(lake, ROWS, stream, "run"), Frames([pl.DataFrame({"number": [1]})]))
    table = lake.must_open("bronze", ROWS)
    write_deltalake(f"{lake.settings.root}/bronze/t/rows", table.scan().collect(), mode="append")
    folders = {Path(uri).parent.name for uri in lake.must_open("bronze", ROWS).files()}
    assert len(folders) == 1
    assert lake.must_open("bronze", ROWS).scan().collect().get_column("_stream").to_list() == [stream] * 2


def test_a_table_with_a_constraint_is_written_by_its_rules(lake: Lake) -> None:
    """Somebody's own constraint holds for what is landed, too."""
    landed(lake, pl.DataFrame({"number": [1]}))
    DeltaTable(f"{lake.settings.root}/bronze/t/rows").alter.add_constraint({"few": "number < 10"})
    with pytest.raises(CommitUnclear, match="1 rows failed validation"):
        land(Landing(lake, ROWS, f"{ROWS}@other", "run"), Frames([pl.DataFrame({"number": [11]})]))
    land(Landing(lake, ROWS, f"{ROWS}@other", "run"), Frames([pl.DataFrame({"number": [2]})]))
    rows = lake.must_open("bronze", ROWS).scan().select("number").collect()
    assert sorted(rows.to_series()) == [1, 2]


def test_a_stream_that_moved_just_after_a_commit_is_not_written_on(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run commits between this one's commit and its look at the table: the next batch is refused."""
    six, looks = items(1, 6), [0]
    look = DeltaTable.update_incremental

    def late(table: DeltaTable) -> None:
        looks[0] += 1
        if looks[0] == 1:
            land_items(lake, six)
        look(table)

    monkeypatch.setattr(DeltaTable, "update_incremental", late)
    with pytest.raises(ConcurrentRun):
        land(Landing(lake, NAME, NAME, "slow"), Numbered(six))
    assert ids(bronze(lake)) == ["1", "2", "3", "4", "5", "6"]
