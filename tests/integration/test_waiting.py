"""Rows that wait are judged again when what they wait for came, and that is what looking at all of them finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from headworks.bronze.resolutions import Resolver, resolutions, resolve
from headworks.quality.deliveries import open_holds
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver import concluding, judged, waiting
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import note_discarded_again, open_rejects
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.item_sales import SALE, SALES, Sale, land_sales
from tests.support.items import BEGINNING, land_items, refine_items
from tests.support.sources import Record

_FIRST = replace(SALE, keeps="first")
_STRICT = replace(SALE, limits=RejectLimits(share=0.5, from_rows=3))
STEPS = (
    (concluding, "note_passed"),
    (concluding, "note_replaced"),
    (concluding, "note_discarded_again"),
    (concluding, "put_waiting"),
    (waiting, "_put"),
)


def state(lake: Lake) -> list[tuple[Any, ...]]:
    """Return what is open, what is noted of the rest, what is held, and what silver has."""
    silver = lake.must_open("silver", SALES)
    open_ones = open_rejects(lake, SALES, silver).select("_stream", "_row", "key", "reasons").collect()
    noted = resolutions(lake, SALES).filter(pl.col("dataset") == SALES)
    there = silver.scan().select("id", "item", "price", "_deleted").collect()
    return [
        *sorted(open_ones.rows(), key=repr),
        ("noted",),
        *sorted(noted.select("_stream", "_row", "key", "resolution").collect().rows(), key=repr),
        ("held", len(open_holds(lake, silver))),
        *sorted(there.rows(), key=repr),
    ]


def lost(*_: object) -> None:
    """Say that there is no index."""


def _crash(*_: object) -> None:
    raise Crash


def _discard(lake: Lake, key: str) -> None:
    """Discard an open row; its like are discarded whenever they come again."""
    found = open_rejects(lake, SALES, lake.must_open("silver", SALES)).filter(pl.col("key") == key).collect()
    resolve(lake, SALES, found, "discarded", Resolver("run", "somebody", "no sale", BEGINNING))


@pytest.mark.parametrize("dataset", [SALE, _FIRST, _STRICT], ids=["newest", "first", "held"])
def test_what_waits_by_its_index_is_what_waits_by_looking_at_all_of_it(
    lake: Lake, tmp_path: Path, dataset: Any
) -> None:
    """Random sales and items, that come, change and disagree; one run in three is killed after its commit."""
    random = Random(f"waiting {dataset.keeps} {dataset.limits.share}")
    oracle = Lake(LakeSettings(root=str(tmp_path / "oracle")))
    items: list[Record] = [("0", "5", 1)]
    killed = slept = 0
    for step in range(9):
        for _ in range(random.choice((0, 0, 1, 2))):
            value = str(random.choice((5, 50, 500, -1)))
            items.append((str(random.randrange(6)), value, step + 2))
        sales: list[Sale] = [
            (random.randrange(10), random.randrange(7), random.choice((None, 40, 400, 4_000)))
            for _ in range(random.choice((0, 1, 3, 5)))
        ]
        word = str(random.randrange(10)) if step and random.random() < 0.2 else None
        parts = random.choice((2, 1_000, 1_000))
        for each in (lake, oracle):
            land_items(each, items)
            refine_items(each)
            land_sales(each, sales, f"{SALES}@{step}")
            if word is not None:
                _discard(each, word)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(waiting, "_kept", lost)
            expected = refine(Refinement(oracle, "run", part_rows=parts), dataset).report
        with pytest.MonkeyPatch.context() as patch:
            if step % 3 == 1:
                patch.setattr(*random.choice(STEPS), _crash)
            try:
                report = refine(Refinement(lake, "run", part_rows=parts), dataset).report
            except Crash:
                # The next range comes without a refinement in between that finds nothing new.
                killed += 1
                continue
        kept = waiting._kept(lake, dataset)
        slept += 0 if kept is None else kept[1].get_column(waiting._KNOWN).drop_nulls().len()
        assert (report.waiting, state(lake)) == (expected.waiting, state(oracle)), f"step {step}"
    assert killed or dataset is _STRICT
    assert slept > 2


@pytest.fixture
def shop(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake with an item, in which sales 1 to 5 wait for items 11 to 15."""
    land_items(lake, [("1", "5", 1)])
    refine_items(lake)
    land_sales(lake, [(0, 1, 50), *((number, number + 10, 50) for number in range(1, 6))], f"{SALES}@first")
    sell(lake)
    sell(lake)
    return lake


