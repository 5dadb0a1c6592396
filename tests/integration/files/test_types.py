"""A Parquet column of any type, then of any other: bronze holds what was there, or the file is refused by name."""

from __future__ import annotations

import io
import random
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from headworks.settings import LakeSettings
from headworks.sources.files.delta_types import Nanoseconds
from headworks.sources.files.formats import ParquetOptions
from headworks.sources.files.selection import Files
from headworks.storage.store import Lake
from tests.support.arrow_values import COLUMNS, meanings
from tests.support.items import bronze
from tests.support.stores import Folder
from tests.support.taken_files import NAME, take

PARQUET = Files(format="parquet", settle_s=0)
SEED = 20261129


def put(folder: Folder, path: str, values: pa.Array, **options: bool) -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table({"n": pa.array(range(len(values))), "v": values}), file, **options)
    folder.put(path, file.getvalue())


def held(lake: Lake, path: str) -> list[object]:
    """Return the meanings of a file's values in bronze, in their order."""
    rows = bronze(lake, NAME).filter((pl.col("_file") == path) & pl.col("_refused").is_null()).sort("_line")
    if "v" not in rows.columns:
        return [None] * rows.height
    return meanings(rows.select("v").to_arrow().column("v"))


def every_later_type(first: str, tmp_path: Path, later: list[str]) -> tuple[int, int]:
    """Land a type, then each of the others, in runs of their own; return how many were landed and how many refused."""
    (tmp_path / "in").mkdir(parents=True)
    folder, lake = Folder(tmp_path / "in"), Lake(LakeSettings(root=str(tmp_path / "lake")))
    chance = random.Random(f"{SEED}{first}")
    wanted: dict[str, list[object]] = {}
    for number, name in enumerate([first, *later]):
        path = f"{number:03}.parquet"
        values = COLUMNS[name](chance)
        put(folder, path, values)
        wanted[path] = meanings(values)
    before = folder.root.parent / "later"
    before.mkdir()
    for path in sorted(wanted)[1:]:
        (folder.root / path).rename(before / path)
    report = take(folder, lake, PARQUET)
    if report.refused:
        return 0, 1
    for path in sorted(wanted)[1:]:
        (before / path).rename(folder.root / path)
    take(folder, lake, PARQUET)
    rows = bronze(lake, NAME).filter(pl.col("_refused").is_not_null())
    refused = {path: reason for path, reason in rows.select("_file", "_refused").rows()}
    why = dict(rows.select("_file", "_raw").rows())
    for (path, values), name in zip(sorted(wanted.items()), [first, *later], strict=True):
        if path not in refused:
            assert held(lake, path) == values, (first, name)
            continue
        assert refused[path] == "file|type", (first, name)
        assert held(lake, path) == []
        output = why[path].decode()
        assert "column v" in output, output
        assert "write" in output or "Write" in output, output
    return len(wanted) - len(refused), len(refused)


@pytest.mark.parametrize("first", ["int32", "decimal(10,2)", "date", "struct", "moment us"])
def test_of_any_later_type_bronze_holds_what_was_there_or_the_file_is_refused(
    first: str, tmp_path: Path
) -> None:
    """A seeded sample of later types; `test_all_pairs_of_types` has all of them."""
    landed, refused = every_later_type(first, tmp_path, random.Random(first).sample(sorted(COLUMNS), 14))
    assert landed + refused == 15


@pytest.mark.campaign
@pytest.mark.parametrize("first", sorted(COLUMNS))
def test_all_pairs_of_types(first: str, tmp_path: Path) -> None:
    every_later_type(first, tmp_path, sorted(COLUMNS))


def test_every_type_alone_is_landed_as_it_was_or_refused(tmp_path: Path) -> None:
    """Each in a table of its own: as many are refused as there are without a type that holds their values."""
    refused = set()
    for number, name in enumerate(COLUMNS):
        (tmp_path / f"in{number}").mkdir()
        folder, lake = (
            Folder(tmp_path / f"in{number}"),
            Lake(LakeSettings(root=str(tmp_path / f"lake{number}"))),
        )
        values = COLUMNS[name](random.Random(SEED))
        put(folder, "a.parquet", values)
        report = take(folder, lake, PARQUET)
        if report.refused:
            refused.add(name)
            assert "column v" in report.warnings[0], name
        else:
            assert held(lake, "a.parquet") == meanings(values), name
    assert refused == {
        *("moment ns, parts", "duration ns", "duration s, too long", "list of ns", "list of nulls"),
        "struct with doubled names",
    }


@pytest.mark.parametrize("what", ["cut", "text"])
def test_nanoseconds_are_cut_or_kept_as_text_only_where_that_is_asked_for(
    what: Nanoseconds, folder: Folder, lake: Lake
) -> None:
    put(folder, "a.parquet", pa.array([1, 1_000_001_500, None], pa.timestamp("ns")))
    put(folder, "b.parquet", pa.array([2_000], pa.timestamp("ns")))
    declared = PARQUET.model_copy(update={"parquet": ParquetOptions(nanoseconds=what)})
    assert take(folder, lake, declared).refused == 0
    expected = {
        "cut": [0, 1_000_001, None],
        "text": ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:01.000001500", None],
    }[what]
    assert held(lake, "a.parquet") == expected


def test_moments_of_the_old_type_are_read_over_all_years_and_their_parts_refused(
    folder: Folder, lake: Lake
) -> None:
    """INT96 wraps in 64 bits of nanoseconds, which end in the year 2262."""
    far = pa.array([-62_135_596_800_000_000, 253_402_300_799_999_999, None], pa.int64()).view(
        pa.timestamp("us")
    )
    put(folder, "a.parquet", far, use_deprecated_int96_timestamps=True)
    put(folder, "b.parquet", pa.array([1], pa.timestamp("ns")), use_deprecated_int96_timestamps=True)
    report = take(folder, lake, PARQUET)
    assert held(lake, "a.parquet") == meanings(far)
    assert report.refused == 1
    assert "below a microsecond" in report.warnings[0]


def test_a_refused_file_is_taken_again_where_the_settings_changed_or_it_is_asked_for(
    folder: Folder, lake: Lake
) -> None:
    put(folder, "a.parquet", pa.array([1], pa.timestamp("ns")))
    assert take(folder, lake, PARQUET).refused == 1
    assert take(folder, lake, PARQUET).read == 0
    assert take(folder, lake, PARQUET.model_copy(update={"retake_refused": True})).refused == 1
    cut = PARQUET.model_copy(update={"parquet": ParquetOptions(nanoseconds="cut")})
    assert take(folder, lake, cut).landed == 1
    assert take(folder, lake, cut).read == 0
