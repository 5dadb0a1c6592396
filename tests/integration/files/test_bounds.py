"""What one input may take: small files that hold gigabytes, or that were once read in time with their square."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from headworks.bronze.stamping import METADATA
from headworks.sources.files.header import MOST_COLUMNS, RESERVED
from headworks.sources.files.packing import FILE_COLUMNS

MEGABYTE = 1024 * 1024
WORKER = """
import json, sys, time
from tests.support.memory import peak_kb
from headworks.bronze.landing import Landing, land
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake
from headworks.settings import FilesSettings, LakeSettings
from headworks.sources.files.location import Location
from headworks.sources.files.selection import Files
from headworks.sources.files.source import FileSource

root, form = sys.argv[1:]
lake = Lake(LakeSettings(root=root + "/lake"))
before, began = peak_kb(), time.process_time()
source = FileSource(Location(FilesSettings(root=root + "/in")), Files(format=form, settle_s=0), LakeShelf(lake, "t.x"))
report = land(Landing(lake, "t.x", "t.x", "run"), source)
peak = peak_kb()
reported = {"landed": report.landed, "refused": report.refused, "warnings": report.warnings}
print(json.dumps(reported | {"cpu_s": time.process_time() - began, "more_mb": (peak - before) / 1024}))
"""


def parquet_of(values: pa.Array, **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"v": values}), buffer, compression="zstd", **options)
    return buffer.getvalue()


def odd_lines() -> bytes:
    """One column, quotes within the values, and a blank line now and then: nothing for the fast way."""
    lines = [b'pipe 5" no %d\n' % number + (b"\n" if number % 2000 == 0 else b"") for number in range(60_000)]
    return b"note\n" + b"".join(lines)


def wide() -> bytes:
    names = b",".join(b"c%d" % number for number in range(MOST_COLUMNS))
    return names + b"\n" + b",".join(b"%d" % number for number in range(MOST_COLUMNS)) + b"\n"


FILES: dict[str, tuple[str, str, Callable[[], bytes], int, int, int]] = {
    "one value of 90 MB": (
        "parquet", "a.parquet", lambda: parquet_of(pa.array(["A" * (90 * MEGABYTE)])), 0, 1, 200,
    ),
    "a value of 1 MB, 400 times": (
        "parquet", "a.parquet", lambda: parquet_of(pa.array(["A" * MEGABYTE] * 400)), 400, 0, 1_300,
    ),
    "five million equal numbers": (
        "parquet", "a.parquet",
        lambda: parquet_of(pa.array([0] * 5_000_000, pa.int8()), row_group_size=5_000_000), 5_000_000, 0, 700,
    ),
    "a list of ten million": (
        "parquet", "a.parquet",
        lambda: parquet_of(pa.ListArray.from_arrays([0, 10_000_000], pa.array([7] * 10_000_000, pa.int8()))), 0, 1, 200,
    ),
    "a line of 100 MB": (
        "csv", "a.csv.gz", lambda: gzip.compress(b"v\n1\n" + b"A" * (100 * MEGABYTE) + b"\n2\n", 1), 2, 4, 900,
    ),
    "60,000 lines for the slow way": ("csv", "a.csv", odd_lines, 60_000, 30, 500),
    "five million lines of one digit": ("csv", "a.csv", lambda: b"v\n" + b"1\n" * 5_000_000, 5_000_000, 0, 700),
    "three million lines that are no records": ("ndjson", "a.ndjson", lambda: b"1\n" * 3_000_000, 0, 1, 500),
    "as many columns as are read": ("csv", "a.csv", wide, 1, 0, 700),
}  # fmt: skip
"""Files by what is in them: format, name, content, rows that land, records refused, and megabytes at most."""


@pytest.mark.sampled(4)
@pytest.mark.parametrize("what", FILES)
def test_no_single_input_takes_more_than_a_bounded_memory_and_time(what: str, tmp_path: Path) -> None:
    form, name, made, landed, refused, most_mb = FILES[what]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(made())
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path), form], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found["landed"] == landed, found
    assert (found["refused"] > 0) == (refused > 0), found
    assert found["more_mb"] < most_mb, found
    assert found["cpu_s"] < 30, found


def test_every_column_of_bronzes_own_is_a_reserved_name() -> None:
    assert {*METADATA, *FILE_COLUMNS} <= RESERVED
