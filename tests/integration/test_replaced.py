"""A rejected version that a newer accepted one of its key replaces is superseded: it counts nowhere.

The oracle is plain Python over the versions in the order in which they arrived.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.resolutions import resolutions
from headworks.quality.limits import AnomalyLimits
from headworks.reports import RefineReport
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset, Keeping, Reference
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.silver.rejects import open_rejects
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_after, writes
from tests.support.items import ITEM, NAME, land_items, refine_items, silver
from tests.support.sources import Numbered, Record, bad_items, items

STRICT = replace(ITEM, limits=RejectLimits(share=0.1, from_rows=1), anomalies=AnomalyLimits(enabled=False))


def refined(lake: Lake, dataset: Dataset = STRICT, part_rows: int = 250_000) -> RefineOutcome:
    return refine(Refinement(lake, "run", part_rows=part_rows), dataset)


def open_keys(lake: Lake, name: str = NAME) -> list[str]:
    rows = open_rejects(lake, name, lake.open("silver", name)).select("key").collect()
    return sorted(str(key) for key in rows.to_series())


@pytest.mark.sampled(3)
@pytest.mark.parametrize("part_rows", [250_000, 7], ids=["at once", "in parts"])
@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
def test_what_the_source_corrects_before_it_is_judged_is_no_reason_to_stop(
    lake: Lake, keeps: Keeping, part_rows: int
) -> None:
    """Forty of a hundred are wrong, and come again right and newer: the gate is open without anybody's word."""
    dataset = replace(STRICT, keeps=keeps)
    land_items(lake, [*items(1, 60), *bad_items(61, 100), *items(1, 100, cursor=2)])
    outcome = refined(lake, dataset, part_rows)
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate
    report = outcome.report
    followed = 40 if keeps == "history" else 0
    assert (report.landed, report.rejected, report.followed) == (200, followed, followed)
    assert report.landed == report.accepted + report.rejected + report.superseded + report.unchanged
    assert len(open_keys(lake)) == followed, "a version of a history may still be wanted"
    _corrected(lake)


@pytest.mark.parametrize("part_rows", [250_000, 7], ids=["at once", "in parts"])
def test_a_closed_gate_opens_where_the_source_gives_all_rows_again_right_and_newer(
    lake: Lake, part_rows: int
) -> None:
    """The delivery that closed it is superseded once each of its keys has a newer accepted version."""
    came = [*items(1, 60), *bad_items(61, 100)]
    land_items(lake, came)
    closed = refined(lake, STRICT, part_rows)
    assert closed.gate is not None
    assert not closed.gate.open
    assert "40 of 100" in " ".join(closed.gate.reasons)
    land_items(lake, [*came, *items(1, 100, cursor=2)])
    outcome = refined(lake, STRICT, part_rows)
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate
    assert open_keys(lake) == []
    _corrected(lake)
    for _ in range(3):
        assert refined(lake, STRICT, part_rows).report.landed == 0


def _corrected(lake: Lake) -> None:
    rows = lake.must_open("silver", NAME).scan().filter((pl.col("id") > 60) & (pl.col("at") == 2)).collect()
    assert rows.select("id", "v").sort("id").rows() == [(n, 10 * n) for n in range(61, 101)]


def test_the_gate_stays_closed_where_the_correction_is_not_newer(lake: Lake) -> None:
    """Rows of lower cursors do not replace what is wrong: they are the versions before it."""
    came = [*items(1, 60, cursor=5), *[(key, value, 5) for key, value, _ in bad_items(61, 100)]]
    land_items(lake, came)
    refined(lake)
    land_items(lake, [*came, *items(61, 100, cursor=4)])
    gate = refined(lake).gate
    assert gate is not None
    assert not gate.open
    assert "40 of 100" in " ".join(gate.reasons)


def test_what_waits_for_a_decision_leaves_the_list_when_a_newer_version_is_accepted(lake: Lake) -> None:
    came: list[Record] = [*items(1, 9), *bad_items(10, 12)]
    land_items(lake, came)
    refine_items(lake)
    assert open_keys(lake) == ["10", "11", "12"]
    came += items(10, 11, cursor=2)
    land_items(lake, came)
    refine_items(lake)
    assert open_keys(lake) == ["12"]
    noted = resolutions(lake, NAME).select("key", "resolution", "note").sort("key").collect().rows()
    assert noted == [
        ("10", "superseded", "a newer version of the key was accepted"),
        ("11", "superseded", "a newer version of the key was accepted"),
    ]


