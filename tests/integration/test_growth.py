"""Weeks of small runs with nightly care: the lake's files stay few, nothing needed is missing, runs continue."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, WriterProperties

from headworks.bronze.landing import Landing, land
from headworks.gold.products import open_product, publications, roll_back
from headworks.ops.maintenance import MaintenanceSettings, TableCare, maintain
from headworks.storage import delta, snapshot, store
from headworks.storage.store import Lake
from tests.support import golden
from tests.support.faults import Crash, crash_before, writes
from tests.support.items import NAME, bronze, land_items, refine_items, rejected, silver
from tests.support.sources import Frames, Numbered, Record, bad_items, ids, items

RUNS = int(os.environ.get("GROWTH_RUNS", "36"))
"""Runs of the campaign; 500 by hand."""
A_NIGHT = 12
"""So many runs have a night between them."""


def aged(lake: Lake, by: timedelta) -> None:
    """Make everything in the lake so much older: its files, and what its logs say of when."""
    root, seconds = Path(lake.settings.root), by.total_seconds()
    for file in root.rglob("*"):
        if file.is_file():
            status = file.stat()
            os.utime(file, (status.st_atime - seconds, status.st_mtime - seconds))
    for entry in root.rglob("_delta_log/*.json"):
        status, text = entry.stat(), entry.read_text()
        entry.write_text("\n".join(_older(line, int(seconds * 1000)) for line in text.splitlines()) + "\n")
        os.utime(entry, (status.st_atime, status.st_mtime))


def _older(line: str, by_ms: int) -> str:
    for name in ("deletionTimestamp", "modificationTime", "timestamp"):
        head, found, tail = line.partition(f'"{name}":')
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        if found and digits:
            line = f"{head}{found}{int(digits) - by_ms}{tail[len(digits) :]}"
    return line


def copied(lake: Lake) -> None:
    """Give every file the time of now, as a copy has it."""
    for file in Path(lake.settings.root).rglob("*"):
        if file.is_file():
            os.utime(file)


def on_disk(lake: Lake, table: str) -> int:
    return len(list((Path(lake.settings.root) / table).rglob("*.parquet")))


def logs(lake: Lake, table: str) -> int:
    return len(list((Path(lake.settings.root) / table / "_delta_log").iterdir()))


def cared(lake: Lake, *, later: int = 0, **changed: object) -> dict[str, TableCare]:
    """Care for a lake, some days later."""
    settings = MaintenanceSettings.model_validate(changed)
    done = maintain(lake, settings, clock=lambda: datetime.now(UTC) + timedelta(days=later))
    assert not [care for care in done if care.failed]
    return {care.table: care for care in done}


def test_weeks_of_small_runs_leave_few_files_and_nothing_is_missing(lake: Lake, tmp_path: Path) -> None:
    """A run changes a key, adds one, and rejects one now and then; each night is eight days later."""
    records: list[Record] = []
    for run in range(1, RUNS + 1):
        records += [("1", str(run), run), *items(1_000 + run, 1_000 + run)]
        records += bad_items(9_000 + run, 9_000 + run) if run % 10 == 0 else []
        golden.named(lake, tmp_path / "contracts", records, f"run-{run}")
        if run % A_NIGHT == 0:
            cared(lake, later=8)
    kept = {each for each in range(1_001, 1_001 + RUNS)} | {1}
    assert set(silver(lake)) == kept
    assert silver(lake)[1] == (RUNS, RUNS)
    assert len(ids(bronze(lake))) == len(records)
    assert len(rejected(lake)) == RUNS // 10
    assert open_product(lake, golden.PRODUCT)["t.each"].collect().height == len(kept)
    bounds = {"bronze/t/items": A_NIGHT + 16, "silver/t/items": A_NIGHT + 16, "products": A_NIGHT + 16}
    for table, most in bounds.items():
        assert on_disk(lake, table) <= most + 4, f"{table} has {on_disk(lake, table)} files"
    roll_back(lake, golden.PRODUCT, f"run-{RUNS - 1}", "to see that it can be")
    assert open_product(lake, golden.PRODUCT)["t.each"].collect().height == len(kept) - 1


def test_what_the_log_forgot_is_removed_all_the_same(lake: Lake) -> None:
    """A checkpoint between the expiry of a removal and the next care forgets it; the file stayed for ever."""
    for number in range(1, 9):
        land_items(lake, [("1", str(each), each) for each in range(1, number + 1)])
        refine_items(lake)
    aged(lake, timedelta(days=8))
    DeltaTable(lake.uri("silver", NAME)).create_checkpoint()
    assert on_disk(lake, "silver/t/items") == 9  # eight, and the checkpoint
    assert cared(lake)[f"silver.{NAME}"].files_removed == 7
    assert silver(lake)[1] == (8, 8)
    assert cared(lake)[f"silver.{NAME}"].files_removed == 0


def test_files_that_a_copied_lake_has_and_its_checkpoints_forgot_are_removed(lake: Lake) -> None:
    """Copied, every file is young by its own time; that it was replaced long ago is in the log's entries alone."""
    for number in range(1, 9):
        land_items(lake, [("1", str(each), each) for each in range(1, number + 1)])
        refine_items(lake)
    aged(lake, timedelta(days=8))
    DeltaTable(lake.uri("silver", NAME)).create_checkpoint()
    copied(lake)
    (Path(lake.uri("silver", NAME)) / "part-in-the-making.parquet").write_text("PAR1")
    assert cared(lake)[f"silver.{NAME}"].files_removed == 7
    assert cared(lake)[f"silver.{NAME}"].files_removed == 0, (
        "what no entry names may be a commit in the making"
    )
    for number in range(9, 12):
        land_items(lake, [("1", str(each), each) for each in range(1, number + 1)])
        refine_items(lake)
        assert silver(lake)[1] == (number, number)
    assert cared(lake)[f"silver.{NAME}"].files_removed == 0, "who opened a version before may still read"


