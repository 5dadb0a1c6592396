"""Files in a folder and in an object store: each version of each file is landed once, whatever happens meanwhile."""

from __future__ import annotations

import gzip
import itertools
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from headworks.errors import CredentialsRefused, SettingsError, SourceMissing, SourceUnavailable
from headworks.lake.intake import TakeIn, take_in
from headworks.lake.landing import Landing, land
from headworks.lake.shelf import LakeShelf
from headworks.lake.store import Lake
from headworks.names import Window
from headworks.observe.report import LandingReport
from headworks.settings import FilesSettings
from headworks.sources.files import content
from headworks.sources.files.formats import CsvOptions
from headworks.sources.files.location import Location
from headworks.sources.files.selection import Files
from headworks.sources.files.source import FileSource
from headworks.sources.intakes import FileIntake
from tests.support.items import bronze
from tests.support.stores import LONG_AGO, Bucket, Folder, Store

NAME = "t.files"
CSV = Files(format="csv", settle_s=0)


@pytest.fixture(scope="session")
def s3() -> Iterator[tuple[Any, dict[str, str]]]:
    """What an S3 server in this process holds, and the options with which the engine reaches it over HTTP."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "s3-secret-never-shown",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    yield s3_backends[DEFAULT_ACCOUNT_ID]["aws"], options
    server.stop()


_BUCKETS = itertools.count(1)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty place for files, of both kinds."""
    if request.param == "folder":
        (tmp_path / "in").mkdir()
        return Folder(tmp_path / "in")
    backend, options = request.getfixturevalue("s3")
    bucket = Bucket(backend, f"files-{next(_BUCKETS)}", options)
    backend.create_bucket(bucket.bucket, "us-east-1")
    return bucket


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder for files."""
    (tmp_path / "in").mkdir()
    return Folder(tmp_path / "in")


def source(store: Store, lake: Lake, files: Files = CSV, **changed: Any) -> FileSource:
    return FileSource(Location(store.settings), files, LakeShelf(lake, NAME), **changed)


def take(store: Store, lake: Lake, files: Files = CSV, **changed: Any) -> LandingReport:
    return land(Landing(lake, NAME, NAME, "run"), source(store, lake, files, **changed))


def values(lake: Lake) -> list[Any]:
    """Return the ids of all good rows, sorted, doubled ones included."""
    rows = bronze(lake, NAME).filter(pl.col("_refused").is_null())
    return sorted(rows.get_column("id").to_list())


class Interrupted(Location):
    """A location in which something happens when a file is read for the n-th time."""

    def __init__(self, settings: FilesSettings, at: dict[int, Callable[[], None]]) -> None:
        super().__init__(settings)
        self._at, self._reads = at, 0

    def read(self, file: Any, start: int, end: int) -> bytes:
        """Let it happen, then read."""
        self._reads += 1
        self._at.pop(self._reads, lambda: None)()
        return super().read(file, start, end)


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
    arriving = {number: (lambda n=number: write(f"new/{n}.csv")) for number in (1, 5, 9)}  # type: ignore[misc]
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


def big(first: int, last: int, width: int = 40) -> bytes:
    return b"id,v\n" + b"".join(b"%d,%s\n" % (n, b"x" * width) for n in range(first, last))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a thousand bytes, so that a file of some thousand has several."""
    monkeypatch.setattr(content, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(content, "_PART_BYTES", 1000)
    monkeypatch.setattr("headworks.sources.files.source._AHEAD_BYTES", 100)


@pytest.mark.usefixtures("small_blocks")
def test_a_file_that_is_changed_while_it_is_read_is_taken_whole_by_the_next_run(
    store: Store, lake: Lake
) -> None:
    """Batches that were landed before stay, and the account tells; the rows of the new version come after them."""
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


def test_a_full_read_takes_all_files_again_in_a_stream_of_its_own(folder: Folder, lake: Lake) -> None:
    folder.put("a.csv", b"id\n1\n")
    request = TakeIn(lake, NAME, "run")
    take_in(request, FileIntake(source(folder, lake)))
    folder.put("b.csv", b"id\n2\n")
    whole, live = take_in(
        replace(request, mode="full", run_id="another run"), FileIntake(source(folder, lake))
    )
    assert (whole.landed, whole.generation, live.landed) == (2, 1, 1)
    assert values(lake) == ["1", "1", "2", "2"]


def test_a_window_takes_the_files_modified_in_it_beside_the_live_position(folder: Folder, lake: Lake) -> None:
    for number in range(1, 5):
        folder.put(f"{number}.csv", b"id\n%d\n" % number)
    window = Window(start=LONG_AGO + timedelta(seconds=2), end=LONG_AGO + timedelta(seconds=4))
    (report,) = take_in(TakeIn(lake, NAME, "run", window=window), FileIntake(source(folder, lake)))
    assert values(lake) == ["2", "3"]
    assert report.stream != NAME
    assert take(folder, lake).landed == 4


def test_a_dry_run_counts_and_changes_nothing(folder: Folder, lake: Lake) -> None:
    for number in range(500):
        folder.put(f"{number}.csv", b"id\n1\nx,y\n")
    dry = FileSource(Location(folder.settings), CSV, LakeShelf(lake, NAME, dry_run=True))
    (report,) = take_in(TakeIn(lake, NAME, "run", dry_run=True), FileIntake(dry))
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


@contextmanager
def refusing_server() -> Iterator[str]:
    """A server that answers 403 to everything."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_is_wrong_with_a_location_is_said_by_its_class_without_its_secrets(
    s3: tuple[Any, dict[str, str]], tmp_path: Path
) -> None:
    _, options = s3

    def place(root: str, **changed: str) -> FilesSettings:
        return Bucket(None, "", {**options, **changed}).settings.model_copy(update={"root": root})

    with pytest.raises(SourceMissing, match="not there"):
        Location(FilesSettings(root=str(tmp_path / "nowhere")))
    with pytest.raises(SourceMissing, match="not there") as missing:
        list(Location(place("s3://no-such-bucket/in")).listed())
    with pytest.raises(SourceUnavailable) as unreachable:
        list(Location(place("s3://files/in", AWS_ENDPOINT_URL="http://127.0.0.1:9")).listed())
    with pytest.raises(SettingsError):
        Location(place("ftp://host/in"))
    with pytest.raises(SettingsError, match="nonsense"):
        Location(place("s3://files/in", NONSENSE="1"))
    with refusing_server() as url, pytest.raises(CredentialsRefused) as refused:
        list(Location(place("s3://files/in", AWS_ENDPOINT_URL=url)).listed())
    for caught in (missing, unreachable, refused):
        assert "s3-secret-never-shown" not in f"{caught.value} {caught.value.__cause__}"
