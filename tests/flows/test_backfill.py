"""A backfill that is killed over and over: each day is ingested once, the live position stays, and all is true.

Six days and two kills, or as many as HEADWORKS_BACKFILL says: HEADWORKS_BACKFILL=60,5 is the whole campaign.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from headworks.bronze.landing import Head, read_head
from headworks.names import window_stream
from headworks.ops.backfills import plan, split
from shop import datasets
from shop.database import found
from shop.world import World
from tests.conftest import PostgresServer
from tests.flows.conftest import open_shop
from tests.support.sales import Place

pytestmark = pytest.mark.server

DAYS, KILLS = (int(part) for part in os.environ.get("HEADWORKS_BACKFILL", "6,2").split(","))
FIRST = date(2025, 1, 6)
# More lines a day than the limits of rejected rows begin to count from: most of them wait for an order that has changed
# later, and so lies in another window.
WORLD = World(
    seed=5,
    first_day=FIRST,
    history_days=DAYS,
    customers_at_start=30,
    customers_per_day=3,
    moves_per_day=2,
    orders_per_day=60,
    products_at_start=20,
)
# Lines of the log that a run of one window writes when it has landed something.
_LANDED = "landed in"
_A_WINDOWS_LINES = 5


@pytest.fixture
def shop(postgres: PostgresServer, tmp_path: Path, prefect_server: str, at_once: None) -> Iterator[Place]:
    """A shop with its history, of which nothing was ingested."""
    dsn = postgres.new_database()
    with psycopg.connect(dsn) as connection:
        found(connection, WORLD)
    root = tmp_path / "lake"
    root.mkdir()
    with open_shop(Place(root, dsn, postgres.new_database(), api="")) as opened:
        yield opened


@dataclass(frozen=True)
class Backfill:
    """One backfill of the whole history, run as a program."""

    place: Place
    server: str
    folder: Path
    parallel: int = 1
    errors: list[str] = field(default_factory=list)

    def run(self, kill_at_line: int | None = None) -> int:
        """Run it, and kill it with SIGKILL when it has written so many lines about landings; the exit code."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.backfill", *self._parameters()],
            cwd=self.folder,
            env={
                **clean,
                **self.place.variables(),
                "PREFECT_API_URL": self.server,
                "PREFECT_HOME": str(self.folder / "prefect"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines, met = [], 0
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.append(line)
                met += _LANDED in line
                if met == kill_at_line:
                    os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        self.errors.extend(line[:400] for line in lines if "| ERROR " in line)
        # The first error explains why, in whichever run it was; what follows only piles up behind it.
        assert code == (0 if kill_at_line is None else -signal.SIGKILL), "".join(
            [*self.errors[:5], *lines[-40:]]
        )
        return code

    def _parameters(self) -> list[str]:
        end = FIRST + timedelta(days=DAYS)
        given = {
            "name": "history",
            "start": FIRST.isoformat(),
            "end": end.isoformat(),
            "flow": "sales",
            "parallel": str(self.parallel),
        }
        return [word for name, value in given.items() for word in ("--param", f"{name}={value}")]


def live_positions(place: Place) -> dict[str, Head]:
    """Return where the live streams of the shop's tables stand."""
    heads = {}
    for dataset, _ in datasets.TABLES:
        bronze = place.lake.must_open("bronze", dataset.name)
        heads[dataset.name] = read_head(place.lake, bronze, dataset.name, dataset.name)
    return heads


def assert_each_window_once(place: Place) -> None:
    """Each window is done and was landed once, nothing else was read, and the live position is where it was."""
    start = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    windows = split(start, start + timedelta(days=DAYS), "day")
    assert {each.state for each in plan(place.lake, "history", "sales", windows)} == {"done"}
    for dataset, table in datasets.TABLES:
        landed = place.lake.must_open("bronze", dataset.name).scan().group_by("_stream").len().collect()
        rows = dict(landed.iter_rows())
        for window in windows:
            once = window.model_copy(update={"once": "history"})
            stream = window_stream(dataset.name, once, 1)
            assert rows.pop(stream, 0) == count_in(place, table, once.start, once.end), stream
        assert rows == {}, "something else was read"
    assert {head.sequence for head in live_positions(place).values()} == {0}


def test_a_backfill_that_is_killed_over_and_over_takes_each_day_in_once(
    shop: Place, prefect_api_url: str, tmp_path: Path
) -> None:
    backfill = Backfill(shop, prefect_api_url, tmp_path)
    chance = random.Random(7)
    for _ in range(KILLS):
        # Somewhere in the next share of the work, whichever step that is.
        backfill.run(kill_at_line=chance.randint(1, max(2, DAYS // (KILLS + 1)) * _A_WINDOWS_LINES))
    backfill.run()
    assert_each_window_once(shop)
    # The live reading then finds nothing that silver has not.
    shop.run()
    shop.assert_true()


def count_in(place: Place, table: datasets.TableSource, start: datetime, end: datetime) -> int:
    """Return how many rows the shop's table holds that changed in [start, end)."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE {cursor} >= %s AND {cursor} < %s").format(
        sql.Identifier(table.schema_name, table.table), cursor=sql.Identifier(table.cursor)
    )
    with psycopg.connect(place.shop) as connection:
        row = connection.execute(query, (start, end)).fetchone()
    assert row is not None
    return int(row[0])


def test_windows_side_by_side_are_taken_in_once_and_a_finished_backfill_does_nothing_again(
    shop: Place, prefect_api_url: str, tmp_path: Path
) -> None:
    if DAYS > 10:
        pytest.skip("reported by the small one")
    backfill = Backfill(shop, prefect_api_url, tmp_path, parallel=3)
    backfill.run()
    assert_each_window_once(shop)
    before = {name: shop.lake.must_open("bronze", name).version for name in ("shop.orders", "shop.customers")}
    backfill.run()
    assert before == {name: shop.lake.must_open("bronze", name).version for name in before}