def test_files_that_were_replaced_a_moment_ago_stay_for_those_who_read_them(lake: Lake) -> None:
    """However old the file itself is: who opened the version before may still read."""
    land_items(lake, [("1", "1", 1)])
    refine_items(lake)
    aged(lake, timedelta(days=30))
    reader = lake.must_open("silver", NAME)
    land_items(lake, [("1", "1", 1), ("1", "2", 2)])
    refine_items(lake)
    cared(lake)
    assert reader.scan().collect().height == 1


def test_files_of_killed_writers_go_once_no_run_can_be_so_long(lake: Lake) -> None:
    land_items(lake, items(1, 2))
    for _ in range(3):
        with writes(crash_before(1)), pytest.raises(Crash):
            land(Landing(lake, NAME, NAME, "run"), Numbered(items(1, 4)))
    root = Path(lake.settings.root)
    (root / "_headworks/checkpoints/t/items/t.items/tmpab12cd34").write_text("{")
    (root / "bronze/t/items/_delta_log/_commit_0123.json.tmp").write_text("{")
    care = cared(lake)[f"bronze.{NAME}"]
    assert (care.files_removed, care.objects_removed) == (0, 0), "a commit may be in the making"
    aged(lake, timedelta(days=2))
    care = cared(lake)[f"bronze.{NAME}"]
    assert care.files_removed == 4
    assert care.objects_removed >= 4
    assert land_items(lake, items(1, 4)).landed == 2


def test_a_gold_table_that_was_made_again_does_not_stop_the_care_of_others(
    lake: Lake, tmp_path: Path
) -> None:
    for number in (2, 4, 6):
        golden.named(lake, tmp_path / "c", items(1, number), f"run-{number}")
    shutil.rmtree(Path(lake.settings.root) / "gold/t/each")
    golden.named(lake, tmp_path / "c", items(1, 8), "run-8")
    assert {"gold.t.each", "gold.t.sums", f"silver.{NAME}", "products", "ops.publications"} <= set(
        cared(lake)
    )
    assert open_product(lake, golden.PRODUCT)["t.each"].collect().height == 8


def test_publications_of_a_table_that_was_made_again_hold_nothing_of_its_successor(
    lake: Lake, tmp_path: Path
) -> None:
    """Neither where its versions are fewer than those that were published, nor where they have the same numbers."""
    for number in (2, 4):
        golden.named(lake, tmp_path / "c", items(1, number), f"run-{number}")
    frame = lake.must_open("gold", "t.each").scan().collect()
    shutil.rmtree(Path(lake.settings.root) / "gold/t/each")
    lake.ensure("gold", "t.each", frame.schema)
    assert cared(lake)["gold.t.each"].log_cleaned
    for _ in range(4):
        lake.must_open("gold", "t.each").overwrite(frame, {})
    aged(lake, timedelta(days=40))
    care = cared(lake, keep_publications_days=99)["gold.t.each"]
    assert (care.left, care.log_cleaned) == ((), True)


