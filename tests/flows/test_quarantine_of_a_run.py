"""What a run rejected is shown by that run through the command: after a closed gate, and of mirrored tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows.ingest_database import ingest_database
from headworks.cli.main import main
from headworks.cli.quarantine import _CLOSED
from headworks.errors import GateClosed
from headworks.ops.ledger import last_run
from headworks.settings import LakeSettings, RejectLimits
from headworks.storage.store import Lake
from tests.conftest import PostgresServer
from tests.flows.test_gate import change_orders
from tests.support.sales import Place

pytestmark = pytest.mark.server


class Command:
    """The command, as somebody types it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> str:
        """Return what it prints; it has to end well."""
        self._capsys.readouterr()
        code = main(["quarantine", *arguments])
        printed = self._capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    def rows(self, dataset: str, run_id: str) -> list[dict[str, Any]]:
        """Return the rows of a run as programs get them."""
        found: list[dict[str, Any]] = json.loads(
            self("show", dataset, "--run", run_id, "--limit", "1000", "--json")
        )
        return found


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_the_rows_that_closed_a_gate_are_shown_by_their_run_until_a_run_decides_about_them(
    place: Place, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(place.root))
    good = place.last_run()
    with psycopg.connect(place.shop) as connection:
        spoilt = connection.execute(
            "UPDATE shop.orders SET status = 'nonsense' "
            "WHERE updated_at > (SELECT max(updated_at) FROM shop.orders) - interval '20 hours'"
        ).rowcount
        # The shop writes some orders twice, in every column the same: those are one record.
        (records,) = connection.execute(
            "SELECT count(DISTINCT orders::text) FROM shop.orders WHERE status = 'nonsense'"
        ).fetchone() or (0,)
    with pytest.raises(GateClosed):
        place.run()
    closed = place.last_run()
    (judged,) = [one for one in closed.refinements if one.dataset == "shop.orders"]
    assert judged.rejected >= spoilt > 10

    shown = command("show", "shop.orders", "--run", closed.run_id, "--limit", "1000")
    rows = command.rows("shop.orders", closed.run_id)
    assert judged.rejected - len(rows) == spoilt - records
    assert f"{len(rows)} shown" in shown
    assert shown.count(f"({_CLOSED})") == len(rows)
    assert shown.count(f"by run {closed.run_id}") == len(rows)
    assert {row["state"] for row in rows} == {_CLOSED}
    assert sum("unknown_status" in row["reasons"] for row in rows) >= records
    assert _CLOSED in command("list")
    assert closed.run_id not in command("show", "shop.orders", "--run", good.run_id, "--limit", "1000")

    change_orders(monkeypatch, limits=RejectLimits(share=1.0))
    # The lines of these orders have no orders now, which is a gate of their own.
    with pytest.raises(GateClosed, match="order_lines"):
        place.run()
    decided = place.last_run()
    assert {row["state"] for row in command.rows("shop.orders", decided.run_id)} == {""}
    assert command.rows("shop.orders", closed.run_id) == []
    assert not [
        line for line in command("list").splitlines() if line.startswith("shop.orders ") and _CLOSED in line
    ]


@pytest.mark.parametrize(("good", "bad"), [(60, 5), (60, 40)], ids=["an open gate", "a closed gate"])
def test_the_rejected_rows_of_a_mirrored_table_are_shown_by_their_run(
    postgres: PostgresServer,
    prefect_server: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    good: int,
    bad: int,
) -> None:
    """Three runs, each with more rows; of each run just its own are shown."""
    dsn, is_open = postgres.new_database(), bad < good / 4
    monkeypatch.setenv("HEADWORKS_SHOP_DATABASE_URL", dsn)
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", str(tmp_path / "lake"))
    lake, seen = Lake(LakeSettings(root=str(tmp_path / "lake"))), 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE odd (n int GENERATED ALWAYS AS IDENTITY, id int, v text)")
        for number in range(3 if is_open else 1):
            connection.execute(
                f"INSERT INTO odd (id, v) SELECT {number} * 1000 + n, 'v' FROM generate_series(1, {good}) n"
            )
            connection.execute(f"INSERT INTO odd (v) SELECT 'null key' FROM generate_series(1, {bad})")
            asked: Any = {"name": "odd", "key": ["id"], "cursor": "n"}
            if is_open:
                ingest_database("shop-database", "raw.odd", table=asked, silver=True)
            else:
                with pytest.raises(GateClosed):
                    ingest_database("shop-database", "raw.odd", table=asked, silver=True)
            report = last_run(lake, "ingest_database")
            assert report is not None
            rows = command.rows("raw.odd", report.run_id)
            assert len(rows) == bad
            assert {row["state"] for row in rows} == {"" if is_open else _CLOSED}
            assert all("null key" in row["record"] for row in rows)
            shown = command("show", "raw.odd", "--run", report.run_id)
            assert "without a key: id|nullability" in shown
            assert "raw.odd" in command("list")
            seen += len(rows)
    assert len(json.loads(command("show", "raw.odd", "--limit", "1000", "--json"))) == seen
