"""Lines whose order comes a run later, contracts on Postgres, tasks that are tried again: through the whole flow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headworks.errors import GateClosed, SourceUnavailable
from headworks.lake import landing
from shop import gold
from tests.support.sales import Place

pytestmark = pytest.mark.server

HOLD_BACK = """
CREATE TABLE held_orders AS SELECT * FROM shop.orders WHERE order_id IN
  (SELECT order_id FROM shop.orders ORDER BY updated_at DESC, order_id DESC LIMIT 1);
DELETE FROM shop.orders WHERE order_id IN (SELECT order_id FROM held_orders);
"""
BRING = "INSERT INTO shop.orders SELECT * FROM held_orders"


def test_lines_wait_for_their_order_and_are_published_when_it_comes(place: Place) -> None:
    """The shop's replica shows lines before their order; what is published is true with and without it."""
    with psycopg.connect(place.shop) as connection:
        connection.execute("ALTER TABLE shop.order_lines DISABLE TRIGGER ALL")
        for statement in HOLD_BACK.split(";")[:2]:
            connection.execute(statement.encode())
        held = connection.execute("SELECT order_id FROM held_orders").fetchone()
        assert held is not None
        count = connection.execute(
            "SELECT count(*) FROM shop.order_lines WHERE order_id = %s", held
        ).fetchone()
    assert count is not None
    assert count[0] > 0
    report = place.run()
    lines = next(one for one in report.refinements if one.dataset == "shop.order_lines")
    waited = lines.waiting
    assert lines.reasons.get("orphan_line", 0) >= count[0]
    with psycopg.connect(place.shop) as connection:
        connection.execute(BRING)
    report = place.run()
    lines = next(one for one in report.refinements if one.dataset == "shop.order_lines")
    assert (report.status, lines.released, lines.waiting) == ("published", count[0], waited - count[0])
    place.assert_true()
    assert place.run().status == "unchanged"


def test_a_contract_that_fails_in_postgres_leaves_what_readers_see_and_the_mended_one_publishes(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = place.seen().tables
    original = gold.PUBLISHED[0].contract
    assert original is not None
    contract = tmp_path / original.name
    contract.write_text(
        original.read_text().replace("must_be_greater_than: 0", "must_be_greater_than: 1000000")
    )
    with monkeypatch.context() as patch:
        patch.setattr(gold, "PUBLISHED", (replace(gold.PUBLISHED[0], contract=contract), *gold.PUBLISHED[1:]))
        with pytest.raises(GateClosed, match="Row count"):
            place.run()
    assert place.seen().tables == before
    report = place.last_run()
    assert report.status == "gate closed"
    assert {gate.scope: gate.open for gate in report.gates}["postgres.analytics.sales_daily"] is False
    assert place.run().status == "published"
    place.assert_true()


def test_the_account_has_what_a_task_landed_before_it_was_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source fails once after its first commit: the second try counts on, and the account has all rows."""
    failed: set[str] = set()
    land_batches = landing._land_batches

    def broken_source(*arguments: Any, **named: Any) -> Any:
        for report in land_batches(*arguments, **named):
            yield report
            dataset = arguments[0].dataset
            if dataset not in failed:
                failed.add(dataset)
                raise SourceUnavailable("The connection broke.", where=dataset)

    monkeypatch.setattr(landing, "_land_batches", broken_source)
    report = place.run()
    assert failed >= {"shop.orders", "shop.order_lines", "shop.customers"}
    landed = {one.dataset: one.landed for one in report.landings}
    refined = {one.dataset: one.landed for one in report.refinements}
    assert landed == refined
    assert landed["shop.orders"] > 0
    place.assert_true()
