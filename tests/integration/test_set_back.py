"""A lake of which one table was set back, or copied half-way, is exact again or refused by name; no row is passed by.

Each table of a small lake is set back to each of its earlier versions, as a restored backup of that table alone does
(its log ends there) and as Delta's RESTORE does (its transactions stay), or loses its newest file or half of its newest
log entry, as an interrupted copy or a power loss leaves it. Then the flow continues three times with changed sources.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headworks.bronze.landing import Landing
from headworks.bronze.streams import reset_stream
from headworks.errors import AccountMismatch, HeadworksError, LakeUnusable
from headworks.gold.products import open_product
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from headworks.storage.translating import reading
from tests.support import golden
from tests.support.items import NAME, land_items, refine_items, rejected, silver
from tests.support.sources import Record, bad_items, items

TABLES = (
    f"bronze/{NAME}", f"silver/{NAME}", f"quarantine/{NAME}", "gold/t.each", "gold/t.sums", "products",
)  # fmt: skip
ROUNDS: tuple[list[Record], ...] = (
    [*items(1, 4), *bad_items(5, 6)],
    [*items(1, 4), *bad_items(5, 6), *items(7, 9)],
    [*items(1, 4), *bad_items(5, 6), *items(7, 9), *bad_items(10, 10), *items(11, 12)],
)
# Where a table was set back, the source has other rows by then than those that were read the first time.
LATER = (
    [*ROUNDS[2], *items(21, 23)],
    [*ROUNDS[2], *items(21, 23), *bad_items(24, 24)],
    [*ROUNDS[2], *items(21, 29)],
)


@dataclass(frozen=True)
class Way:
    """A way to set a table back; ``to`` is a version, of those that lose something only the newest."""

    name: str
    act: Callable[[Path, int], None]
    any_version: bool = True


def _cut(table: Path, to: int) -> None:
    for entry in (table / "_delta_log").glob("*.json"):
        if int(entry.stem) > to:
            entry.unlink()


def _restore(table: Path, to: int) -> None:
    DeltaTable(str(table)).restore(to)


def _lose_file(table: Path, to: int) -> None:
    newest = max(table.rglob("*.parquet"), key=lambda file: file.stat().st_mtime_ns)
    newest.unlink()


def _empty_file(table: Path, to: int) -> None:
    max(table.rglob("*.parquet"), key=lambda file: file.stat().st_mtime_ns).write_bytes(b"")


def _half_log(table: Path, to: int) -> None:
    entry = max((table / "_delta_log").glob("*.json"))
    entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])


def _empty_log(table: Path, to: int) -> None:
    max((table / "_delta_log").glob("*.json")).write_bytes(b"")


def _gone(table: Path, to: int) -> None:
    shutil.rmtree(table)


WAYS = (
    Way("its log ends there", _cut),
    Way("RESTORE", _restore),
    Way("its newest file is lost", _lose_file, any_version=False),
    Way("its newest file is empty", _empty_file, any_version=False),
    Way("half of its newest entry", _half_log, any_version=False),
    Way("its newest entry is empty", _empty_log, any_version=False),
    Way("the table is gone", _gone, any_version=False),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake in which everything was done three times."""
    folder = tmp_path_factory.mktemp("made")
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    for number, records in enumerate(ROUNDS):
        golden.named(lake, folder / "contracts", records, f"run-{number}")
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copied")
    return tmp_path / "copied"


def _good(records: list[Record]) -> set[int]:
    return {int(str(key)) for key, _, _ in records} - _bad(records)


def _bad(records: list[Record]) -> set[int]:
    return {int(str(key)) for key, _, _ in records} & {5, 6, 10, 24}


def _go_on(lake: Lake, contracts: Path) -> str | None:
    """Continue three times; return the name of the error that refused it, and insist on exactness where none did."""
    for number, records in enumerate(LATER):
        try:
            golden.named(lake, contracts, records, f"later-{number}")
            with reading("what is looked at"):
                known, refused = set(silver(lake)), rejected(lake)
        except HeadworksError as problem:
            return type(problem).__name__
        assert (known, refused) == (_good(records), sorted(map(str, _bad(records))))
        shown = open_product(lake, golden.PRODUCT)["t.each"].collect().get_column("id")
        assert sorted(shown) == sorted(_good(records))
        assert golden.rows(lake) == sorted(_good(records))
    return None


