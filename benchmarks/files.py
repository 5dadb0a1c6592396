"""How fast files are landed, and in how much memory, alongside Polars alone writing the same file to Parquet.

``python -m benchmarks.files --megabytes 1000 --rounds 3``. Each measurement is a process of its own, so that its peak
memory is its own; the rounds take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROW = '{n},customer number {n},{a}.{b:02},2026-{m:02}-{d:02},"a warning, with a comma",{n}5\n'
RECORD = (
    '{{"id":{n},"customer":"customer number {n}","amount":{a}.{b:02},'
    '"day":"2026-{m:02}-{d:02}","warning":"a warning"}}\n'
)
HEADER = "id,customer,amount,day,warning,other\n"


def write_file(path: Path, megabytes: int, template: str, header: str) -> None:
    """Write a file of about so many megabytes."""
    with path.open("w", encoding="utf-8") as file:
        file.write(header)
        number = 0
        while file.tell() < megabytes * 1_000_000:
            file.write(
                "".join(
                    template.format(n=n, a=n % 1000, b=n % 100, m=n % 12 + 1, d=n % 28 + 1)
                    for n in range(number, number + 50_000)
                )
            )
            number += 50_000


def land_file(path: Path, folder: Path) -> int:
    """Land the file through the whole protocol; the rows."""
    from headworks.bronze.landing import Landing, land
    from headworks.settings import FilesSettings, LakeSettings
    from headworks.sources.files.location import Location
    from headworks.sources.files.selection import Files
    from headworks.sources.files.source import FileSource
    from headworks.storage.shelf import LakeShelf
    from headworks.storage.store import Lake

    lake = Lake(LakeSettings(root=str(folder / "lake")))
    files = Files(format="csv" if path.suffix == ".csv" else "ndjson", pattern=path.name, settle_s=0)
    location = Location(FilesSettings(root=str(path.parent)))
    report = land(
        Landing(lake, "b.files", "b.files", "run"), FileSource(location, files, LakeShelf(lake, "b.files"))
    )
    assert report.refused == 0
    return report.landed


def sink_file(path: Path, folder: Path) -> int:
    """Write the file to Parquet with Polars alone, CSV as text; the rows."""
    import polars as pl

    target = folder / "out.parquet"
    if path.suffix == ".csv":
        pl.scan_csv(path, infer_schema=False).sink_parquet(target)
    else:
        pl.scan_ndjson(path).sink_parquet(target)
    return int(pl.scan_parquet(target).select(pl.len()).collect().item())


WAYS: dict[str, Callable[[Path, Path], int]] = {"headworks": land_file, "polars": sink_file}


def measure(way: str, path: Path) -> tuple[float, float, int]:
    """Run one way in a process of its own; seconds, megabytes at the peak, rows."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.files", "--way", way, "--file", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, peak, rows = json.loads(done.stdout)
    return seconds, peak, rows


def run_way(way: str, path: Path) -> None:
    """Do the work, and print what it took."""
    import deltalake  # noqa: F401 - imported by both ways before the clock starts
    import polars  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = WAYS[way](path, Path(folder))
        seconds = time.perf_counter() - began
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, rows]))


def main() -> None:
    """Write the files, measure both ways in turns, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.way:
        run_way(options.way, options.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, template, header in (("a.csv", ROW, HEADER), ("a.ndjson", RECORD, "")):
            path = Path(folder) / name
            write_file(path, options.megabytes, template, header)
            found = {way: [] for way in WAYS}  # type: dict[str, list[tuple[float, float, int]]]
            for _ in range(options.rounds):
                for way, measured in found.items():
                    measured.append(measure(way, path))
            for way, measured in found.items():
                seconds = sorted(each[0] for each in measured)
                print(
                    f"{name:<10} {path.stat().st_size / 1e6:6.0f} MB  {way:<10} median {median(seconds):6.2f} s "
                    f"({seconds[0]:.2f} to {seconds[-1]:.2f})  peak {max(each[1] for each in measured):6.0f} MB  "
                    f"{measured[0][2]:,} rows"
                )
            path.unlink()


if __name__ == "__main__":
    main()
