"""A contract that failed in Postgres holds the publication: later rows do not thin what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headworks.gold.holding import decide_gold, find_any, made_holds
from headworks.ports import system_clock
from headworks.publish.postgres import publish_postgres
from headworks.quality.deliveries import deliveries
from headworks.reports import PublishReport
from headworks.settings import DatabaseSettings
from headworks.silver.decisions import discard
from headworks.silver.refinement import Refinement
from headworks.storage.store import Lake
from tests.integration.test_postgres_contracts import SCHEMA, shown
from tests.support.golden import PUBLISHED, named
from tests.support.items import ITEM, NAME
from tests.support.sources import Record, items

CONTRACT = """\
dataset: postgres/analytics/each
columns:
- name: v
  checks:
  - invalid:
      valid_max: 9000
      threshold:
        metric: percent
        must_be_less_than: 20
"""
SIGNED: Any = {"by": "Ada", "note": "it is right", "run_id": "by hand"}
BAD: list[Record] = [(str(number), "99999", 1) for number in (5, 6)]


class Published:
    """A product whose table each is published under a contract, day by day."""

    def __init__(self, lake: Lake, database: DatabaseSettings, folder: Path) -> None:
        self.lake, self._database, self.folder = lake, database, folder
        self.contract = folder / "each.yml"
        self.contract.write_text(CONTRACT)
        self._landed: list[Record] = []
        self._runs = 0

    def play(self, records: list[Record]) -> PublishReport:
        """Land records, make gold of all, and publish it."""
        self._runs += 1
        self._landed += records
        version = named(self.lake, self.folder / "contracts", self._landed, f"run {self._runs}")
        tables = tuple(
            replace(table, contract=self.contract) if table.name == "each" else table for table in PUBLISHED
        )
        return publish_postgres(self.lake, self._database, SCHEMA, version, tables, f"run {self._runs}")


@pytest.fixture
def day(lake: Lake, database: DatabaseSettings, connection: psycopg.Connection, tmp_path: Path) -> Published:
    """A good publication, and a bad one that is held."""
    made = Published(lake, database, tmp_path)
    assert made.play(items(1, 4)).changed
    assert not made.play(BAD).changed
    return made


def numbers(connection: psycopg.Connection) -> list[int]:
    return [row[0] for row in shown(connection)]


def test_later_rows_do_not_thin_what_the_contract_found(
    day: Published, connection: psycopg.Connection
) -> None:
    (one,) = made_holds(day.lake)
    assert (one.dataset, one.state) == ("postgres/analytics/each", "held")
    for first in (10, 40, 80):
        report = day.play(items(first, first + 20))
        (gate,) = report.gates
        assert not gate.open
        assert f"headworks delivery release {one.id}" in gate.reasons[-1]
    assert numbers(connection) == [1, 2, 3, 4]
    assert made_holds(day.lake) == (one,)


def _released(day: Published) -> list[Record]:
    one = find_any(day.lake, made_holds(day.lake)[0].id)
    decide_gold(day.lake, one, "release", moment=system_clock(), **SIGNED)
    return []


def _undone(day: Published) -> list[Record]:
    _released(day)
    one = find_any(day.lake, made_holds(day.lake)[0].id)
    decide_gold(day.lake, one, "undo", moment=system_clock(), **SIGNED | {"run_id": "later"})
    return []


def _taken_back(day: Published) -> list[Record]:
    bad = deliveries(day.lake, NAME)[1].id
    discard(Refinement(day.lake, "by hand"), ITEM, bad, by="Ada", note="a test system's")
    return []


def _corrected(_: Published) -> list[Record]:
    return [(str(number), "50", 2) for number in (5, 6)]


def _half_corrected(_: Published) -> list[Record]:
    return [("5", "50", 2)]


def _other_contract(day: Published) -> list[Record]:
    day.contract.write_text(CONTRACT.replace("9000", "100000"))
    return []


WAYS: dict[str, tuple[Callable[[Published], list[Record]], bool, set[int]]] = {
    "released": (_released, True, {5, 6}),
    "released, and held again": (_undone, False, set()),
    "taken back": (_taken_back, True, set()),
    "corrected by the source": (_corrected, True, {5, 6}),
    "one of two corrected": (_half_corrected, False, set()),
    "another contract": (_other_contract, True, {5, 6}),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("way", WAYS)
def test_it_goes_by_a_decision_or_when_what_was_found_is_gone(
    day: Published, connection: psycopg.Connection, way: str
) -> None:
    decide, goes, more = WAYS[way]
    report = day.play([*decide(day), *items(20, 50)])
    assert report.changed is goes
    assert set(numbers(connection)) == ({1, 2, 3, 4, *range(20, 51), *more} if goes else {1, 2, 3, 4})
    assert bool(made_holds(day.lake)) is not goes
