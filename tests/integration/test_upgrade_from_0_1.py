"""A lake that 0.1 wrote opens, is upgraded, and keeps every row through the next runs, whether upgraded first or not.

``tests/data/lake_0_1.tar.gz`` was written by the code of 0.1, with a clock of its own. In it are ``t.items``, of which
the newest versions count, and ``t.kept``, a history:

- run day-1 lands items 1 to 20, and 21 to 23, which are rejected; the history of 1 to 4.
- run day-2 lands newer versions of 1 to 5, an older one of 7, and 24, which is rejected; newer ones of 1 and 2.
- a full read does not show 18 to 20, which are deleted; two gold tables are made and published as one product.
- run day-3 lands 25 to 28, and a newer version of 3, and is killed before silver.
"""

from __future__ import annotations

import argparse
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headworks.bronze.generations import begin_generation, complete_generation
from headworks.bronze.landing import Landing, land
from headworks.cli.lakes import upgrade_lake
from headworks.gold.products import open_product, publish_product, read_product
from headworks.gold.table import pin
from headworks.ops.ledger import last_run
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.quality.deliveries import deliveries
from headworks.reconcile import reconcile
from headworks.settings import LakeSettings
from headworks.silver.rebuild import rebuild
from headworks.silver.refinement import Refinement, refine
from headworks.storage.format import FORMAT, format_of
from headworks.storage.store import Lake
from tests.support.golden import committed, rows, tables
from tests.support.items import ITEM, NAME, bronze, head, rejected, silver
from tests.support.sources import ITEMS, Numbered, Record, bad_items, items

ARCHIVE = Path(__file__).parents[1] / "data" / "lake_0_1.tar.gz"
KEPT = replace(ITEM, name="t.kept", keeps="history")
LANDED: list[Record] = [
    *items(1, 20),
    *bad_items(21, 23),
    *[(str(n), str(n * 10 + 1), 2) for n in range(1, 6)],
    ("7", "1", 0),
    *bad_items(24, 24),
    *items(25, 28),
]
HISTORY: list[Record] = [*items(1, 4), ("1", "11", 2), ("2", "21", 3), ("3", "31", 4)]
SILVER = {n: (n * 10 + 1, 2) if n < 6 else (n * 10, 1) for n in range(1, 18)}
"""The rows of silver as 0.1 left them, by their ids: value and cursor."""


def _upgraded(lake: Lake, patch: pytest.MonkeyPatch) -> None:
    """Do what ``headworks upgrade`` does to the lake: a dry run, the upgrade, and once more."""
    patch.setenv("HEADWORKS_LAKE_ROOT", lake.settings.root)
    for dry_run in (True, False, False):
        assert upgrade_lake(argparse.Namespace(lake="lake", dry_run=dry_run)) == 0
        assert format_of(lake) == (None if dry_run else FORMAT)


WAYS: dict[str, Callable[[Lake, pytest.MonkeyPatch], None]] = {
    "upgraded": _upgraded,
    "not upgraded": lambda lake, patch: None,
}


