"""What of a folder or a bucket is not read: each way is counted in the account, and every other file lands."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.landing import Landing, land
from headworks.bronze.readers import FileIngest
from headworks.errors import CredentialsRefused, SettingsError, SourceMissing
from headworks.ops.account import account_text
from headworks.ops.recorder import Recorder
from headworks.settings import FilesSettings
from headworks.sources.files import left_out
from headworks.sources.files.location import Location
from headworks.sources.files.selection import Files
from headworks.sources.files.source import FileSource
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake
from tests.support.stores import LONG_AGO, Bucket, Folder
from tests.support.taken_files import CSV, NAME, Interrupted, source, take, values


def link(target: str, name: str) -> Callable[[Path], None]:
    def made(root: Path) -> None:
        (root / name).symlink_to(target, target_is_directory=False)

    return made


def written(name: str) -> Callable[[Path], None]:
    def made(root: Path) -> None:
        (root / name).write_bytes(b"id\n9\n")

    return made


def pipe(root: Path) -> None:
    os.mkfifo(root / "pipe.csv")


def bound_socket(root: Path) -> None:
    before = Path.cwd()
    os.chdir(root)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s.csv")
    finally:
        os.chdir(before)


def latin(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.csv")).write_bytes(b"id\n9\n")


def outside(root: Path) -> None:
    (root.parent / "secret.csv").write_bytes(b"id\nsecret\n")
    (root / "secret.csv").symlink_to(root.parent / "secret.csv")


def outside_folder(root: Path) -> None:
    (root.parent / "other").mkdir()
    (root.parent / "other" / "x.csv").write_bytes(b"id\nsecret\n")
    (root / "other").symlink_to("../other")


def circle(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a" / "b").symlink_to(root / "a")


WAYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link to a file outside": (outside, left_out.LINK_OUT),
    "a link to a folder outside": (outside_folder, left_out.LINK_OUT),
    "a link to the folder above": (link("..", "up"), left_out.LINK_OUT),
    "a link to the root of the disk": (link("/", "disk"), left_out.LINK_OUT),
    "a link to itself": (link("l.csv", "l.csv"), left_out.LINK_NOWHERE),
    "a link to nothing": (link("nothing", "l.csv"), left_out.LINK_NOWHERE),
    "links in a circle": (circle, left_out.LINK_NOWHERE),
    "a pipe": (pipe, left_out.SPECIAL),
    "a socket": (bound_socket, left_out.SPECIAL),
    "a name that is no UTF-8": (latin, left_out.NOT_TEXT),
    "a hidden file": (written(".x.csv"), left_out.HIDDEN_NAME),
    "another ending": (written("x.txt"), left_out.NOT_WANTED),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_read_is_counted_by_its_reason_and_stops_no_other_file(
    way: str, folder: Folder, lake: Lake
) -> None:
    make, reason = WAYS[way]
    folder.put("a.csv", b"id\n1\n")
    make(folder.root)
    folder.put("z.csv", b"id\n2\n")
    wanted = Files(format="csv", pattern="**/*.csv", settle_s=0)
    report = take(folder, lake, wanted)
    assert values(lake) == ["1", "2"]
    assert report.left_out == {reason: 1}
    recorder = Recorder("run", "ingest_files", "incremental", "lake")
    recorder.landings.append(report)
    assert reason in account_text(recorder.report("landed"))
    for name in ("y.csv", "x.csv", "w.csv"):
        folder.put(name, b"id\n3\n")
        again = take(folder, lake, wanted)
        assert (again.landed, again.left_out) == (1, {reason: 1})
    assert take(folder, lake, wanted).left_out == {reason: 1}


@pytest.mark.parametrize(
    "name",
    ["a\tb.csv", "a\nb.csv", "\x1b[31mred.csv", "..a.csv", "%00.csv", "..%2fx.csv", "a*b.csv", " a.csv", "a\\b.csv",
     "#f?.csv", "<img src=x>.csv", "ü漢.csv", "a\u202eb.csv"],
)  # fmt: skip
def test_a_file_with_an_odd_name_is_taken_like_any_other(name: str, folder: Folder, lake: Lake) -> None:
    folder.put("good.csv", b"id\n1\n")
    folder.put(name, b"id\n2\n")
    assert take(folder, lake, Files(format="csv", pattern="**/*.csv", settle_s=0)).landed == 2
    folder.put(name, b"\xff\xfe")
    warnings = take(folder, lake).warnings
    assert len(warnings) == 1
    assert warnings[0].isprintable()
    folder.put(name, b"id\n3\n")
    take(folder, lake)
    assert values(lake) == ["1", "2", "3"]


def test_links_below_the_root_are_followed(folder: Folder, lake: Lake) -> None:
    folder.put("2026/a.csv", b"id\n1\n")
    (folder.root / "newest").symlink_to("2026")
    take(folder, lake, Files(format="csv", pattern="newest/*.csv", settle_s=0))
    assert values(lake) == ["1"]


def test_a_file_that_became_a_link_to_the_outside_after_it_was_listed_is_not_read(
    folder: Folder, lake: Lake
) -> None:
    (folder.root.parent / "secret.csv").write_bytes(b"id\nsecret\n")
    folder.put("a.csv", b"id\n1\n")
    folder.put("b.csv", b"id\n2\n")

    def swap() -> None:
        folder.delete("a.csv")
        (folder.root / "a.csv").symlink_to(folder.root.parent / "secret.csv")

    location = Interrupted(folder.settings, {1: swap})
    report = land(Landing(lake, NAME, NAME, "run"), FileSource(location, CSV, LakeShelf(lake, NAME)))
    assert values(lake) == ["2"]
    assert report.left_out == {left_out.MOVED: 1}


class Closed(Location):
    """A location of which some files may not be read; the tests may run as a user who may read everything."""

    def __init__(self, settings: FilesSettings, closed: set[str]) -> None:
        super().__init__(settings)
        self.closed = closed

    def read(self, file, start, end):  # type: ignore[no-untyped-def]
        """Read, or refuse to."""
        if file.path in self.closed:
            raise CredentialsRefused("may not be read")
        return super().read(file, start, end)


def test_a_file_that_may_not_be_read_is_left_out_and_tried_again(folder: Folder, lake: Lake) -> None:
    for name in ("a", "b", "c"):
        folder.put(f"{name}.csv", b"id\n%s\n" % name.encode())
    location = Closed(folder.settings, {"a.csv"})

    def run() -> dict[str, int]:
        taken = FileSource(location, CSV, LakeShelf(lake, NAME))
        return land(Landing(lake, NAME, NAME, "run"), taken).left_out

    assert run() == {left_out.CLOSED: 1}
    assert values(lake) == ["b", "c"]
    folder.put("d.csv", b"id\nd\n")
    assert run() == {left_out.CLOSED: 1}
    location.closed = set()
    assert run() == {}
    assert values(lake) == ["a", "b", "c", "d"]
    location.closed = {"e.csv"}
    folder.put("e.csv", b"id\ne\n")
    with pytest.raises(CredentialsRefused):
        run()


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_file_that_was_written_again_with_its_size_and_time_is_noticed(
    size: str, folder: Folder, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one by its content; of a large one the account says that it cannot know."""
    if size == "large":
        monkeypatch.setattr("headworks.sources.files.source._AHEAD_BYTES", 1)
    folder.put("a.csv", b"id\n1\n")
    folder.put("b.csv", b"id\n5\n")
    take(folder, lake)
    before = (folder.root / "a.csv").stat()
    (folder.root / "a.csv").write_bytes(b"id\n2\n")
    os.utime(folder.root / "a.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.chmod(folder.root / "b.csv", 0o600)
    report = take(folder, lake)
    if size == "small":
        assert values(lake) == ["1", "2", "5"]
        assert report.left_out == {}
    else:
        assert values(lake) == ["1", "5"]
        assert report.left_out == {left_out.UNSURE: 2}
        assert "a.csv" in report.warnings[0]
    assert take(folder, lake).read == 0


def test_a_pattern_that_matches_nothing_is_said(folder: Folder, lake: Lake) -> None:
    """The first run and every full read stop where files are there; later ones say so."""
    wanted = Files(format="csv", pattern="*.csv", settle_s=0)
    assert "No file matches" in take(folder, lake, wanted).warnings[0]
    folder.put("a.txt", b"id\n1\n")
    with pytest.raises(SourceMissing, match=r"\*\.csv.*a\.txt"):
        take(folder, lake, wanted)
    folder.put("b.csv", b"id\n1\n")
    assert take(folder, lake, wanted).landed == 1
    folder.delete("b.csv")
    report = take(folder, lake, wanted)
    assert "No file matches" in report.warnings[0]
    assert report.left_out == {left_out.NOT_WANTED: 1}
    with pytest.raises(SourceMissing, match="Nothing was read or deleted"):
        ingest(IngestRequest(lake, NAME, "run", mode="full"), FileIngest(source(folder, lake, wanted)))


def test_a_full_read_that_could_not_read_a_file_is_not_complete(folder: Folder, lake: Lake) -> None:
    """Else silver would delete what only that file holds."""
    from headworks.bronze.generations import newest_complete

    folder.put("a.csv", b"id\n1\n")
    folder.put("b.csv", b"PK\x03\x04")
    intake = FileIngest(source(folder, lake))
    whole, _ = ingest(IngestRequest(lake, NAME, "run 1", mode="full"), intake)
    assert any("nothing is deleted" in each for each in whole.warnings)
    assert newest_complete(lake, lake.must_open("bronze", NAME), NAME) is None
    folder.put("b.csv", b"id\n2\n")
    ingest(IngestRequest(lake, NAME, "run 2", mode="full"), intake)
    found = newest_complete(lake, lake.must_open("bronze", NAME), NAME)
    assert found is not None
    assert found.number == 2


def test_a_file_that_may_still_be_written_is_counted(folder: Folder, lake: Lake) -> None:
    folder.put("a.csv", b"id\n1\n")
    settled = Files(format="csv", settle_s=10)
    report = take(folder, lake, settled, clock=lambda: LONG_AGO + timedelta(seconds=5))
    assert report.left_out == {left_out.UNSETTLED: 1}


def bucket_of(s3: tuple[object, dict[str, str]], name: str, folder: str = "in", **options: str) -> Bucket:
    backend, given = s3
    backend.create_bucket(name, "us-east-1")  # type: ignore[attr-defined]
    return Bucket(backend, name, {**given, **options}, folder)


@pytest.mark.parametrize("odd", ["in//b.csv", "in/x//y.csv", "in/x//", "in//"])
def test_an_odd_key_in_a_bucket_is_left_out_by_name_and_the_others_land(
    odd: str, s3: tuple[object, dict[str, str]], lake: Lake
) -> None:
    bucket = bucket_of(s3, f"odd-{abs(hash(odd))}")
    bucket.put("a.csv", b"id\n1\n")
    bucket.put("z.csv", b"id\n2\n")
    bucket.backend.put_object(bucket.bucket, odd, b"id\n9\n")
    report = take(bucket, lake)
    assert values(lake) == ["1", "2"]
    assert report.left_out == ({} if odd.endswith("//") else {left_out.ODD_KEY: 1})
    bucket.put("m.csv", b"id\n3\n")
    assert take(bucket, lake).landed == 1


def test_a_key_with_a_slash_at_its_beginning_is_left_out_by_name(
    s3: tuple[object, dict[str, str]], lake: Lake
) -> None:
    bucket = bucket_of(s3, "leading-slash")
    settings = bucket.settings.model_copy(update={"root": f"s3://{bucket.bucket}"})
    backend = bucket.backend
    backend.put_object(bucket.bucket, "/a.csv", b"id\n9\n")
    backend.put_object(bucket.bucket, "b.csv", b"id\n1\n")

    def run() -> dict[str, int]:
        taken = FileSource(Location(settings), CSV, LakeShelf(lake, NAME))
        return land(Landing(lake, NAME, NAME, "run"), taken).left_out

    assert run() == {left_out.ODD_KEY: 1}
    assert values(lake) == ["1"]
    backend.put_object(bucket.bucket, "a.csv", b"id\n2\n")
    assert run() == {left_out.ODD_KEY: 1}
    assert run() == {left_out.ODD_KEY: 1}
    assert values(lake) == ["1", "2"]


def test_an_address_without_encryption_is_refused_with_the_option_that_allows_it(
    s3: tuple[object, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    _, options = s3
    settings = Bucket(
        None, "any", {key: value for key, value in options.items() if key != "AWS_ALLOW_HTTP"}
    ).settings
    with pytest.raises(SettingsError, match="AWS_ALLOW_HTTP"):
        Location(settings)
    for word in ("true", "TRUE", "1"):
        Location(Bucket(None, "any", {**options, "AWS_ALLOW_HTTP": word}).settings)
