"""A dataset may bear any name of the grammar: also one that headworks uses itself, or one that continues another.

Each name lives a full life: landed, read by windows and in full, refined, maintained, and continued with. It was the
name of a transaction that 0.1.0 let a dataset overwrite, and rows were passed by.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headworks.bronze.generations import begin_generation, complete_generation, window_reading
from headworks.bronze.landing import Landing, land
from headworks.bronze.streams import reset_stream, show_streams
from headworks.names import Window
from headworks.ops.maintenance import MaintenanceSettings, maintain
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.items import ITEM
from tests.support.sources import ITEMS, Numbered, Record, bad_items, items

OWN_WORDS = (
    "writer", "try", "change", "code", "widened", "commit", "rows", "consumed", "generation", "generations", "complete",
    "checkpoint", "products", "bronze", "quarantine", "ops",
)  # fmt: skip
NAMES = (
    *OWN_WORDS,
    *(f"shop.{word}" for word in ("writer", "generations")),
    *(f"{word}.{word}" for word in ("writer", "generations")),
)
BAD = bad_items(5, 6)


def live(
    lake: Lake, name: str, records: list[Record], stream: str | None = None, *, whole: bool = False
) -> int:
    landing = Landing(lake, name, stream or name, "run")
    return land(landing, Numbered(records, size=1, end_mark=whole)).landed


def refined(lake: Lake, name: str) -> int:
    outcome = refine(Refinement(lake, "run"), replace(ITEM, name=name))
    assert outcome.gate is None or outcome.gate.open, outcome.gate
    return outcome.report.landed


def silver_ids(lake: Lake, name: str) -> list[int]:
    rows = lake.must_open("silver", name).scan().collect()
    return sorted(row["id"] for row in rows.iter_rows(named=True) if not row["_deleted"])


def rejected_keys(lake: Lake, name: str) -> list[str]:
    rows = rejected_rows(lake, name, lake.open("silver", name))
    assert rows is not None
    return sorted(rows.collect().get_column("key").to_list())


def full(lake: Lake, name: str, records: list[Record]) -> None:
    landing = Landing(lake, name, name, "run")
    generation = begin_generation(landing, ITEMS)
    live(lake, name, records, generation.stream)
    complete_generation(landing, generation)


def cared_for(lake: Lake) -> set[str]:
    later = datetime.now(UTC) + timedelta(days=40)
    settings = MaintenanceSettings(compact_from_files=2, log_retention_days=0)
    return {care.table for care in maintain(lake, settings, clock=lambda: later)}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_of_any_name_lives_a_full_life(lake: Lake, name: str) -> None:
    records = [*items(1, 4), *BAD]
    assert (live(lake, name, records), refined(lake, name), refined(lake, name)) == (6, 6, 0)
    for day in range(1, 5):
        window = Window(start=datetime(2026, 1, day), end=datetime(2026, 1, day + 1))
        stream = window_reading(lake, name, window)
        assert live(lake, name, items(100 + day, 100 + day), stream, whole=True) == 1
        assert refined(lake, name) == 1
    assert {f"{layer}.{name}" for layer in ("bronze", "silver", "quarantine")} <= cared_for(lake)
    records += items(7, 9)
    assert (live(lake, name, records), refined(lake, name), refined(lake, name)) == (3, 3, 0)
    full(lake, name, [*items(1, 3), *items(7, 9), *items(101, 104)])
    assert refined(lake, name) == 10
    cared_for(lake)
    records += items(10, 10)
    assert (live(lake, name, records), refined(lake, name)) == (1, 1)
    assert silver_ids(lake, name) == [1, 2, 3, 7, 8, 9, 10, 101, 102, 103, 104]
    assert rejected_keys(lake, name) == ["5", "6"]
    assert {state.stream for state in show_streams(lake, name)} >= {name}
    reset_stream(Landing(lake, name, name, "operator"), {"n": len(records)})
    assert live(lake, name, [*records, *items(11, 11)]) == 1
    assert refined(lake, name) == 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("outer", "inner"),
    [("shop.orders", "shop.orders.lines"), ("t", "t.x"), ("a", "a.a"), ("a.generations", "a")],
)
def test_a_dataset_whose_name_goes_on_where_another_ends_is_one_of_its_own(
    lake: Lake, outer: str, inner: str
) -> None:
    """Its folder lies in the other's, and neither takes the other's files for its own."""
    for round_ in range(1, 4):
        for name, first in ((outer, 1), (inner, 1001)):
            records = [*BAD, *items(first, first + 3 + 3 * round_)]
            live(lake, name, records)
            refined(lake, name)
    cared = cared_for(lake)
    assert {f"bronze.{outer}", f"bronze.{inner}", f"silver.{outer}", f"silver.{inner}"} <= cared
    assert silver_ids(lake, outer) == list(range(1, 14))
    # Good versions of the outer's 5 and 6 came later, so those are rejected no more; the inner has none of them.
    assert (rejected_keys(lake, outer), rejected_keys(lake, inner)) == ([], ["5", "6"])
    assert silver_ids(lake, inner) == list(range(1001, 1014))
    assert lake.datasets("silver") == sorted((outer, inner))
