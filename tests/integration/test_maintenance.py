"""Maintenance takes away only what nobody can need any more, alongside running readers and writers."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from headworks.bronze.generations import begin_generation, complete_generation, keys_path, window_reading
from headworks.bronze.landing import Landing, land
from headworks.bronze.streams import reset_stream
from headworks.errors import AccountMismatch
from headworks.gold.products import open_product, publish_product, roll_back
from headworks.gold.table import gold_reference
from headworks.names import Window
from headworks.ops.maintenance import MaintenanceSettings, TableCare, maintain
from headworks.reports import TableRef
from headworks.silver.table import CHANGE
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.support.items import NAME, bronze, head, land_items, refine_items, rejected, silver
from tests.support.sources import ITEMS, Numbered, ids, items

LATER = datetime.now(UTC) + timedelta(days=2)


def care_for(lake: Lake, now: datetime = LATER, **changed: Any) -> dict[str, TableCare]:
    """Maintain the lake as if two days had passed and nothing were kept longer than it must."""
    # Not validated: the real bounds are hours, and delta-rs asks the machine's own clock.
    fields = {
        "longest_run_h": 1,
        "vacuum_after_h": 0,
        "log_retention_days": 0,
        "compact_from_files": 2,
        **changed,
    }
    settings = MaintenanceSettings.model_construct(
        **{
            name: field.get_default(call_default_factory=True)
            for name, field in MaintenanceSettings.model_fields.items()
        }
        | fields
    )
    return {care.table: care for care in maintain(lake, settings, clock=lambda: now)}


def gold(lake: Lake, value: int) -> TableRef:
    frame = pl.DataFrame({"day": [1], "value": [value]})
    table = lake.ensure("gold", "sales.daily", frame.schema)
    table.overwrite(frame, {CHANGE: table.transaction(CHANGE) + 1})
    return gold_reference(lake, table, "sales.daily")


def test_small_files_are_joined_and_rows_and_progress_stay(lake: Lake) -> None:
    land_items(lake, items(1, 9))
    before, at = bronze(lake).sort("_sequence", "_row"), head(lake)
    care = care_for(lake)[f"bronze.{NAME}"]
    assert (care.files_before, care.files_after) == (5, 1)
    assert bronze(lake).sort("_sequence", "_row").equals(before)
    assert head(lake) == at
    assert land_items(lake, items(1, 11)).landed == 2


def test_where_all_is_in_order_there_is_nothing_to_do(lake: Lake) -> None:
    land_items(lake, items(1, 9))
    refine_items(lake)
    # The files that the first one joined are as old as its own commit, and go with the second.
    care_for(lake)
    care_for(lake)
    for care in care_for(lake).values():
        assert (care.files_removed, care.objects_removed) == (0, 0)
        assert care.files_before == care.files_after


def test_a_dry_run_tells_and_takes_nothing_away(lake: Lake) -> None:
    land_items(lake, items(1, 9))
    care_for(lake)
    settings = MaintenanceSettings()
    files = sorted(str(path) for path in Path(lake.settings.root).rglob("*"))
    maintain(lake, settings, dry_run=True, clock=lambda: LATER)
    assert sorted(str(path) for path in Path(lake.settings.root).rglob("*")) == files


def test_versions_that_can_be_rolled_back_to_stay_readable(lake: Lake) -> None:
    for value in range(1, 5):
        publish_product(lake, "sales", [gold(lake, value)], f"run-{value}")
    care = care_for(lake)["gold.sales.daily"]
    assert "history" in care.left[0]
    roll_back(lake, "sales", "run-1", "looking")
    assert open_product(lake, "sales")["sales.daily"].collect().get_column("value").to_list() == [1]


def test_versions_that_no_publication_of_the_kept_days_names_are_removed(lake: Lake) -> None:
    for value in range(1, 5):
        publish_product(lake, "sales", [gold(lake, value)], f"run-{value}")
    care = care_for(lake, keep_publications_days=0, log_retention_days=30)["gold.sales.daily"]
    assert care.files_removed == 3
    assert open_product(lake, "sales")["sales.daily"].collect().get_column("value").to_list() == [4]


def test_a_version_that_the_product_names_stays_though_newer_ones_were_never_published(lake: Lake) -> None:
    publish_product(lake, "sales", [gold(lake, 1)], "run-1")
    gold(lake, 2)
    gold(lake, 3)
    care_for(lake, keep_publications_days=0)
    assert open_product(lake, "sales")["sales.daily"].collect().get_column("value").to_list() == [1]


def test_the_history_goes_and_progress_stays(lake: Lake) -> None:
    for number in range(1, 15):
        land_items(lake, items(1, number))
    at = head(lake)
    assert care_for(lake)[f"bronze.{NAME}"].log_cleaned
    log = Path(lake.settings.root) / "bronze/t/items/_delta_log"
    assert len(list(log.glob("*.json"))) <= 3
    assert head(lake) == at
    assert land_items(lake, items(1, 16)).landed == 2


def test_checkpoints_that_the_table_does_not_name_are_collected_and_the_named_ones_never(lake: Lake) -> None:
    window = Window(start=datetime(2026, 1, 5), end=datetime(2026, 1, 6))
    stream = window_reading(lake, NAME, window)
    land_items(lake, items(1, 9))
    land(Landing(lake, NAME, stream, "run"), Numbered(items(1, 3), end_mark=True))
    generation = begin_generation(Landing(lake, NAME, NAME, "run"), ITEMS)
    land(Landing(lake, NAME, generation.stream, "run"), Numbered(items(1, 3), end_mark=True))
    complete_generation(Landing(lake, NAME, NAME, "run"), generation)
    refine_items(lake)
    care = care_for(lake)[f"bronze.{NAME}"]
    assert care.objects_removed == 4 + 2 + 2
    assert head(lake).position == {"n": 9}
    assert window_reading(lake, NAME, window) != stream, "that the window was read is still known"


def test_the_keys_of_the_newest_full_read_stay_until_a_later_one_is_complete(lake: Lake) -> None:
    """Silver may take them days later: it finds by them what was deleted."""

    def noted_keys() -> list[str]:
        folder = Path(lake.settings.root) / "_headworks/checkpoints/t/items/generations"
        return sorted(path.name.partition("-")[0] for path in folder.glob("*.parquet"))

    landing = Landing(lake, NAME, NAME, "run")
    for _ in range(2):
        generation = begin_generation(landing, ITEMS)
        path = keys_path(generation, landing.token())
        lake.put_rows(path, pl.DataFrame(schema={"id": pl.String}).to_arrow().schema, [])
        complete_generation(landing, replace(generation, keys=path))
    care_for(lake)
    assert noted_keys() == ["2"]


def test_a_stream_whose_rows_are_gone_keeps_its_checkpoint(lake: Lake) -> None:
    land_items(lake, items(1, 3), f"{NAME}@other")
    refine_items(lake)
    care_for(lake, keep_days={"bronze": 1})
    assert bronze(lake).is_empty()
    assert head(lake, f"{NAME}@other").position == {"n": 3}


def test_a_checkpoint_that_a_run_is_about_to_name_is_too_young_to_be_collected(lake: Lake) -> None:
    land_items(lake, items(1, 9))
    maintain(lake, MaintenanceSettings())
    folder = Path(lake.settings.root) / "_headworks/checkpoints/t/items" / NAME
    assert len(list(folder.iterdir())) == 5


def test_old_rows_of_bronze_go_only_when_silver_has_them_and_nothing_of_their_batch_was_rejected(
    lake: Lake,
) -> None:
    land_items(lake, [*items(1, 4), ("5", "-1", 5), *items(6, 6)])
    refine_items(lake)
    land_items(lake, [*items(1, 4), ("5", "-1", 5), *items(6, 8)])
    before = silver(lake)
    assert care_for(lake, keep_days={"bronze": 1})[f"bronze.{NAME}"].rows_expired == 4
    assert ids(bronze(lake)) == ["5", "6", "7", "8"]
    assert rejected(lake) == ["5"]
    assert refine_items(lake).inserted == 2
    assert silver(lake).items() > before.items()


@pytest.mark.parametrize("way", ["stream reset", "full read"])
def test_a_silver_made_again_from_a_bronze_that_aged_is_refused_until_its_rows_are_read_again(
    lake: Lake, way: str
) -> None:
    """Both ways that the message names make silver whole, and the runs after it change what they must alone."""
    land_items(lake, items(1, 4))
    refine_items(lake)
    care_for(lake, keep_days={"bronze": 1})
    for layer in ("silver", "quarantine"):
        shutil.rmtree(Path(lake.settings.root) / layer)
    land_items(lake, items(1, 5))
    with pytest.raises(AccountMismatch, match=f"5 rows were landed in stream {NAME} .* 1 are there.*{way}"):
        refine_items(lake)
    landing = Landing(lake, NAME, NAME, "run")
    if way == "stream reset":
        reset_stream(landing)
    else:
        generation = begin_generation(landing, ITEMS)
        land(replace(landing, stream=generation.stream), Numbered(items(1, 5), 2))
        complete_generation(landing, generation)
    for last in (6, 7, 8):
        land_items(lake, items(1, last))
        refine_items(lake)
        assert silver(lake) == {n: (n * 10, 1) for n in range(1, last + 1)}


def test_bronze_that_silver_never_consumed_does_not_age(lake: Lake) -> None:
    land_items(lake, items(1, 4))
    assert care_for(lake, keep_days={"bronze": 1})[f"bronze.{NAME}"].rows_expired == 0


def test_bronze_does_not_age_while_a_full_read_waits_for_silver(lake: Lake) -> None:
    """Silver looks for what the full read saw among all rows since it began, the live ones included."""
    land_items(lake, items(1, 4))
    refine_items(lake)
    generation = begin_generation(Landing(lake, NAME, NAME, "run"), ITEMS)
    complete_generation(Landing(lake, NAME, NAME, "run"), generation)
    assert care_for(lake, keep_days={"bronze": 1})[f"bronze.{NAME}"].rows_expired == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"vacuum_after_h": 2, "longest_run_h": 3}, "shorter than longest_run_h"),
        ({"keep_days": {"silver": 9}}, "do not age"),
        ({"keep_days": {"bronze": 1}, "longest_run_h": 48}, "keep_days of bronze"),
    ],
)
def test_settings_that_could_harm_a_running_flow_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MaintenanceSettings.model_validate(fields)


def test_runs_that_land_and_refine_meanwhile_lose_and_double_nothing(lake: Lake) -> None:
    """A writer in another thread, a reader in a third, and maintenance over and over."""
    rounds = 12
    done = threading.Event()
    problems: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(1, rounds + 1):
                land_items(lake, items(1, 3 * number))
                _refine_until_fresh(lake)
        except BaseException as problem:  # noqa: BLE001 - reported by the main thread
            problems.append(problem)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        care_for(lake, datetime.now(UTC), vacuum_after_h=1, log_retention_days=30)
    writer.join()
    assert problems == []
    assert ids(bronze(lake)) == sorted(str(n) for n in range(1, 3 * rounds + 1))
    assert sorted(silver(lake)) == list(range(1, 3 * rounds + 1))


def test_a_table_that_changed_meanwhile_is_left_for_the_next_time(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_items(lake, items(1, 9))
    refine_items(lake)
    real = Table.compact

    def late(table: Table, target_size_mb: int) -> None:
        if table.name.startswith("silver"):
            lake.must_open("silver", NAME).delete("id < 5", {})
        real(table, target_size_mb)

    monkeypatch.setattr(Table, "compact", late)
    land_items(lake, items(1, 12))
    refine_items(lake)
    assert care_for(lake)[f"silver.{NAME}"].left[0].startswith("small files")


def _refine_until_fresh(lake: Lake) -> None:
    from headworks.errors import CandidateStale

    for _ in range(20):
        try:
            refine_items(lake)
        except CandidateStale:
            continue
        return
    raise AssertionError("always stale")
