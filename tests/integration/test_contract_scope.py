"""A contract may be about the table after the merge, and about several tables: all of it before anything is visible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.storage.store import Lake
from tests.support.items import ITEM, NAME, land_items, silver
from tests.support.sources import items

CONTRACT = """
dataset: lake/silver/t_items
columns:
  - name: v
    checks:
      - duplicate:
checks:
  - row_count:
      threshold:
        must_be_less_than: 4
"""
ACROSS = """
dataset: lake/silver/t_items
columns:
  - name: id
checks:
  - failed_rows:
      name: every item has an owner
      query: SELECT i.id FROM silver.t_items i LEFT JOIN silver.t_owners o ON o.item = i.id WHERE o.item IS NULL
      threshold:
        must_be: 0
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """The items under a contract for the whole table: each value once, and fewer than four rows."""
    path = tmp_path / "contract.yml"
    path.write_text(CONTRACT)
    return replace(ITEM, table_contract=path)


def run(lake: Lake, dataset: Dataset) -> RefineOutcome:
    return refine(Refinement(lake, "run"), dataset)


def failed(outcome: RefineOutcome) -> list[str]:
    assert outcome.gate is not None
    return [
        check.name
        for check in outcome.gate.checks
        if check.outcome not in {"passed", "cold start"} and check.kind != "held"
    ]


def test_what_is_there_and_the_batch_are_checked_together(lake: Lake, dataset: Dataset) -> None:
    """The batch alone has one row, and its value once; with what is there the value is twice."""
    land_items(lake, items(1, 2))
    assert run(lake, dataset).report.committed
    land_items(lake, [*items(1, 2), ("3", "10", 1)])
    outcome = run(lake, dataset)
    assert failed(outcome) == ["v: No duplicate values"]
    assert set(silver(lake)) == {1, 2}


def test_a_row_that_the_batch_replaces_is_not_counted_twice(lake: Lake, dataset: Dataset) -> None:
    land_items(lake, items(1, 3))
    run(lake, dataset)
    land_items(lake, [*items(1, 3), ("3", "31", 2)])
    assert run(lake, dataset).report.committed
    land_items(lake, [*items(1, 3), ("3", "31", 2), ("4", "40", 2)])
    assert failed(run(lake, dataset)) == ["Row count meets expected threshold"]


def test_tables_beside_it_are_seen(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "across.yml"
    path.write_text(ACROSS)
    owned = replace(ITEM, table_contract=path, contract_sees=("t.owners",))
    owners = pl.DataFrame({"item": [1, 2], "_deleted": [False, False]})
    lake.ensure("silver", "t.owners", owners.schema).append(owners, {})
    land_items(lake, items(1, 2))
    assert run(lake, owned).report.committed
    land_items(lake, items(1, 3))
    assert failed(run(lake, owned)) == ["every item has an owner"]


def test_a_contract_for_the_table_that_cannot_be_read_closes_the_gate(lake: Lake, tmp_path: Path) -> None:
    land_items(lake, items(1, 2))
    contract = tmp_path / "missing.yml"
    contract.write_text("")
    declared = replace(ITEM, table_contract=contract)
    contract.unlink()
    outcome = run(lake, declared)
    assert failed(outcome) == ["missing.yml"]
    assert lake.must_open("silver", NAME).row_count() == 0
