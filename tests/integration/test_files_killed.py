"""A process that takes files in may be killed anywhere: the runs after it make the table what it should be, exactly."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from random import Random

import polars as pl
import pytest

from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.file_worker import NAME, ingest, run_killed
from tests.support.items import bronze
from tests.support.stores import Folder

SEED = 20260105


def killed_and_run_again(tmp_path: Path, seed: int, kills: int) -> None:
    """Kill a process in the middle ``kills`` times, let files come and change in between, and compare at the end."""
    chance = Random(seed)
    csv = chance.random() < 0.5
    folder, lake = Folder(tmp_path / "in"), tmp_path / "lake"
    expected: Counter[tuple[str, str]] = Counter()
    numbers = iter(range(1_000_000))

    def write(path: str, rows: int) -> None:
        ids = [f"{next(numbers)}" for _ in range(rows)]
        lines = [f"{each},{'x' * 30}" if csv else f'{{"id": "{each}"}}' for each in ids]
        bad = "broken" if chance.random() < 0.5 else ""
        text = "\n".join([*(["id,v"] if csv else []), *lines, *([bad] if bad else [])]) + "\n"
        data = text.encode()
        folder.put(path, gzip.compress(data) if path.endswith("gz") else data)
        written[path] = [*ids, *([bad] if bad else [])]

    kind = "csv" if csv else "ndjson"
    written: dict[str, list[str]] = {}
    taken: set[tuple[str, str]] = set()
    for number in range(12):
        write(f"{number}.{kind}" + (".gz" if number % 3 == 0 else ""), chance.choice([1, 5, 400]))
    for _ in range(kills):
        run_killed(lake, folder.root, f"*.{kind}*", chance.randint(1, 40), after=chance.random() < 0.5)
        write(f"{next(numbers)}.{kind}", 3)
    ingest(lake, folder.root, f"*.{kind}*")
    taken.update((path, each) for path, ids in written.items() for each in ids)
    expected.update(taken)

    rows = bronze(Lake(LakeSettings(root=str(lake))), NAME)
    key = pl.col("id") if csv else pl.col("record").cast(pl.String).str.json_path_match("$.id")
    found = rows.select("_file", key.fill_null("broken").alias("id"))
    assert Counter(found.iter_rows()) == expected
    assert rows.group_by("_file", "_line").len().get_column("len").max() == 1


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_killed_at_seeded_moments_the_table_is_exact(tmp_path: Path, seed: int) -> None:
    killed_and_run_again(tmp_path, seed, kills=3)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_a_hundred_seeded_moments_the_table_is_exact(tmp_path: Path, seed: int) -> None:
    killed_and_run_again(tmp_path, seed, kills=5)
