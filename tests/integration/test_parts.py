"""A range that is taken in parts comes to exactly what it comes to at once, and is committed as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.parts import can_be_taken_in_parts
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.silver.table import pending, split
from headworks.storage.store import Lake
from tests.support.items import BEGINNING, ITEM, NAME, Ticking, land_items, refine_items, silver
from tests.support.sampled import examples
from tests.support.sources import ITEMS, Numbered, Record, items

CONTRACT = """
dataset: lake/silver/t_items
columns:
- name: id
  checks:
  - missing:
  - duplicate:
checks:
- row_count:
    threshold:
      must_be_greater_than: 0
"""


def refined(lake: Lake, rows: int, dataset: Any = ITEM, *, dry_run: bool = False) -> RefineOutcome:
    work = Refinement(lake, "run", clock=lambda: BEGINNING, token=lambda: 7, part_rows=rows)
    return refine(work, dataset, dry_run=dry_run)


def kept(lake: Lake) -> tuple[list[Any], list[Any]]:
    """Return silver with all its metadata, and the rejected rows that count."""
    table = lake.must_open("silver", NAME)
    rejects = rejected_rows(lake, NAME, table)
    assert rejects is not None
    output = rejects.select("_stream", "_sequence", "_row", "key", "reasons", "record")
    return table.scan().sort("id").collect().rows(), output.sort(
        "_stream", "_sequence", "_row"
    ).collect().rows()


RECORD = st.tuples(
    st.sampled_from(["1", "2", "3", "4", "5", "x"]),
    st.sampled_from(["10", "11", "-1", "y"]),
    st.integers(1, 3),
)
STREAMS = st.dictionaries(
    st.sampled_from([NAME, f"{NAME}@a", f"{NAME}@b"]), st.lists(RECORD, max_size=9), min_size=1
)


def landed(lake: Lake, streams: dict[str, list[Record]], clock: Ticking) -> None:
    for stream, records in streams.items():
        land(Landing(lake, NAME, stream, "run", clock=clock), Numbered(records))


@settings(max_examples=examples(30), deadline=None)
@given(
    first=STREAMS,
    second=STREAMS,
    whole=st.none() | st.lists(RECORD, max_size=6),
    rows=st.integers(1, 6),
    keeps=st.sampled_from(["newest", "first"]),
)
def test_parts_come_to_what_the_range_comes_to_at_once(
    first: dict[str, list[Record]],
    second: dict[str, list[Record]],
    whole: list[Record] | None,
    rows: int,
    keeps: Any,
) -> None:
    """Rows in any number of streams, twice, with old versions, rejects, and a full read that deletes."""
    found = []
    dataset = replace(ITEM, keeps=keeps)
    for part_rows in (1_000, rows):
        with TemporaryDirectory() as folder:
            lake, clock = Lake(LakeSettings(root=str(Path(folder) / "lake"))), Ticking()
            landed(lake, first, clock)
            reports = [] if not any(first.values()) else [refined(lake, part_rows, dataset).report]
            landed(lake, {f"{stream}2": records for stream, records in second.items()}, clock)
            if whole is not None:
                landing = Landing(lake, NAME, NAME, "run", clock=clock)
                generation = begin_generation(landing, ITEMS)
                land(replace(landing, stream=generation.stream), Numbered(whole))
                complete_generation(landing, generation)
            outcome = refined(lake, part_rows, dataset)
            reports = [one.model_copy(update={"table": None}) for one in (*reports, outcome.report)]
            found.append((reports, kept(lake) if outcome.report.committed else None))
    assert found[0] == found[1]


def test_a_range_in_parts_is_one_commit_of_silver_and_one_of_quarantine(lake: Lake) -> None:
    land_items(lake, [*items(1, 20), ("21", "-1", 1)])
    outcome = refined(lake, 4)
    assert (outcome.report.inserted, outcome.report.rejected, outcome.report.committed) == (20, 1, True)
    assert [lake.must_open(layer, NAME).version for layer in ("silver", "quarantine")] == [1, 1]
    assert refine_items(lake).landed == 0


def test_one_bad_part_keeps_all_of_them_out(lake: Lake) -> None:
    """The gate looks at the whole range: the first parts are good, and are not committed."""
    strict = replace(ITEM, limits=RejectLimits(share=0.2, from_rows=1))
    land_items(lake, [*items(1, 12), *[(str(n), "-1", 1) for n in range(13, 21)]])
    outcome = refined(lake, 4, strict)
    assert outcome.gate is not None
    assert (outcome.gate.open, outcome.report.rejected) == (False, 8)
    assert silver(lake) == {}
    assert refined(lake, 4).report.inserted == 12


@pytest.mark.parametrize("rows", [4, 1_000])
def test_a_contract_sees_each_key_once_however_many_parts_it_came_in(
    lake: Lake, tmp_path: Path, rows: int
) -> None:
    contract = tmp_path / "contract.yml"
    contract.write_text(CONTRACT)
    land_items(lake, [*items(1, 6), *items(1, 6, cursor=2)])
    outcome = refined(lake, rows, replace(ITEM, contract=contract))
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate.reasons
    assert (outcome.report.inserted, outcome.report.superseded) == (6, 6)


def test_a_dry_run_in_parts_writes_nothing(lake: Lake) -> None:
    land_items(lake, items(1, 20))
    outcome = refined(lake, 4, dry_run=True)
    assert (outcome.report.inserted, outcome.report.committed) == (20, False)
    assert lake.open("silver", NAME) is None


def test_parts_go_along_the_sequences_and_cover_all_that_is_pending(lake: Lake) -> None:
    land_items(lake, items(1, 7))
    land_items(lake, items(1, 5), f"{NAME}@other")
    bronze, table = lake.must_open("bronze", NAME), lake.ensure("silver", NAME, ITEM.silver_schema())
    todo = pending(NAME, bronze, table)
    parts = split(bronze, todo, 4)
    ranges = [[(one.stream, one.after, one.upto) for one in part.ranges] for part in parts]
    other = f"{NAME}@other"
    assert ranges == [[(NAME, 0, 2)], [(NAME, 2, 4)], [(other, 0, 2)], [(other, 2, 3)]]
    assert split(bronze, todo, 100) == (todo,)


def test_what_needs_all_rows_is_not_taken_in_parts(tmp_path: Path) -> None:
    contract = tmp_path / "table.yml"
    contract.touch()
    assert can_be_taken_in_parts(ITEM)
    assert not can_be_taken_in_parts(replace(ITEM, keeps="history"))
    assert not can_be_taken_in_parts(replace(ITEM, table_contract=contract))


def test_the_profile_of_parts_counts_all_rows(lake: Lake) -> None:
    land_items(lake, items(1, 40))
    refined(lake, 10)
    profile = lake.must_open("ops", "profiles").scan().select("rows").collect()
    assert profile.to_series().to_list() == [40]
    assert isinstance(profile, pl.DataFrame)