@pytest.fixture(params=WAYS)
def old(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake of 0.1, upgraded or just opened."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    WAYS[request.param](lake, monkeypatch)
    return lake


def history(lake: Lake) -> list[tuple[int, int, int, bool]]:
    """Return the versions of a history: id, value, cursor, and whether it is valid to this day."""
    kept = lake.must_open("silver", "t.kept").scan().collect().sort("id", "at")
    return [(row["id"], row["v"], row["at"], row["valid_to"] is None) for row in kept.iter_rows(named=True)]


def run(lake: Lake, day: int, landed: list[Record], kept: list[Record]) -> None:
    """Land and refine what a source has by now; every account balances."""
    land(Landing(lake, NAME, NAME, f"day-{day}"), Numbered(landed, 8))
    land(Landing(lake, "t.kept", "t.kept", f"day-{day}"), Numbered(kept, 8))
    for dataset in (ITEM, KEPT):
        done = refine(Refinement(lake, f"day-{day}"), dataset)
        assert done.gate is None or done.gate.open, done.gate


def test_the_archive_is_small_and_nothing_in_it_is_of_this_version() -> None:
    assert ARCHIVE.stat().st_size < 200_000
    with tarfile.open(ARCHIVE) as archive:
        names = archive.getnames()
        logs = [
            file.read().decode()
            for name in names
            if name.endswith(".json") and "_delta_log" in name and (file := archive.extractfile(name))
        ]
    assert "lake/_headworks/format.json" not in names
    assert not any('"appId":"#' in log for log in logs), "0.1 wrote no transaction with #"


def test_what_0_1_wrote_is_read_as_it_is(old: Lake) -> None:
    assert silver(old) == SILVER
    assert sorted(set(rejected(old))) == ["21", "22", "23", "24"]
    ended, valid = [(1, 10, 1), (2, 20, 1)], [(1, 11, 2), (2, 21, 3), (3, 30, 1), (4, 40, 1)]
    assert history(old) == sorted([*((*each, False) for each in ended), *((*each, True) for each in valid)])
    assert rows(old) == list(range(1, 18))
    assert head(old).position == {"n": len(LANDED)}
    version = read_product(old, "t")
    assert version is not None
    published = open_product(old, "t")["t.each"].collect()
    assert sorted(published.get_column("id").to_list()) == list(range(1, 18))
    report = last_run(old, "play")
    assert report is not None
    assert report.run_id == "day-3"
    reconcile(report)
    assert [one for one in deliveries(old) if one.state == "held"] == []


def test_the_next_runs_keep_every_row_exact(old: Lake, tmp_path: Path) -> None:
    """Three further runs with changed sources, then a full read, gold and the product, and silver made again."""
    landed, kept, expected = list(LANDED), list(HISTORY), dict(SILVER)
    before = bronze(old).height
    for day in range(4, 7):
        new = [
            *items(30 * day, 30 * day + 9),
            (str(day), str(1000 + day), day),
            *bad_items(900 + day, 900 + day),
        ]
        landed += new
        kept.append(("4", str(1000 + day), day))
        run(old, day, landed, kept)
        expected |= {n: (n * 10, 1) for n in (*range(25, 29), *range(30 * day, 30 * day + 10))}
        expected[day] = (1000 + day, day)
        assert silver(old) == expected
    assert bronze(old).height == before + 3 * 12
    assert sorted(set(rejected(old))) == sorted({"21", "22", "23", "24", "904", "905", "906"})
    assert history(old)[-3:] == [(4, 1004, 4, False), (4, 1005, 5, False), (4, 1006, 6, True)]
    assert (3, 31, 4, True) in history(old)

    missing = {8, 27, 155}
    shown: list[Record] = [
        (str(key), str(value), cursor) for key, (value, cursor) in expected.items() if key not in missing
    ]
    generation = begin_generation(Landing(old, NAME, NAME, "full"), ITEMS)
    land(Landing(old, NAME, generation.stream, "full"), Numbered(shown, 50))
    complete_generation(Landing(old, NAME, NAME, "full"), generation)
    done = refine(Refinement(old, "full"), ITEM)
    assert done.gate is None or done.gate.open, done.gate
    expected = {key: value for key, value in expected.items() if key not in missing}
    assert silver(old) == expected

    made = [committed(old, gold, pin(old, [NAME])).table for gold in tables(tmp_path / "contracts")]
    publish_product(old, "t", made, "day-7")
    published = open_product(old, "t")["t.each"].collect()
    assert dict(published.select("id", "v").iter_rows()) == {
        key: value for key, (value, _) in expected.items()
    }


def test_care_and_a_rebuild_take_nothing_away(old: Lake) -> None:
    run(old, 4, LANDED, HISTORY)
    expected, versions = silver(old), history(old)
    maintain(old, MaintenanceSettings())
    assert (silver(old), history(old)) == (expected, versions)
    rebuild(Refinement(old, "again"), ITEM)
    assert silver(old) == expected
    run(old, 5, LANDED, HISTORY)
    assert (silver(old), history(old)) == (expected, versions)


def test_silver_that_is_lost_is_made_again_from_what_0_1_landed_deletions_included(old: Lake) -> None:
    expected = silver(old) | {n: (n * 10, 1) for n in range(25, 29)}
    for layer in ("silver", "quarantine"):
        shutil.rmtree(Path(old.settings.root) / layer / "t" / "items")
    run(old, 4, LANDED, HISTORY)
    assert silver(old) == expected
