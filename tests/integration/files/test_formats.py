"""What is in a file becomes rows: its format, its types, its encoding, its damage."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.reports import LandingReport
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.selection import Files
from headworks.storage.store import Lake
from tests.support.items import bronze
from tests.support.stores import Folder, Store
from tests.support.taken_files import NAME, source, take, values


def test_ndjson_json_and_parquet_files(store: Store, lake: Lake) -> None:
    store.put("a.ndjson", b'{"id": 1}\n{"id": 2\n\n{"id": 3}')
    store.put("b.ndjson.gz", gzip.compress(b'\xef\xbb\xbf{"id": 4}\r\n[5]\n'))
    take(store, lake, Files(format="ndjson", pattern="*.ndjson*", settle_s=0))
    rows = bronze(lake, NAME).sort("_file", "_line")
    assert rows.select("record", "_line", "_refused", "_raw").rows() == [
        (b'{"id": 1}', 1, None, None),
        (None, 2, "line|json", b'{"id": 2'),
        (b'{"id": 3}', 4, None, None),
        (b'{"id": 4}\r', 1, None, None),
        (None, 2, "line|json", b"[5]"),
    ]
    store.put("c.json", b'[\n {"id": 6},\n {"id": "7"}, 8]')
    store.put("d.json", b'[{"id": 9}, {"id": ]')
    take(store, lake, Files(format="json", pattern="*.json", settle_s=0))
    rows = bronze(lake, NAME).filter(pl.col("_file").is_in(["c.json", "d.json"])).sort("_file", "_line")
    assert rows.select("record", "_line", "_refused", "_raw").rows() == [
        (b'{"id": 6}', 1, None, None),
        (b'{"id": "7"}', 2, None, None),
        (None, 3, "line|json", b"8"),
        (b'{"id": 9}', 1, None, None),
        (None, 2, "array|broken", b'{"id": ]'),
    ]


def test_parquet_files_keep_their_types_and_are_read_on_from_any_row(
    store: Store, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headworks.sources.files.source._AHEAD_BYTES", 100)
    frame = pl.DataFrame({"id": range(1000), "d": [f"{n}.50" for n in range(1000)]}).with_columns(
        pl.col("d").cast(pl.Decimal(10, 2)),
        at=pl.lit(datetime(2026, 1, 5, 8, tzinfo=UTC)),
        u=pl.lit(2**63, dtype=pl.UInt64),
        t=pl.lit(1).cast(pl.Time),
    )
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=300)
    store.put("a.parquet", (tmp_path / "a.parquet").read_bytes())
    store.put("b.parquet", b"PAR1 nonsense")
    files = Files(format="parquet", settle_s=0)

    class Stopped(Exception):
        pass

    def stop(report: LandingReport) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        land(Landing(lake, NAME, NAME, "run"), source(store, lake, files, batch_rows=250), on_batch=stop)
    report = take(store, lake, files)
    assert report.refused == 1
    rows = bronze(lake, NAME).filter(pl.col("_refused").is_null()).sort("id")
    assert rows.select("id", "d", "at").equals(frame.select("id", "d", "at"))
    assert rows.get_column("u").to_list() == [2**63] * 1000
    assert rows.get_column("_line").to_list() == list(range(1, 1001))


def test_a_damaged_compressed_file_gives_what_comes_before_the_damage_and_one_refused_record(
    store: Store, lake: Lake
) -> None:
    data = "id,v\n" + "".join(f"{n},{random.Random(n).random()}\n" for n in range(20_000))
    store.put("a.csv.gz", gzip.compress(data.encode())[:-5000])
    report = take(store, lake)
    assert report.refused == 1
    assert 10_000 < report.landed < 20_000
    assert "a.csv.gz cannot be read from line" in report.warnings[0]
    assert take(store, lake).read == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_encodings(folder: Folder, lake: Lake, encoding: str) -> None:
    folder.put("a.csv", "id,v\nä,1\n".encode(encoding))
    take(folder, lake, Files(format="csv", settle_s=0, csv=CsvOptions(encoding=encoding)))
    assert values(lake) == ["ä"]


def test_a_new_column_is_added_and_a_missing_one_is_null(folder: Folder, lake: Lake) -> None:
    folder.put("a.csv", b"id,v\n1,x\n")
    take(folder, lake)
    folder.put("b.csv", b"w,id\ny,2\n")
    take(folder, lake)
    assert bronze(lake, NAME).sort("id").select("id", "v", "w").rows() == [("1", "x", None), ("2", None, "y")]