def sell(lake: Lake, *rows: Sale, dataset: Any = SALE, days: float = 0.0) -> tuple[int, int]:
    """Land and refine sales; return how many wait, and how many of those that waited were released."""
    if rows:
        land_sales(lake, list(rows), f"{SALES}@{rows[0][0]}")
    work = Refinement(lake, "run", clock=lambda: BEGINNING + timedelta(days=days))
    report = refine(work, dataset).report
    return report.waiting, report.released


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets how many rows are judged again, each time."""
    seen: list[int] = []
    real = judged._judged_once_more

    def spied(*arguments: Any) -> Any:
        seen.append(arguments[-1].height)
        return real(*arguments)

    monkeypatch.setattr(judged, "_judged_once_more", spied)
    return seen


def test_only_what_a_parent_came_for_is_judged_again(shop: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looked_at(monkeypatch)
    assert sell(shop) == (5, 0)
    assert sell(shop, (6, 1, 50)) == (5, 0)
    assert seen == [], "no item came"
    land_items(shop, [("1", "5", 1), ("12", "5", 2), ("99", "5", 2)])
    refine_items(shop)
    assert sell(shop, (7, 1, 50)) == (4, 1)
    assert seen == [1], "that of the item which came"


def test_a_row_of_a_key_that_waits_is_judged_with_what_waited(
    shop: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sell(shop, (3, 19, 50)) == (5, 0)
    seen = looked_at(monkeypatch)
    assert sell(shop) == (5, 0)
    assert max(seen) == 2, "both versions of sale 3"
    land_items(shop, [("1", "5", 1), ("13", "5", 2)])
    refine_items(shop)
    assert sell(shop) == (5, 0), "the newest version waits for item 19"


def test_a_row_whose_key_silver_gets_otherwise_waits_no_longer(shop: Lake) -> None:
    assert sell(shop, (3, 1, 50)) == (5, 0)
    assert sell(shop)[0] == 4


@pytest.mark.parametrize(
    "what", ["the index", "half of it", "some bytes of it", "a day", "a declaration", "a note"]
)
def test_where_anything_is_another_all_waiting_rows_are_judged_again(
    shop: Lake, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    seen = looked_at(monkeypatch)
    (index,) = (Path(shop.settings.root) / "_headworks/waiting").rglob("*.arrow")
    dataset, days, rows = SALE, 0.0, 5
    if what == "the index":
        index.unlink()
    elif what == "half of it":
        index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    elif what == "some bytes of it":
        # Where a number of a key stands: it would read as a row that waits for another item.
        data = index.read_bytes()
        at = data.index((13).to_bytes(8, "little"))
        index.write_bytes(data[:at] + (77).to_bytes(8, "little") + data[at + 8 :])
    elif what == "a day":
        days = 1.1
    elif what == "a declaration":
        dataset = replace(SALE, limits=RejectLimits(share=0.9))
    else:
        _discard(shop, "3")
        rows = 4
    assert sell(shop, dataset=dataset, days=days) == (rows, 0)
    assert seen == [rows]


def test_what_another_run_commits_meanwhile_is_not_in_the_index(
    shop: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the notes of a run and its index another one rejects a row that waits."""
    done: list[bool] = []

    def meanwhile(*arguments: Any) -> None:
        note_discarded_again(*arguments)
        if not done:
            done.append(True)
            sell(shop, (9, 19, 50))

    monkeypatch.setattr(concluding, "note_discarded_again", meanwhile)
    sell(shop, (6, 1, 50))
    assert sell(shop)[0] == 6