def test_what_a_killed_run_did_not_note_is_noted_by_the_next_one_though_nothing_is_new(lake: Lake) -> None:
    came: list[Record] = [*items(1, 9), *bad_items(10, 12)]
    land_items(lake, came)
    refine_items(lake)
    land_items(lake, [*came, *items(10, 12, cursor=2)])
    # The first commit is the quarantine's, the second silver's, the third would note what became of the rows.
    with writes(crash_after(2)), pytest.raises(Crash):
        refine_items(lake)
    assert refine_items(lake).landed == 0
    assert open_keys(lake) == []
    assert silver(lake)[12] == (120, 2)


class _Dated(dy.Schema):
    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=False, min=0)
    at = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")


DATED = Dataset(
    name="t.dated",
    key=("id",),
    schema=_Dated,
    columns={
        "id": pl.col("id").cast(pl.Int64, strict=False),
        "v": pl.col("v").cast(pl.Int64, strict=False),
        "at": pl.col("at").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC", strict=False),
    },
    cursor="at",
    limits=RejectLimits(share=0.1, from_rows=1),
    anomalies=AnomalyLimits(enabled=False),
)
TEXTS = pl.Schema({"id": pl.String(), "v": pl.String(), "at": pl.String()})


@pytest.mark.parametrize("wrong", ["2999-01-01", "soon"], ids=["in the future", "unreadable"])
@pytest.mark.parametrize("keeps", ["newest", "first"])
def test_a_wrong_cursor_does_not_make_a_version_the_newest(lake: Lake, keeps: Keeping, wrong: str) -> None:
    """What is wrong is the cursor itself: then the later arrival is the newer version."""
    dataset = replace(DATED, keeps=keeps)

    wrong_ones = [(str(n), "1", wrong if n > 20 else "2026-01-05") for n in range(40)]
    right_ones = [(str(n), "1", "2026-01-06") for n in range(40)]
    came: list[Any] = [*wrong_ones, *right_ones]
    land(Landing(lake, "t.dated", "t.dated", "run"), Numbered(came, 50, schema=TEXTS))
    outcome = refined(lake, dataset)
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate
    assert (outcome.report.rejected, open_keys(lake, "t.dated")) == (0, [])


@dataclass(frozen=True)
class _Version:
    key: int
    value: int
    cursor: int | None
    arrival: int


def _replaces(new: _Version, old: _Version, keeps: Keeping, *, ordered: bool) -> bool:
    """Whether an accepted version replaces a rejected one, said once more and in other words."""
    if new.key != old.key:
        return False
    if keeps == "history":
        return old.cursor is not None and new.cursor == old.cursor and new.arrival > old.arrival
    if keeps == "first" or not ordered or old.cursor is None:
        return new.arrival > old.arrival
    return new.cursor is not None and (new.cursor, new.arrival) > (old.cursor, old.arrival)


WAYS = [
    *product(["newest", "first"], [True, False], [250_000, 5], range(2)),
    *product(["history"], [True], [250_000], range(3)),
]


