"""A row with a value that no type holds is refused alone, in each database, by each way of reading, over four runs.

Good neighbours land, the row is kept with its text and counted by its column, and once it is corrected it lands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.landing import Landing, received
from headworks.bronze.readers import TableIngest
from headworks.bronze.refusals import refused_rows
from headworks.errors import ValueRefused
from headworks.names import Window
from headworks.reports import LandingReport
from headworks.settings import DatabaseSettings
from headworks.silver.mirror import mirror
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import open_rejects
from headworks.sources.sql.reader import DatabaseTable, reader_of
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.integration.dialects.conftest import mariadb
from tests.support import dialects
from tests.support.mariadb import MariaDb

__all__ = ["mariadb"]

NAME = "t.rows"

POSTGRES = {
    "date": ["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"],
    "timestamp": ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "294276-12-31 23:59:59.999999"],
    "timestamptz": ["infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "10000-01-01 00:00:00+00"],
    "numeric(10,2)": ["NaN"],
    "numeric(30,4)": ["NaN"],
}
MARIADB = {
    "DATE": ["0000-00-00", "2026-02-00", "0000-01-01"],
    "DATETIME": ["0000-00-00 00:00:00", "0000-12-31 10:00:00"],
}
SQLITE: dict[str, list[Any]] = {
    "DATE": ["24-02-03", "0000-00-00", "0000-01-01"],
    "DATETIME": ["noon", "2026-13-01 00:00:00", "0000-12-31 10:00:00"],
    "DECIMAL(6,2)": [1.005, 10**9],
    "BOOLEAN": [2],
}
GOOD = {"date": "2026-01-05", "numeric": "1.50", "decimal": 1.5, "bool": 1}

CASES = [
    *(("postgres", kind, value) for kind, values in POSTGRES.items() for value in values),
    *(("mariadb", kind, value) for kind, values in MARIADB.items() for value in values),
    *(("sqlite", kind, value) for kind, values in SQLITE.items() for value in values),
]  # fmt: skip
WAYS = ("cursor", "whole", "full", "window")
PLAYED = [(*case, WAYS[place % len(WAYS)]) for place, case in enumerate(CASES)]
"""Each value by one of the ways, so that every way meets several."""


@dataclass
class Shop:
    """A table of a database, in which others write."""

    run: Callable[[str], object]
    settings: DatabaseSettings
    kind: str

    def make(self) -> None:
        """Make the table."""
        self.run(
            f"CREATE TABLE rows_t (id INTEGER PRIMARY KEY, at TIMESTAMP NULL, v {self.kind}, t VARCHAR(20))"
        )

    def put(self, number: int, value: Any, day: int = 5) -> None:
        """Write a row with this value."""
        at = f"2026-01-{day:02d} 08:00:00"
        self.run(f"INSERT INTO rows_t VALUES ({number}, '{at}', {_literal(value)}, 'x\t\\\"y')")

    def source(self, **table: Any) -> DatabaseTable:
        """Return the table as a source."""
        return reader_of(self.settings, Table(name="rows_t", **table))

    @property
    def good(self) -> Any:
        """A value that fits."""
        return next(
            (value for word, value in GOOD.items() if word in self.kind.lower()), "2026-01-05 10:00:00"
        )


def _literal(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


@pytest.fixture
def shops(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, str], Shop]:
    """Makes a table in a database of the kind that is asked for."""

    def made(engine: str, kind: str) -> Shop:
        if engine == "postgres":
            database: DatabaseSettings = request.getfixturevalue("database")
            return Shop(request.getfixturevalue("connection").execute, database, kind)
        if engine == "mariadb":
            server: MariaDb = request.getfixturevalue("mariadb")
            url = server.url(server.new_database())
            return Shop(
                lambda text: dialects.run(url, "SET sql_mode = ''", text), dialects.settings(url), kind
            )
        url = f"sqlite:///{tmp_path / 'shop.db'}"
        return Shop(lambda text: dialects.run(url, text), dialects.settings(url), kind)

    return made


_RUNS: Iterator[int] = iter(range(10**6))


def take(lake: Lake, shop: Shop, way: str, **table: Any) -> LandingReport:
    """Take the table in a way; returns the report of the stream that was asked for."""
    cursor = None if way == "whole" else "at"
    window = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC))
    source = shop.source(cursor=cursor, cursor_zone="UTC", **table)
    request = IngestRequest(
        lake,
        NAME,
        f"run {next(_RUNS)}",
        mode="full" if way == "full" else "incremental",
        window=window if way == "window" else None,
        drift=source.table.drift,
    )
    return ingest(request, TableIngest(source))[0]


def good_ids(lake: Lake) -> set[int]:
    """Return the ids of the good rows that bronze has."""
    rows = lake.must_open("bronze", NAME).scan().filter(pl.col("_refused").is_null()).collect()
    return set(rows.get_column("id"))


def refused(lake: Lake) -> list[dict[str, Any]]:
    """Return the refused rows that bronze has."""
    rows = refused_rows(lake, NAME)
    return [] if rows is None else rows.sort("_sequence", "_row").collect().to_dicts()


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("engine", "kind", "value", "way"), PLAYED)
def test_a_row_with_a_value_that_no_type_holds_is_refused_alone_and_comes_once_it_is_corrected(
    shops: Callable[[str, str], Shop], lake: Lake, engine: str, kind: str, value: Any, way: str
) -> None:
    shop = shops(engine, kind)
    shop.make()
    for number in range(1, 8):
        shop.put(number, value if number == 4 else None if number == 2 else shop.good)
    report = take(lake, shop, way)
    assert (report.read, report.landed, report.refused) == (7, 6, 1)
    assert report.read == report.landed + report.refused + report.repeated
    (warning,) = [each for each in report.warnings if "refused" in each]
    assert all(part in warning for part in ("column v", "id 4", '"beside"'))
    assert good_ids(lake) == {1, 2, 3, 5, 6, 7}
    # A full read lands in a stream of its own, and then the live one catches up.
    rows = refused(lake)
    assert [row["reason"] for row in rows] == ["v|unreadable"] * (2 if way == "full" else 1)
    raw = json.loads(rows[0]["raw"])
    assert (raw["id"], raw["t"]) == (4, 'x\t\\"y' if engine != "mariadb" else 'x\t"y')
    assert str(value) in str(raw["v"])
    # A second run meets it again only where it reads everything; a third one has more rows.
    again = take(lake, shop, way)
    assert again.refused == (0 if way == "cursor" else 1)
    assert not [each for each in again.warnings if "columns changed" in each]
    if way == "window":
        return
    shop.put(8, shop.good, day=6)
    assert take(lake, shop, way).refused == again.refused
    assert good_ids(lake) == {1, 2, 3, 5, 6, 7, 8}
    shop.run(f"UPDATE rows_t SET v = {_literal(shop.good)}, at = '2026-01-07 08:00:00' WHERE id = 4")
    assert take(lake, shop, way).refused == 0
    assert good_ids(lake) == {*range(1, 9)}


@pytest.mark.parametrize("drift", ["evolve", "freeze", "ignore"])
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_refused_rows_are_no_change_of_columns_by_any_policy_and_silver_rejects_them(
    shops: Callable[[str, str], Shop], lake: Lake, engine: str, drift: Any
) -> None:
    """The first run is clean, as a table of an older version is; full reads delete nothing by a row that is refused."""
    shop = shops(engine, "date")
    shop.make()
    for number in (1, 2, 3):
        shop.put(number, shop.good)
    dataset = None
    for number in range(4):
        report = take(lake, shop, "full", drift=drift)
        bronze = lake.must_open("bronze", NAME)
        columns = pl.Schema(
            {name: each for name, each in received(bronze).items() if not name.startswith("_")}
        )
        dataset = mirror(NAME, ("id",), columns, "at")
        outcome = refine(Refinement(lake, f"run {number}"), dataset)
        rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
        if number == 0:
            assert (report.refused, outcome.report.rejected) == (0, 0)
            odd = "0044-03-15 BC" if engine == "postgres" else "0-0-0"
            shop.run(f"UPDATE rows_t SET v = '{odd}' WHERE id = 2")
        else:
            assert (report.landed, report.refused) == (2, 1)
            assert set(outcome.report.reasons) == {"v|unreadable"}
        assert set(rows.get_column("id")) == {1, 2, 3}, "what cannot be read is not deleted"
    kept = rejected_rows(lake, NAME, lake.must_open("silver", NAME))
    assert kept is not None
    assert all('"id": 2' in text for text in kept.select("record").collect().to_series())


@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_a_column_of_which_none_of_the_first_rows_fits_stops_the_run(
    shops: Callable[[str, str], Shop], lake: Lake, engine: str
) -> None:
    """Then its type is not what the table holds; once rows have landed, as many only cost themselves."""
    shop = shops(engine, "date")
    shop.make()
    odd = "infinity" if engine == "postgres" else "24-02-03"
    for number in range(1, 101):
        shop.put(number, odd)
    for way in ("cursor", "whole"):
        with pytest.raises(ValueRefused, match=f"(?s)v.*{odd}.*beside"):
            take(lake, shop, way)
    shop.put(101, shop.good)
    assert take(lake, shop, "cursor").refused == 100
    for number in range(201, 301):
        shop.put(number, odd, day=7)
    assert take(lake, shop, "cursor").refused == 100


def test_rows_with_several_odd_values_and_an_odd_key_are_each_counted_once(
    shops: Callable[[str, str], Shop], lake: Lake
) -> None:
    shop = shops("postgres", "date")
    shop.run("CREATE TABLE rows_t (day date, n numeric(5,1), at timestamptz, b bytea, PRIMARY KEY (day, at))")
    shop.run(
        "INSERT INTO rows_t VALUES ('2026-01-05', 1, '2026-01-05', 'a'), ('infinity', 'NaN', '2026-01-05', '\\xff'), "
        "('-infinity', 2, '2026-01-05', NULL), ('2026-01-06', 'NaN', '2026-01-05', 'b')"
    )
    for _ in range(3):
        (report, *_) = ingest(
            IngestRequest(lake, NAME, f"run {next(_RUNS)}", mode="full"), TableIngest(shop.source())
        )
        assert (report.read, report.landed, report.refused) == (4, 1, 3)
        assert sum(int(each.split()[0]) for each in report.warnings if "refused" in each) == 3
    raws = {json.loads(row["raw"])["day"] for row in refused(lake)}
    assert raws == {"infinity", "-infinity", "2026-01-06"}
    kept = lake.must_open("bronze", NAME).scan().filter(pl.col("_refused").is_not_null()).collect()
    assert all(kept.get_column(name).is_null().all() for name in ("day", "n", "at", "b")), (
        "nothing of it is a good row"
    )
    # Their keys are in no row of silver, and comparing keys is not stopped by them.
    source = shop.source()
    (noted, *_) = compare_keys(Landing(lake, NAME, NAME, f"run {next(_RUNS)}"), source, None, 1.0)
    assert noted.keys_noted == 2


@pytest.mark.parametrize("keeps", ["newest", "first", "history"])
@pytest.mark.parametrize("engine", ["postgres", "mariadb", "sqlite"])
def test_a_refused_row_leaves_the_open_ones_once_its_source_has_corrected_it(
    shops: Callable[[str, str], Shop], lake: Lake, engine: str, keeps: Any
) -> None:
    """It is open under its key, and superseded by a newer version; an older one that comes later supersedes nothing.

    In a history each version counts, so there it stays open until a version of the same moment comes.
    """
    shop = shops(engine, "date")
    shop.make()
    odd = {"postgres": "infinity", "mariadb": "2026-02-00", "sqlite": "24-02-03"}[engine]
    for number in range(1, 6):
        shop.put(number, odd if number in {2, 4} else shop.good)

    def day() -> list[str]:
        take(lake, shop, "cursor")
        columns = received(lake.must_open("bronze", NAME))
        named = pl.Schema({name: each for name, each in columns.items() if not name.startswith("_")})
        dataset = replace(mirror(NAME, ("id",), named, "at"), keeps=keeps)
        report = refine(Refinement(lake, f"run {next(_RUNS)}"), dataset).report
        went = report.accepted + report.rejected + report.superseded + report.unchanged
        assert report.landed == went
        rows = open_rejects(lake, NAME, lake.open("silver", NAME)).collect()
        assert all(reasons.to_list() == ["v|unreadable"] for reasons in rows.get_column("reasons"))
        return sorted(rows.get_column("key").to_list(), key=str)

    assert day() == ["2", "4"]
    shop.run(f"UPDATE rows_t SET v = {_literal(shop.good)}, at = '2026-01-07 08:00:00' WHERE id = 4")
    assert day() == (["2", "4"] if keeps == "history" else ["2"])
    for number in (8, 9):
        shop.put(number + 10, shop.good, day=number)
        assert day() == (["2", "4"] if keeps == "history" else ["2"])
    # The same moment, read again: a full read has it.
    shop.run(f"UPDATE rows_t SET v = {_literal(shop.good)} WHERE id = 2")
    take(lake, shop, "full")
    assert day() == (["4"] if keeps == "history" else [])
