"""How fast a table or a query of SQLite or MariaDB is landed, alongside the loop in which its driver fetches the rows.

``python -m benchmarks.dialects --rows 300000 --rounds 3 --peers``. All ways take turns in one process, after one round
that does not count. With ``--peers`` each backend of dlt takes part, too, in a process of its own that says how long
it took without its start; one that cannot read the table is reported so.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import SecretStr

from benchmarks.databases.environments import peer_command
from headworks.bronze.landing import Landing, land
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from tests.support.mariadb import running_mariadb

PEERS = ("dlt-sqlalchemy", "dlt-pandas", "dlt-pyarrow", "dlt-connectorx")
COLUMNS = (
    "id INTEGER PRIMARY KEY, customer INTEGER, price DECIMAL(15,2), discount DECIMAL(15,2), flag CHAR(1), "
    "day DATE, moment DATETIME, comment VARCHAR(60)"
)
TABLE = Table(name="t")
QUERY = Table(
    query="SELECT * FROM t",
    columns={
        "id": "int64",
        "customer": "int64",
        "price": "decimal(15,2)",
        "discount": "decimal(15,2)",
        "flag": "text",
        "day": "date",
        "moment": "naive_datetime",
        "comment": "text",
    },
)


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Make rows of the shapes that orders have."""
    for n in range(count):
        day = f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}"
        yield (
            n,
            n % 9973,
            f"{n % 100000}.{n % 100:02}",
            f"0.{n % 10}0",
            "NOR"[n % 3],
            day,
            f"{day} 08:00:00",
            f"warning {n}",
        )


def driver_loop(cursor: Any) -> int:
    """Fetch all rows as the driver gives them, and forget them."""
    cursor.execute("SELECT * FROM t")
    count = 0
    while found := cursor.fetchmany(10_000):
        count += len(found)
    return count


def landed(url: str, table: Table) -> int:
    """Land a table or query through the whole protocol."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(LakeSettings(root=folder))
        source = DialectTable(DatabaseSettings(url=SecretStr(url)), table)
        return land(Landing(lake, "b.t", "b.t", "run"), source).landed


@dataclass(frozen=True)
class Contest:
    """How often each way is taken, and where peers have their environments; None without them."""

    rounds: int
    peers: Path | None

    def run(self, name: str, url: str, fetch: Callable[[], int]) -> None:
        """Measure all ways in turns, and print their medians and how many times the driver's own loop they take."""
        ways: dict[str, Callable[[], float | None]] = {
            "driver": lambda: _timed(fetch),
            "headworks": lambda: _timed(lambda: landed(url, TABLE)),
            "headworks, query": lambda: _timed(lambda: landed(url, QUERY)),
        }
        if self.peers is not None:
            ways |= {way: partial(_peer, way, url, self.peers) for way in PEERS}
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(self.rounds + 1):
            for way, work in list(ways.items()):
                seconds = work()
                if seconds is None:
                    print(f"{name:<10}{way:<18} cannot read the table")
                    del ways[way]
                elif number:
                    taken[way].append(seconds)
        driver = median(taken["driver"])
        for way in ways:
            line = f"{median(taken[way]):7.2f} s ({min(taken[way]):.2f} to {max(taken[way]):.2f})"
            print(f"{name:<10}{way:<18}{line}  {median(taken[way]) / driver:6.2f} ×", flush=True)


def _peer(way: str, url: str, folder: Path) -> float | None:
    """Take a peer's way; how long reading took, or None where it cannot read the table."""
    lake, report = folder / "lake", folder / "report.json"
    shutil.rmtree(lake, ignore_errors=True)
    report.unlink(missing_ok=True)
    command = peer_command(way, url, "t", lake, report, folder)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1][:200])
        return None
    return float(json.loads(report.read_text())["seconds"])


def _timed(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Fill a table of each kind, and compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers", action="store_true", help="measure dlt's backends, too; makes environments for them"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        peers = Path(stack.enter_context(tempfile.TemporaryDirectory())) if options.peers else None
        contest = Contest(options.rounds, peers)
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "t.db"
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE TABLE t ({COLUMNS})")
            connection.executemany("INSERT INTO t VALUES (?,?,?,?,?,?,?,?)", rows(options.rows))
        contest.run("SQLite", f"sqlite:///{path}", lambda: driver_loop(connection.cursor()))
        connection.close()
        program = shutil.which("mariadbd")
        if program is None:
            print("MariaDB is absent: apt-get install mariadb-server")
            return
        import pymysql.cursors

        server = stack.enter_context(running_mariadb(program))
        name = server.new_database()
        maria = server.connect(name)
        with maria.cursor() as cursor:
            cursor.execute(f"CREATE TABLE t ({COLUMNS})")
            waiting = list(rows(options.rows))
            for start in range(0, len(waiting), 20_000):
                cursor.executemany(
                    "INSERT INTO t VALUES (%s,%s,%s,%s,%s,%s,%s,%s)", waiting[start : start + 20_000]
                )

        def fetch() -> int:
            with maria.cursor(pymysql.cursors.SSCursor) as cursor:
                return driver_loop(cursor)

        contest.run("MariaDB", server.url(name), fetch)
        maria.close()


if __name__ == "__main__":
    main()
