"""The sales flow on real parts, and everything that its consumers can see of it, to the byte."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg import sql

from flows.sales import sales
from headworks.gold.products import open_product
from headworks.ops.ledger import last_run
from headworks.reports import RunReport
from headworks.settings import LakeSettings
from headworks.silver.quarantine import pending_rows, rejected_rows
from headworks.storage.store import Lake
from shop import gold
from shop.database import live
from shop.truth import Truth, truth
from shop.world import World

TOKEN = "sales-token-never-shown"


@dataclass(frozen=True)
class Seen:
    """All that consumers can see: the bytes of gold and of the products' table, and Postgres' rows as written."""

    files: Mapping[str, str]
    tables: Mapping[str, tuple[tuple[Any, ...], ...]] = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a sales flow runs: its lake, the shop's database and API, and the database that it publishes to."""

    root: Path
    shop: str
    analytics: str
    api: str

    def variables(self) -> dict[str, str]:
        """Return the variables that describe this place's blocks."""
        return {
            "HEADWORKS_PROJECT": "shop.project:SHOP",
            "HEADWORKS_LAKE_ROOT": str(self.root),
            "HEADWORKS_SHOP_API_BASE_URL": self.api,
            "HEADWORKS_SHOP_API_TOKEN": TOKEN,
            "HEADWORKS_SHOP_DATABASE_URL": self.shop,
            "HEADWORKS_ANALYTICS_DATABASE_URL": self.analytics,
        }

    def run(self, flow: Callable[..., Any] = sales, **parameters: Any) -> RunReport:
        """Run a flow here; raises what it raises."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables().items():
                patch.setenv(name, value)
            report: RunReport = flow(**parameters)
            return report

    def copy(self, root: Path, new_database: Callable[[str], str]) -> Place:
        """Return a place that is the same and shares nothing with this one, to whose databases nobody is connected."""
        shutil.copytree(self.root, root)
        return Place(root, new_database(self.shop), new_database(self.analytics), self.api)

    @property
    def lake(self) -> Lake:
        """The lake, opened."""
        return Lake(LakeSettings(root=str(self.root)))

    def live(self, world: World) -> None:
        """Let the shop's database live one day more."""
        with psycopg.connect(self.shop) as connection:
            live(connection, world, 1)

    def truth(self) -> Truth:
        """Return what gold must be, computed by the shop itself."""
        with psycopg.connect(self.shop) as connection:
            return truth(connection)

    def seen(self) -> Seen:
        """Return all that consumers can see now."""
        return Seen(
            files={**self.bytes_of("gold"), **self.bytes_of("products")}, tables=_published(self.analytics)
        )

    def bytes_of(self, folder: str) -> dict[str, str]:
        """Return a digest of each file below a folder of the lake."""
        files = sorted(path for path in (self.root / folder).rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.root)): hashlib.blake2b(path.read_bytes()).hexdigest() for path in files
        }

    def assert_true(self) -> None:
        """Compare each row of gold and of Postgres with the shop's truth."""
        expected = self.truth()
        shown = open_product(self.lake, gold.PRODUCT)
        for name, rows in (
            ("sales.daily", expected.daily),
            ("sales.customer_value", expected.customer_value),
        ):
            wanted = {tuple(row.model_dump().values()) for row in rows}
            columns = list(rows[0].model_dump())
            assert set(shown[name].select(columns).collect().iter_rows()) == wanted
            with psycopg.connect(self.analytics) as connection:
                query = sql.SQL("SELECT {} FROM {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.Identifier("analytics", name.replace(".", "_")),
                )
                assert set(connection.execute(query).fetchall()) == wanted

    def last_run(self, flow: str = "sales") -> RunReport:
        """Return the newest run of the ledger."""
        report = last_run(self.lake, flow)
        assert report is not None
        return report

    def checks(self, run_id: str) -> pl.DataFrame:
        """Return what ``ops.checks`` holds of a run."""
        return self.lake.must_open("ops", "checks").scan().filter(pl.col("run_id") == run_id).collect()

    def rejected(self, dataset: str) -> int:
        """Return how many rejected rows of a dataset count."""
        rows = rejected_rows(self.lake, dataset, self.lake.open("silver", dataset))
        return 0 if rows is None else rows.collect().height

    def pending(self, dataset: str) -> pl.DataFrame:
        """Return the rejected rows of tries that silver never named."""
        rows = pending_rows(self.lake, dataset, self.lake.open("silver", dataset))
        return pl.DataFrame() if rows is None else rows.collect()


def _published(dsn: str) -> dict[str, tuple[tuple[Any, ...], ...]]:
    """Return every row of every table of the published schema, with the transaction that wrote it."""
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'analytics' ORDER BY 1"
        ).fetchall()
        return {
            name: tuple(
                connection.execute(
                    sql.SQL("SELECT xmin::text, ctid::text, * FROM {} ORDER BY ctid").format(
                        sql.Identifier("analytics", name)
                    )
                ).fetchall()
            )
            for (name,) in names
        }