@pytest.mark.sampled(10, always="RESTORE")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_was_set_back_is_refused_or_the_lake_is_exact_again(
    made: Path, tmp_path: Path, table: str, way: Way
) -> None:
    """Of each table and each way, every version to which it can be set back."""
    newest = DeltaTable(str(made / "lake" / table.replace(".", "/"))).version()
    versions = range(newest) if way.any_version else [newest]
    for to in versions:
        here = tmp_path / f"{to}"
        shutil.copytree(made, here)
        way.act(here / "lake" / table.replace(".", "/"), to)
        end = _go_on(Lake(LakeSettings(root=str(here / "lake"))), here / "contracts")
        assert end in {None, "LakeUnusable", "AccountMismatch"}, (table, way.name, to, end)
        if table.startswith("bronze") and way.name in {"its log ends there", "the table is gone"}:
            assert end is not None, "silver remembers a later bronze"


@pytest.mark.parametrize("way", [_cut, _restore])
def test_gold_that_was_set_back_is_exact_again_though_nothing_new_came(
    made: Path, tmp_path: Path, way: Callable[[Path, int], None]
) -> None:
    """RESTORE leaves the transactions, which say that gold was made of this silver."""
    for to in range(DeltaTable(str(made / "lake/gold/t/each")).version()):
        here = tmp_path / f"{to}"
        shutil.copytree(made, here)
        way(here / "lake/gold/t/each", to)
        lake = Lake(LakeSettings(root=str(here / "lake")))
        golden.named(lake, here / "contracts", ROUNDS[-1], "again")
        assert golden.rows(lake) == sorted(_good(ROUNDS[-1]))
        assert _go_on(lake, here / "contracts") is None


def test_bronze_that_is_older_than_silver_is_refused_before_anything_is_read(copied: Path) -> None:
    lake = Lake(LakeSettings(root=str(copied / "lake")))
    version = lake.must_open("bronze", NAME).version
    _cut(copied / "lake/bronze/t/items", version - 1)
    for step in (
        lambda: land_items(lake, LATER[0]),
        lambda: refine_items(lake),
        lambda: reset_stream(Landing(lake, NAME, NAME, "operator")),
    ):
        with pytest.raises(LakeUnusable, match="Bronze is older than silver"):
            step()
    assert lake.must_open("bronze", NAME).version == version - 1


def test_a_bronze_of_the_same_length_with_other_rows_is_refused(copied: Path) -> None:
    """Set back by one batch, and another one landed in its place by a program that did not compare."""
    lake = Lake(LakeSettings(root=str(copied / "lake")))
    _cut(copied / "lake/bronze/t/items", lake.must_open("bronze", NAME).version - 1)
    shutil.move(copied / "lake/silver", copied / "kept")
    land_items(lake, [*ROUNDS[2][:-1], *items(31, 31)])
    shutil.move(copied / "kept", copied / "lake/silver")
    with pytest.raises(LakeUnusable, match="another batch than the one that silver consumed"):
        refine_items(lake)


def test_a_silver_that_moved_away_is_made_again_from_bronze(copied: Path) -> None:
    """What the message says to do about it."""
    shutil.rmtree(copied / "lake/silver")
    shutil.rmtree(copied / "lake/quarantine")
    assert _go_on(Lake(LakeSettings(root=str(copied / "lake"))), copied / "contracts") is None


def test_landed_rows_that_are_gone_before_silver_took_them_are_named(copied: Path) -> None:
    """RESTORE of bronze leaves its sequences: the rows landed last would be passed by in silence."""
    lake = Lake(LakeSettings(root=str(copied / "lake")))
    version = lake.must_open("bronze", NAME).version
    land_items(lake, LATER[0])
    _restore(copied / "lake/bronze/t/items", version)
    with pytest.raises(AccountMismatch, match="3 rows were landed in stream"):
        refine_items(lake)
    reset_stream(Landing(lake, NAME, NAME, "operator"), {"n": len(ROUNDS[2])})
    assert _go_on(lake, copied / "contracts") is None


def test_a_table_of_the_first_form_is_gone_on_with(copied: Path) -> None:
    """Without what silver remembers the sequences alone are compared, until the next commit keeps it."""
    lake = Lake(LakeSettings(root=str(copied / "lake")))
    for table in ("bronze", "silver", "quarantine"):
        for entry in (copied / f"lake/{table}/t/items/_delta_log").glob("*.json"):
            lines = [line for line in entry.read_text().splitlines() if not _is_new(line)]
            entry.write_text("\n".join(lines).replace('"#', '"') + "\n")
    assert lake.must_open("silver", NAME).transaction("#writer") == 3
    assert _go_on(lake, copied / "contracts") is None


def _is_new(line: str) -> bool:
    """Return whether a line of the log is a transaction that 0.1.0 did not write."""
    names = ("#consumed", "#rows", "#bronze", "#at", "#commit", "#quarantined")
    return line.startswith('{"txn"') and any(
        f'{name}"' in line or name in line.partition("#bronze")[1] for name in names
    )
