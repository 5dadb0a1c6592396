"""What may not be read is not taken for lost, and what is lost is named by whatever reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headworks.bronze.streams import show_streams
from headworks.errors import LakeRefused, LakeUnusable
from headworks.names import Window
from headworks.ops.backfills import PlannedWindow, plan, remember
from headworks.ops.freshness import FreshnessPromise, measure_freshness
from headworks.ops.ledger import last_run, record_run
from headworks.ops.recorder import Recorder
from headworks.settings import LakeSettings
from headworks.silver.rejects import open_rejects, rejects_by_reason
from headworks.storage.store import Lake
from tests.storage.conftest import lake_behind
from tests.storage.faulty import Fault, FaultyStore
from tests.support.items import NAME, head, land_items, refine_items, silver
from tests.support.object_store import ObjectStore
from tests.support.sources import bad_items, items

WINDOW = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))


def test_a_position_that_may_not_be_read_is_not_lost(store: ObjectStore, broken: FaultyStore) -> None:
    """Called lost, a person would set the stream to the beginning; over three further runs nothing came twice."""
    lake = lake_behind(broken, store, "positions")
    land_items(lake, items(1, 4))
    broken.begin(Fault("head", 1, "403", times=10**6))
    with pytest.raises(LakeRefused):
        show_streams(lake, NAME)
    broken.end()
    assert head(lake).position == {"n": 4}
    for last in (5, 7, 9):
        land_items(lake, items(1, last))
        refine_items(lake)
        assert sorted(silver(lake)) == list(range(1, last + 1))


READERS: dict[str, tuple[str, Callable[[Lake], Any]]] = {
    "rejected rows": (
        "quarantine/t/items",
        lambda lake: rejects_by_reason(open_rejects(lake, NAME, lake.open("silver", NAME))),
    ),
    "the ledger": ("ops/runs", lambda lake: last_run(lake, "items")),
    "windows": ("ops/backfills", lambda lake: plan(lake, "b", "f", (WINDOW,))),
    "freshness": (
        "silver/t/items",
        lambda lake: measure_freshness(
            lake, [FreshnessPromise(table=f"silver.{NAME}", event_column="_ingested_at", event_within_h=1)]
        ),
    ),
    "silver": ("silver/t/items", lambda lake: lake.must_open("silver", NAME).live_count()),
    "refining": ("bronze/t/items", refine_items),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_table_whose_files_are_gone_or_damaged_is_named_by_whatever_reads_it(
    tmp_path: Path, reader: str, how: str
) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    land_items(lake, [*items(1, 3), *bad_items(4, 4)])
    refine_items(lake)
    land_items(lake, [*items(1, 3), *bad_items(4, 4), *items(5, 6)])
    record_run(lake, Recorder("run", "items", "incremental", "lake").report("landed"))
    remember(lake, "b", "f", PlannedWindow(window=WINDOW, state="done"), WINDOW.end)
    folder, read = READERS[reader]
    files = [
        file for file in (tmp_path / "lake" / folder).rglob("*.parquet") if "_delta_log" not in file.parts
    ]
    assert files
    for file in files:
        if how == "gone":
            file.unlink()
        else:
            file.write_bytes(b"PAR1" + bytes(len(file.read_bytes())) + b"PAR1")
    with pytest.raises(LakeUnusable) as caught:
        read(lake)
    assert caught.value.where
    assert caught.value.do
