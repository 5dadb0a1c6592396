"""One poisoned item of every kind among good ones: the good ones land, the other is named, and can be taken again.

Each format is tried over four runs: with all that is wrong, again, with each of them corrected, and again.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from headworks.reports import LandingReport
from headworks.sources.files.formats import CsvOptions, Format
from headworks.sources.files.header import MOST_COLUMNS
from headworks.sources.files.selection import Files
from headworks.storage.store import Lake
from tests.support.items import bronze
from tests.support.stores import Folder, Store
from tests.support.taken_files import NAME, take

DEEP = b'{"a":' * 1500 + b"1" + b"}" * 1500
DEEPER = b'{"id":1,"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
LONG_NUMBER = b'{"id":"7","a":' + b"9" * 5000 + b"}"
PAGE = b"<!DOCTYPE html>\n<html><body>403, forbidden</body></html>\n"


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", data)
    return buffer.getvalue()


def parquet_of(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def good(form: str, key: str) -> bytes:
    return {
        "csv": f"id,v\n{key},x\n".encode(),
        "ndjson": f'{{"id":"{key}"}}\n'.encode(),
        "json": f'[{{"id":"{key}"}}]'.encode(),
        "parquet": parquet_of(id=[key]),
    }[form]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


OTHERS = {
    "gzip": gzip.compress(b"id\n9\n"),
    "bzip2": bz2.compress(b"id\n9\n"),
    "xz": lzma.compress(b"id\n9\n"),
    "zip": zipped(b"id\n9\n"),
    "HTML": PAGE,
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "Office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
}
"""Files of other kinds, by a word that the account must say of them."""

TEXTS = {"utf-16": "id,v\n9,x\n".encode("utf-16"), "utf-32": "id,v\n9,x\n".encode("utf-32")}

POISON: dict[Format, dict[str, bytes]] = {
    "csv": {
        **TEXTS,
        "duplicate": b"id,ID\n1,2\n",
        "control characters": b"id,a\x00b\n1,2\n",
        "case alone": b"Id,v\n1,2\n",
        "reserved": b"id,_FILE\n1,2\n",
        "5,000 are read": b",".join(b"c%d" % n for n in range(MOST_COLUMNS + 1)) + b"\n",
        "not closed": b'id,"v\n1,2\n',
        "are not utf-8": b"id,\xff\n1,2\n",
    },
    "ndjson": {"utf-16": '{"id":"9"}\n'.encode("utf-16")},
    "json": {"utf-16": '[{"id":"9"}]'.encode("utf-16")},
    "parquet": {
        "file|parquet": b"PAR1 nonsense",
        "no Parquet file": b"id,v\n1,x\n",
        "id is String in bronze": parquet_of(id=pa.array([7])),
        "duplicate": parquet_of(id=["9"], ID=["8"]),
        "control characters": parquet_of(**{"id": ["9"], "a\0b": ["8"]}),
        "reserved": parquet_of(id=["9"], _line=["8"]),
        "is timestamp[ns] in the file": parquet_of(id=["9"], t=pa.array([1], pa.timestamp("ns"))),
        "too_large": parquet_of(id=["A" * (70 * 1024 * 1024)]),
        "file|unreadable|file|parquet": flipped(parquet_of(id=["9"] * 1000), 40),
    },
}
"""Files of which nothing is landed, by what the account must say of them."""

LINES: dict[Format, dict[str, bytes]] = {
    "csv": {
        "line|fields": b"id,v\na1,x\n1\nb1,x\n",
        "line|quote": b'id,v\na2,x\n1,"x" y\nb2,x\n',
        "line|encoding": b"id,v\na3,x\n1,\xff\nb3,x\n",
        "line|carriage_return": b"id,v\na4,x\n1,x\ry\nb4,x\n",
    },
    "ndjson": {
        "line|nested": b'{"id":"a1"}\n' + DEEP + b'\n{"id":"b1"}\n',
        "line|nested too": b'{"id":"a2"}\n' + DEEPER + b'\n{"id":"b2"}\n',
        "line|json": b'{"id":"a3"}\n{"id":\n{"id":"b3"}\n',
        "line|encoding": b'{"id":"a4"}\n{"id":"\xff"}\n{"id":"b4"}\n',
    },
    "json": {
        "line|nested": b'[{"id":"a1"},' + DEEP + b',{"id":"b1"}]',
        "line|nested too": b'[{"id":"a2"},' + DEEPER + b',{"id":"b2"}]',
        "line|json": b'[{"id":"a3"},17,{"id":"b3"}]',
        "line|encoding": b'[{"id":"a4"},{"id":"\xff"},{"id":"b4"}]',
    },
    "parquet": {},
}
"""Files with one record at fault between two good ones, by its reason."""


def ids(lake: Lake, form: str) -> list[str]:
    """Return the ids of all good rows, sorted."""
    rows = bronze(lake, NAME).filter(pl.col("_refused").is_null())
    if form in {"csv", "parquet"}:
        return sorted(rows.get_column("id").to_list())
    found = rows.select(pl.col("record").cast(pl.String).str.json_path_match("$.id")).to_series()
    return sorted(found.to_list())


def output(report: LandingReport, path: str) -> str:
    """Return what the account says of a file."""
    return " ".join(each for each in report.warnings if each.startswith(path))


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "parquet"])
def test_poisoned_files_and_records_stop_no_other_over_four_runs(
    form: Format, folder: Folder, lake: Lake
) -> None:
    files = Files(format=form, settle_s=0, csv=CsvOptions())
    if form == "csv":
        folder.put("000", good(form, "g0"))
    poison = dict(POISON[form])
    poison |= {word: data for word, data in OTHERS.items() if form != "csv" or word not in TEXTS}
    folder.put("00-first", good(form, "g1"))
    for number, data in enumerate(poison.values()):
        folder.put(f"p{number:02}", data)
        folder.put(f"q{number:02}", good(form, f"g{number:02}-after"))
    for number, data in enumerate(LINES[form].values()):
        folder.put(f"r{number:02}", data)
    folder.put("z-last", good(form, "g2"))

    first = take(folder, lake, files)
    expected = [f"g{number:02}-after" for number in range(len(poison))]
    expected += ["g1", "g2", *(["g0"] if form == "csv" else [])]
    expected += [f"{place}{number + 1}" for number in range(len(LINES[form])) for place in "ab"]
    assert ids(lake, form) == sorted(expected)
    assert first.refused == len(poison) + len(LINES[form])
    refused = bronze(lake, NAME).filter(pl.col("_refused").is_not_null())
    reasons = dict(refused.select("_file", "_refused").iter_rows())
    for number, words in enumerate(poison):
        path = f"p{number:02}"
        assert any(word in f"{output(first, path)} {reasons[path]}" for word in words.split("|file|")), words
        assert reasons[path].startswith("file|"), words
    for number, word in enumerate(LINES[form]):
        assert reasons[f"r{number:02}"] == word.removesuffix(" too")

    second = take(folder, lake, files)
    assert (second.read, second.refused) == (0, 0)

    for number in range(len(poison)):
        folder.put(f"p{number:02}", good(form, f"g{number:02}-corrected"))
    third = take(folder, lake, files)
    assert (third.landed, third.refused) == (len(poison), 0)
    expected += [f"g{number:02}-corrected" for number in range(len(poison))]
    assert ids(lake, form) == sorted(expected)
    assert take(folder, lake, files).read == 0


TEXT = b"id,v\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 1000) for n in range(20_000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


@pytest.mark.sampled(16)
@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("rows", [100, 20_000])
@pytest.mark.parametrize(
    "damage", ["cut by 1", "cut by 4", "cut in half", "a byte changed at the end", "zeros", "another one cut"]
)
def test_all_that_comes_before_a_damage_is_landed(
    ending: str, rows: int, damage: str, store: Store, lake: Lake
) -> None:
    text = b"\n".join(TEXT.split(b"\n")[: rows + 1]) + b"\n"
    packed = PACKERS[ending](text)
    data = {
        "cut by 1": packed[:-1],
        "cut by 4": packed[:-4],
        "cut in half": packed[: len(packed) // 2],
        "a byte changed at the end": flipped(packed, len(packed) - 6),
        "zeros": packed + b"\0" * 512,
        "another one cut": packed + PACKERS[ending](b"x,y\n")[:-6],
    }[damage]
    store.put(f"a.csv.{ending}", data)
    store.put("b.csv", b"id,v\nb,1\n")
    report = take(store, lake)
    found = bronze(lake, NAME).filter((pl.col("_file") == f"a.csv.{ending}") & pl.col("_refused").is_null())
    values = found.sort("_line").get_column("id").to_list()
    wanted = [str(number) for number in range(rows)]
    if ending == "gz" or "changed" not in damage:
        # A frame of Zstandard without a checksum does not show a changed byte: a changed value is a value.
        assert values[:-1] == wanted[: max(0, len(values) - 1)]
    whole = damage not in {"cut in half", "a byte changed at the end"} and ending == "gz"
    if whole:
        # All of it is there; only its end is at fault.
        assert values[:rows] == wanted
    elif damage == "cut in half" and ending == "gz":
        assert len(values) > rows // 4
    elif damage.startswith("cut by") and rows == 20_000:
        # A block of Zstandard, 128 KiB, is there as a whole or not at all.
        assert len(values) > 128 * 1024 // 10
    if report.warnings:
        assert report.refused >= 1
        assert "a.csv" in report.warnings[0]
    else:
        assert (ending, "changed" in damage) == ("zst", True)
    assert take(store, lake).read == 0
    store.put(f"a.csv.{ending}", packed)
    assert take(store, lake).landed == rows


@pytest.mark.parametrize("seed", range(4))
def test_a_byte_changed_anywhere_in_a_compressed_file_loses_nothing_before_it(
    seed: int, folder: Folder, lake: Lake
) -> None:
    """Twelve seeded damages: what is landed is the beginning of the text, and the damage is counted."""
    chance = random.Random(seed)
    ending, packed = "gz", gzip.compress(TEXT)
    for number in range(3):
        at = chance.randrange(len(packed) // 4, len(packed))
        folder.put(f"{number}.csv.{ending}", flipped(packed, at))
    report = take(folder, lake)
    rows = bronze(lake, NAME)
    for number in range(3):
        mine = rows.filter(pl.col("_file") == f"{number}.csv.{ending}")
        good_rows = mine.filter(pl.col("_refused").is_null()).sort("_line").get_column("id").to_list()
        reason_of = output(report, f"{number}.csv")
        assert "compression" in reason_of
        assert len(good_rows) >= 20_000 // 8