def test_one_broken_table_does_not_stop_the_care_of_others(lake: Lake) -> None:
    land_items(lake, items(1, 4))
    refine_items(lake)
    entry = max((Path(lake.uri("silver", NAME)) / "_delta_log").glob("*.json"))
    entry.write_bytes(entry.read_bytes()[:20])
    done = {care.table: care for care in maintain(lake, MaintenanceSettings())}
    assert done[f"silver.{NAME}"].failed
    assert not done[f"bronze.{NAME}"].failed
    assert not done[f"quarantine.{NAME}"].failed


def test_replaced_publications_are_known_without_the_history_of_their_table(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look at two tables, and not one at each version; the history may go."""
    for number in range(1, 6):
        golden.named(lake, tmp_path / "c", items(1, number), f"run-{number}")
    aged(lake, timedelta(days=2))
    cared(lake, log_retention_days=0, keep_publications_days=9)
    opened: list[int | None] = []
    real = snapshot.Placed.__init__

    def counted(self: snapshot.Placed, uri: str, options: object = None, version: int | None = None) -> None:
        opened.append(version)
        real(self, uri, options, version)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot.Placed, "__init__", counted)
    assert [each.run_id for each in publications(lake)] == [f"run-{number}" for number in range(5, 0, -1)]
    assert opened == [None, None]
    monkeypatch.undo()
    assert roll_back(lake, golden.PRODUCT, "run-2", "why").run_id == "run-2"
    assert open_product(lake, golden.PRODUCT)["t.each"].collect().height == 2


MARKS = ("Ada-Marked", "marked@example.com", "1999-07-13")


@contextmanager
def first_form() -> Iterator[None]:
    """Write as 0.1.0 did: with bounds of every column, in tables that do not say of which."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (delta, store):
            patch.setattr(module, "as_property", lambda names: {})
        patch.setattr(delta, "writing", lambda names, columns: WriterProperties())
        patch.setattr(delta, "takes", lambda *_: False)
        yield


MARKED = pl.DataFrame(
    {
        "id": ["1", "2"],
        "v": ["10", "-5"],
        "at": [1, 2],
        "name": [MARKS[0]] * 2,
        "mail": [MARKS[1]] * 2,
        "born": [date(1999, 7, 13)] * 2,
        "raw": [MARKS[1].encode()] * 2,
    }
)


def land_marked(lake: Lake, times: int) -> None:
    land(Landing(lake, NAME, NAME, "run"), Frames([MARKED] * times))
    refine_items(lake)
    for layer in ("bronze", "silver", "quarantine"):
        DeltaTable(str(Path(lake.settings.root) / layer / "t/items")).create_checkpoint()


def test_no_value_of_a_source_is_in_the_log_the_checkpoints_or_the_footers(lake: Lake) -> None:
    """Marked values in every kind of column, in accepted rows and in rejected ones."""
    land_marked(lake, 1)
    land_marked(lake, 3)
    cared(lake, compact_from_files=2)
    assert marked(lake) == []


def test_a_table_says_from_its_first_version_on_which_bounds_its_log_keeps(lake: Lake) -> None:
    """Also to a program that knows nothing of headworks."""
    lake.ensure("gold", "t.made", MARKED.schema)
    MARKED.write_delta(lake.uri("gold", "t.made"), mode="append")
    assert [each for each in marked(lake) if "_delta_log" in each] == []


def test_a_log_of_the_first_form_is_silenced_by_care_and_its_history_goes(lake: Lake) -> None:
    """Footers of files that are there stay until these are joined or merged again; the log does not say it any more."""
    with first_form():
        land_marked(lake, 1)
    assert {Path(each).suffix for each in marked(lake)} == {".json", ".parquet"}
    land_marked(lake, 2)
    for _ in range(2):
        cared(lake, later=8, compact_from_files=2)
        aged(lake, timedelta(days=40))
    for care in cared(lake, later=8, compact_from_files=2).values():
        assert care.files_silenced == 0
    assert marked(lake) == []


def marked(lake: Lake) -> list[str]:
    """Return the files of all logs, and the data files by their footers, in which a marked value is."""
    days = (date(1999, 7, 13) - date(1970, 1, 1)).days.to_bytes(4, "little")
    found = []
    for file in sorted(Path(lake.settings.root).rglob("*")):
        if not file.is_file() or "_headworks" in file.parts:
            continue
        data = file.read_bytes()
        if "_delta_log" not in file.parts:
            data = data[-8 - int.from_bytes(data[-8:-4], "little") :]
        if any(mark in data for mark in (*(each.encode() for each in MARKS), days)):
            found.append(str(file.relative_to(lake.settings.root)))
    return found
