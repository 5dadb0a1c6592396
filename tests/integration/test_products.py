"""Products: one row names versions that belong together, and nobody sees half a publication or an older one again."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from headworks.errors import CandidateStale, ConcurrentRun
from headworks.gold import products
from headworks.gold.products import ProductVersion, open_product, publish_product, read_product
from headworks.reports import TableRef
from headworks.storage.store import Lake
from tests.support.golden import PRODUCT, committed, fill, named, tables
from tests.support.sources import items


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    return tmp_path / "contracts"


def shown(lake: Lake) -> dict[str, int]:
    """Return the rows of each table as a reader of the product sees them."""
    return {
        name: frame.select(pl.len()).collect().item() for name, frame in open_product(lake, PRODUCT).items()
    }


def test_a_product_names_the_versions_of_all_of_its_tables(lake: Lake, contracts: Path) -> None:
    version = named(lake, contracts, items(1, 3))
    assert read_product(lake, PRODUCT) == version.model_copy(update={"changed": False})
    assert [table.table for table in version.tables] == ["gold.t.each", "gold.t.sums"]
    assert shown(lake) == {"t.each": 3, "t.sums": 2}


def test_before_the_first_publication_readers_find_nothing(lake: Lake, contracts: Path) -> None:
    assert open_product(lake, PRODUCT) == {}
    named(lake, contracts, items(1, 3))
    assert open_product(lake, "another") == {}
    assert read_product(lake, "another") is None


def test_readers_see_the_named_versions_until_the_next_are_named(lake: Lake, contracts: Path) -> None:
    """Both gold tables are replaced, one after the other; only the row makes that visible, and for both at once."""
    named(lake, contracts, items(1, 3))
    pins = fill(lake, items(1, 9))
    each, sums = tables(contracts)
    first = committed(lake, each, pins).table
    assert shown(lake)["t.each"] == 3, "half a publication is visible"
    second = committed(lake, sums, pins).table
    assert shown(lake)["t.each"] == 3
    publish_product(lake, PRODUCT, [first, second], "run")
    assert shown(lake)["t.each"] == 9


def test_the_same_rows_are_not_named_again(lake: Lake, contracts: Path) -> None:
    first = named(lake, contracts, items(1, 3))
    again = named(lake, contracts, items(1, 3))
    assert (again.sequence, again.run_id, again.changed) == (first.sequence, first.run_id, False)


def test_each_publication_has_the_next_sequence_and_products_do_not_share_it(
    lake: Lake, contracts: Path
) -> None:
    first = named(lake, contracts, items(1, 3))
    second = named(lake, contracts, items(1, 4))
    other = publish_product(lake, "other", first.tables, "run")
    assert (first.sequence, second.sequence, other.sequence) == (1, 2, 1)
    assert first.lake_id == second.lake_id
    assert read_product(lake, PRODUCT) == second.model_copy(update={"changed": False})


def test_a_publication_that_another_one_passed_by_is_refused(
    lake: Lake, contracts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the row, and before it replaces it another run does."""
    named(lake, contracts, items(1, 3))
    pins = fill(lake, items(1, 5))
    mine = [committed(lake, gold, pins).table for gold in tables(contracts)]
    real = products._same

    def meanwhile(left: tuple[TableRef, ...], right: list[TableRef]) -> bool:
        monkeypatch.setattr(products, "_same", real)
        named(lake, contracts, items(1, 7), "fast")
        return real(left, right)

    monkeypatch.setattr(products, "_same", meanwhile)
    with pytest.raises(CandidateStale):
        publish_product(lake, PRODUCT, mine, "slow")
    current = read_product(lake, PRODUCT)
    assert current is not None
    assert (current.sequence, current.run_id) == (2, "fast")
    assert shown(lake)["t.each"] == 7


@pytest.mark.parametrize("refused", [True, False])
def test_a_zombie_does_not_name_versions_that_were_replaced_meanwhile(
    lake: Lake, contracts: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """It committed its gold, slept, and wakes after others published later versions; the rule is also taken out."""
    pins = fill(lake, items(1, 3))
    zombie = [committed(lake, gold, pins).table for gold in tables(contracts)]
    later = named(lake, contracts, items(1, 9), "fast")
    if not refused:
        monkeypatch.setattr(products, "_refuse_older", lambda *_: None)
        publish_product(lake, PRODUCT, zombie, "zombie")
        assert shown(lake)["t.each"] == 3, "without the rule consumers see the old again"
        return
    with pytest.raises(ConcurrentRun, match="published already"):
        publish_product(lake, PRODUCT, zombie, "zombie")
    assert read_product(lake, PRODUCT) == later.model_copy(update={"changed": False})
    assert shown(lake)["t.each"] == 9


def test_a_gold_table_that_was_made_anew_may_be_published(lake: Lake, contracts: Path) -> None:
    """Its versions begin again, and are no older than those of the table that is gone."""
    named(lake, contracts, items(1, 3))
    named(lake, contracts, items(1, 4))
    shutil.rmtree(lake.uri("gold", "t.each"))
    assert named(lake, contracts, items(1, 4)).sequence == 3
    assert shown(lake)["t.each"] == 4


def test_of_many_publications_at_once_each_is_named_in_turn_or_refused(lake: Lake, contracts: Path) -> None:
    version = named(lake, contracts, items(1, 3))
    runs = 6
    start = threading.Barrier(runs)

    def one(number: int) -> ProductVersion | None:
        reference = version.tables[0].model_copy(update={"change": 100 + number})
        start.wait(timeout=30)
        try:
            return publish_product(lake, PRODUCT, [reference, version.tables[1]], f"run{number}")
        except CandidateStale:
            return None

    with ThreadPoolExecutor(runs) as pool:
        named_by = [published for published in pool.map(one, range(runs)) if published is not None]
    assert named_by
    assert len({published.sequence for published in named_by}) == len(named_by), "two took the same number"
    table = lake.open_products()
    assert table is not None
    assert table.row_count() == 1
    current = read_product(lake, PRODUCT)
    assert current is not None
    assert current.sequence == max(published.sequence for published in named_by) == 1 + len(named_by)
