"""Files in a folder and in an object store: each version of each file is landed once, whatever happens meanwhile."""

from __future__ import annotations

import gzip
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.landing import Landing, land
from headworks.bronze.readers import FileIngest
from headworks.names import Window
from headworks.reports import LandingReport
from headworks.sources.files.location import Location
from headworks.sources.files.selection import Files
from headworks.sources.files.source import FileSource
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake
from tests.support.items import bronze
from tests.support.stores import LONG_AGO, Bucket, Folder, Store
from tests.support.taken_files import CSV, NAME, Interrupted, big, source, take, values


def test_a_thousand_files_malformed_changed_arriving_and_vanishing_are_each_taken_once(
    store: Store, lake: Lake
) -> None:
    """Three runs; while each reads, files arrive, change and vanish. At the end every version is there once."""
    chance = random.Random(20260105)
    numbers = itertools.count()
    expected: Counter[tuple[str, str]] = Counter()
    bad = 0

    def write(path: str) -> None:
        nonlocal bad
        ids = [f"{next(numbers)}" for _ in range(3)]
        lines = [f"{each},x" for each in ids]
        if chance.random() < 0.1:
            lines.insert(chance.randrange(4), "broken")
            bad += 1
        store.put(path, ("id,v\n" + "\n".join(lines) + "\n").encode())
        for each in ids:
            expected[(path, each)] += 1

    paths = [f"{number % 7}/{number}.csv" for number in range(1000)]
    for path in paths:
        write(path)
    first = take(store, lake, batch_files=300)
    assert (first.read, first.batches) == (3000 + bad, 4)

    for path in chance.sample(paths, 20):
        write(path)
    arriving: dict[int, Callable[[], None]] = {
        number: partial(write, f"new/{number}.csv") for number in (1, 5, 9)
    }
    location = Interrupted(store.settings, arriving)
    second = land(
        Landing(lake, NAME, NAME, "run"),
        FileSource(location, CSV, LakeShelf(lake, NAME), batch_files=7),
    )
    assert second.landed == 60
    third = take(store, lake)
    assert third.landed == 9

    rows = bronze(lake, NAME)
    good = rows.filter(pl.col("_refused").is_null())
    assert Counter(good.select("_file", "id").iter_rows()) == expected
    refused = rows.filter(pl.col("_refused").is_not_null())
    assert refused.get_column("_raw").to_list() == [b"broken"] * bad
    assert all(line in range(2, 6) for line in refused.get_column("_line"))
    assert take(store, lake).read == 0


def test_a_file_is_taken_again_when_it_was_changed_and_not_when_it_was_not(store: Store, lake: Lake) -> None:
    store.put("a.csv", b"id\n1\n")
    store.put("b.csv", b"id\n2\n")
    take(store, lake)
    store.put("a.csv", b"id\n1\n3\n")
    assert take(store, lake).landed == 2
    versions = bronze(lake, NAME).filter(pl.col("_file") == "a.csv").get_column("_file_version").n_unique()
    assert (values(lake), versions) == (["1", "1", "2", "3"], 2)


def test_a_file_that_vanishes_between_listing_and_reading_is_told_and_the_rest_is_taken(
    store: Store, lake: Lake
) -> None:
    for name in ("a", "b", "c"):
        store.put(f"{name}.csv", b"id\n%d\n" % ord(name))
    location = Interrupted(store.settings, {1: lambda: store.delete("a.csv")})
    taken = FileSource(location, CSV, LakeShelf(lake, NAME))
    report = land(Landing(lake, NAME, NAME, "run"), taken)
    assert values(lake) == ["98", "99"]
    assert [warning for warning in report.warnings if warning.startswith("a.csv vanished")]


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_is_changed_while_it_is_read_is_taken_whole_by_the_next_run(
    store: Store, lake: Lake
) -> None:
    """Batches that were landed before stay, and the account shows; the rows of the new version come after them."""
    store.put("a.csv", big(0, 100))
    location = Interrupted(store.settings, {4: lambda: store.put("a.csv", big(1000, 1050))})
    interrupted = FileSource(location, CSV, LakeShelf(lake, NAME), batch_bytes=1500)
    first = land(Landing(lake, NAME, NAME, "run"), interrupted)
    assert 0 < first.landed < 100
    assert "changed while it was read" in first.warnings[-1]
    second = take(store, lake)
    assert second.landed == 50
    assert f"after {first.landed + 1} lines" in second.warnings[0]
    assert len(values(lake)) == first.landed + 50
    assert take(store, lake).read == 0


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_file_read_in_parts_goes_on_after_the_last_committed_batch(
    store: Store, lake: Lake, ending: str
) -> None:
    """A reading that stops after any of its batches is followed by one that takes the rest, and nothing twice."""
    data = big(0, 300)
    packed = {
        "": data,
        ".gz": gzip.compress(data),
        ".zst": pa.compress(data, codec="zstd", asbytes=True),
    }[ending]
    store.put(f"a.csv{ending}", packed)

    class Stopped(Exception):
        pass

    def stop(report: LandingReport) -> None:
        raise Stopped

    runs = 0
    while True:
        runs += 1
        try:
            land(
                Landing(lake, NAME, NAME, "run"),
                source(store, lake, batch_bytes=2500),
                on_batch=stop,
            )
            break
        except Stopped:
            continue
    assert runs > 3
    rows = bronze(lake, NAME).sort("_line")
    assert rows.get_column("id").to_list() == [f"{n}" for n in range(300)]
    assert rows.get_column("_line").to_list() == list(range(2, 302))