@pytest.mark.sampled(5)
@pytest.mark.parametrize(("keeps", "ordered", "part_rows", "seed"), WAYS)
def test_over_many_days_open_are_the_rejected_versions_that_no_accepted_one_replaces(
    tmp_path: Any, keeps: Keeping, ordered: bool, part_rows: int, seed: int
) -> None:
    """Six days of random versions, good and bad, late and early; each day's account and the list equal the oracle's."""
    rng = random.Random(f"{keeps} {ordered} {seed}")
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    dataset = replace(ITEM, keeps=keeps, cursor="at" if ordered else None)
    came: list[Record] = []
    seen: list[_Version] = []
    open_ones: list[_Version] = []
    for _ in range(6):
        today: list[_Version] = []
        for _ in range(rng.randrange(1, 9)):
            cursor = None if rng.random() < 0.1 and keeps != "history" else rng.randrange(6)
            bad = rng.random() < 0.4
            value = -rng.randrange(1, 50) if bad else rng.randrange(50)
            today.append(_Version(rng.randrange(4), value, cursor, len(came)))
            came.append((str(today[-1].key), str(value), cursor))
        land_items(lake, came, size=3)
        report = _account(lake, dataset, part_rows)
        good = [one for one in today if one.value >= 0]
        known = _in_silver(keeps, seen, ordered=ordered)
        bad_ones = [
            one
            for one in today
            if one.value < 0
            and not any(_replaces(new, one, keeps, ordered=ordered) for new in [*known, *good])
        ]
        assert report.rejected == len(bad_ones)
        seen += good
        now = _in_silver(keeps, seen, ordered=ordered)
        open_ones = [
            one
            for one in [*open_ones, *bad_ones]
            if not any(_replaces(new, one, keeps, ordered=ordered) for new in now)
        ]
        assert open_keys(lake) == sorted(str(one.key) for one in open_ones)


def _account(lake: Lake, dataset: Dataset, part_rows: int) -> RefineReport:
    outcome = refined(lake, dataset, part_rows)
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate
    return outcome.report


def _in_silver(keeps: Keeping, seen: list[_Version], *, ordered: bool) -> list[_Version]:
    """Return the accepted versions that silver has: one a key, or one a key and moment."""
    found: dict[Any, _Version] = {}
    for one in seen:
        name = (one.key, one.cursor) if keeps == "history" else one.key
        before = found.get(name)
        if before is None or (keeps != "first" and _order(one, ordered) > _order(before, ordered)):
            found[name] = one
    return list(found.values())


def _order(one: _Version, ordered: bool) -> tuple[bool, int, int]:
    cursor = one.cursor if ordered else None
    return (cursor is not None, cursor or 0, one.arrival)


class _Child(dy.Schema):
    id = dy.Int64(nullable=False)
    parent = dy.Int64(nullable=False)
    gone = dy.Bool(nullable=True)


CHILD = Dataset(
    name="t.children",
    key=("id",),
    schema=_Child,
    columns={name: pl.col(name) for name in ("id", "parent", "gone")},
    references=(Reference(("parent",), NAME, ("id",), "no_parent"),),
    deleted_when=pl.col("gone"),
    limits=RejectLimits(share=1.0),
    anomalies=AnomalyLimits(enabled=False),
)
CHILDREN = pl.Schema({"id": pl.Int64(), "parent": pl.Int64(), "gone": pl.Boolean()})


def test_a_row_that_waits_leaves_the_list_when_its_key_is_deleted_or_refers_to_another_parent(
    lake: Lake,
) -> None:
    """Whichever came for its key since: nothing is left to wait for."""
    land_items(lake, items(1, 2))
    refine_items(lake)
    came: list[Any] = [(10, 8, False), (11, 8, False), (12, 8, False)]

    def run() -> RefineReport:
        source = Numbered(came, 5, schema=CHILDREN)
        land(Landing(lake, CHILD.name, CHILD.name, "run"), source)
        return refined(lake, CHILD).report

    assert (run().waiting, open_keys(lake, CHILD.name)) == (3, ["10", "11", "12"])
    came += [(10, 8, True), (11, 1, False)]
    report = run()
    assert open_keys(lake, CHILD.name) == ["12"]
    assert run().waiting == 1
    assert report.landed == report.accepted + report.rejected + report.superseded + report.unchanged


_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_range_of_old_versions_is_judged_by_what_of_it_counts(lake: Lake) -> None:
    """A backfill of versions that silver has newer ones of: that many of them are wrong is no reason to stop."""
    land_items(lake, items(1, 50, cursor=9))
    refine_items(lake)
    old = [*[(key, value, 3) for key, value, _ in bad_items(1, 40)], *items(41, 50, cursor=3)]
    land_items(lake, old, f"{NAME}@old")
    outcome = refine(Refinement(lake, "run", clock=lambda: _NOW + timedelta(days=1)), STRICT)
    assert outcome.gate is not None
    assert outcome.gate.open
    assert (outcome.report.rejected, outcome.report.superseded) == (0, 50)
