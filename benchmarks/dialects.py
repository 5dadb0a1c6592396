"""How fast a table of SQLite or MariaDB is landed, beside the bare loop in which its driver fetches the same rows.

``python -m benchmarks.dialects --rows 300000 --rounds 3``. The rows take turns with both ways in one process, after one
round that does not count. What belongs here: measuring. What does not: claims about being right.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import SecretStr

from headworks.lake.landing import Landing, land
from headworks.lake.store import Lake
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.sources.sql.dialect import DialectTable
from headworks.sources.sql.table import Table
from tests.support.mariadb import running_mariadb

COLUMNS = (
    "id INTEGER PRIMARY KEY, customer INTEGER, price DECIMAL(15,2), discount DECIMAL(15,2), flag CHAR(1), "
    "day DATE, moment DATETIME, comment VARCHAR(60)"
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
            f"remark {n}",
        )


def driver_loop(cursor: Any) -> int:
    """Fetch all rows as the driver gives them, and forget them."""
    cursor.execute("SELECT * FROM t")
    count = 0
    while found := cursor.fetchmany(10_000):
        count += len(found)
    return count


def landed(url: str) -> int:
    """Land the table through the whole protocol."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(LakeSettings(root=folder))
        source = DialectTable(DatabaseSettings(url=SecretStr(url)), Table(name="t"))
        return land(Landing(lake, "b.t", "b.t", "run"), source).landed


def compare(name: str, url: str, fetch: Callable[[], int], rounds: int) -> None:
    """Measure both ways in turns, and print their medians and the ratio."""
    taken: dict[str, list[float]] = {"driver": [], "headworks": []}
    for number in range(rounds + 1):
        for way, work in (("driver", fetch), ("headworks", lambda: landed(url))):
            began = time.perf_counter()
            count = work()
            if number:
                taken[way].append(time.perf_counter() - began)
    driver, ours = median(taken["driver"]), median(taken["headworks"])
    spread = f"{min(taken['headworks']):.2f} to {max(taken['headworks']):.2f}"
    print(
        f"{name:<10}{count:>10,} rows  driver {driver:6.2f} s  headworks {ours:6.2f} s ({spread})  "
        f"{ours / driver:.2f} ×"
    )


def main() -> None:
    """Fill a table of each kind, and compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "t.db"
        with sqlite3.connect(path) as connection:
            connection.execute(f"CREATE TABLE t ({COLUMNS})")
            connection.executemany("INSERT INTO t VALUES (?,?,?,?,?,?,?,?)", rows(options.rows))
        compare("SQLite", f"sqlite:///{path}", lambda: driver_loop(connection.cursor()), options.rounds)
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

        compare("MariaDB", server.url(name), fetch, options.rounds)
        maria.close()


if __name__ == "__main__":
    main()