def test_a_half_read_file_that_vanished_and_came_back_is_taken_on_from_where_it_was_left(
    store: Store, lake: Lake, small_blocks: None
) -> None:
    store.put("a.csv", big(0, 100))
    path = "a.csv"
    location = Interrupted(store.settings, {4: lambda: store.delete(path)})
    gone = FileSource(location, CSV, LakeShelf(lake, NAME), batch_bytes=1500)
    first = land(Landing(lake, NAME, NAME, "run"), gone)
    assert "vanished" in first.warnings[-1]
    assert take(store, lake).read == 0
    store.put("a.csv", big(0, 100))
    if isinstance(store, Bucket):
        assert take(store, lake).landed == 100 - first.landed
        assert sorted(map(int, values(lake))) == list(range(100))


def test_a_file_that_may_still_be_written_is_left_for_a_later_run(folder: Folder, lake: Lake) -> None:
    folder.put("old.csv", b"id\n1\n")
    folder.put("new.csv", b"id\n2\n")
    settled = Files(format="csv", settle_s=10)
    soon = LONG_AGO + timedelta(seconds=11.5)
    report = take(folder, lake, settled, clock=lambda: soon)
    assert values(lake) == ["1"]
    assert "new.csv" in report.warnings[0]
    take(folder, lake, settled, clock=lambda: soon + timedelta(seconds=1))
    assert values(lake) == ["1", "2"]


def test_a_file_from_the_far_future_is_not_waited_for(folder: Folder, lake: Lake) -> None:
    folder.put("a.csv", b"id\n1\n")
    take(folder, lake, Files(format="csv", settle_s=10), clock=lambda: LONG_AGO - timedelta(days=1))
    assert values(lake) == ["1"]


def test_patterns_hidden_names_and_folders(store: Store, lake: Lake) -> None:
    for path in ("a.csv", "b.txt", "x/c.csv", "x/y/d.csv", "x/.e.csv", "_tmp/f.csv", "x/g.csv.part"):
        store.put(path, b"id\n%s\n" % path.encode())
    wanted = Files(format="csv", pattern="x/**/*.csv", settle_s=0)
    take(store, lake, wanted)
    assert values(lake) == ["x/c.csv", "x/y/d.csv"]


def test_a_full_read_takes_all_files_again_in_a_stream_of_its_own(folder: Folder, lake: Lake) -> None:
    folder.put("a.csv", b"id\n1\n")
    request = IngestRequest(lake, NAME, "run")
    ingest(request, FileIngest(source(folder, lake)))
    folder.put("b.csv", b"id\n2\n")
    whole, live = ingest(
        replace(request, mode="full", run_id="another run"), FileIngest(source(folder, lake))
    )
    assert (whole.landed, whole.generation, live.landed) == (2, 1, 1)
    assert values(lake) == ["1", "1", "2", "2"]


def test_a_window_takes_the_files_modified_in_it_beside_the_live_position(folder: Folder, lake: Lake) -> None:
    for number in range(1, 5):
        folder.put(f"{number}.csv", b"id\n%d\n" % number)
    window = Window(start=LONG_AGO + timedelta(seconds=2), end=LONG_AGO + timedelta(seconds=4))
    (report,) = ingest(IngestRequest(lake, NAME, "run", window=window), FileIngest(source(folder, lake)))
    assert values(lake) == ["2", "3"]
    assert report.stream != NAME
    assert take(folder, lake).landed == 4


def test_a_dry_run_counts_and_changes_nothing(folder: Folder, lake: Lake) -> None:
    for number in range(500):
        folder.put(f"{number}.csv", b"id\n1\nx,y\n")
    dry = FileSource(Location(folder.settings), CSV, LakeShelf(lake, NAME, dry_run=True))
    (report,) = ingest(IngestRequest(lake, NAME, "run", dry_run=True), FileIngest(dry))
    assert (report.read, report.would_land, report.refused) == (1000, 500, 500)
    assert not Path(lake.settings.root).exists()


def test_the_position_stays_small_and_segments_few_with_very_many_files(lake: Lake) -> None:
    """Without files: what a run notes for 12,000 of them, 40 a batch, and what the next run reads of it."""
    from headworks.sources.files.progress import FileVersion, Progress

    progress = Progress.at(None, LakeShelf(lake, NAME))
    longest = 0
    position: dict[str, Any] = {}
    listed = [FileVersion(f"2026/{n % 31}/receipts-{n:06}.csv.gz", f"v{n}", 1, n) for n in range(12_000)]
    for start in range(0, len(listed), 40):
        for file in listed[start : start + 40]:
            progress.finished(file)
        position = progress.position()
        longest = max(longest, len(str(position)))
    assert longest < 15_000
    assert len(position["segments"]) <= 10
    again = Progress.at(position, LakeShelf(lake, NAME))
    assert again.missing(listed) == []
    changed = replace(listed[7], version="v2")
    assert again.missing([*listed, changed]) == [changed]
