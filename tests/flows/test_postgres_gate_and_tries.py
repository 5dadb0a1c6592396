"""Contracts on Postgres, and tasks that are tried again: through the whole flow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headworks.bronze import landing
from headworks.errors import GateClosed, SourceUnavailable
from headworks.gold.products import read_product
from headworks.project import Publish
from shop import gold
from shop.project import SALES
from tests.support.sales import Place

pytestmark = pytest.mark.server


def test_a_contract_that_fails_in_postgres_leaves_what_readers_see_and_the_mended_one_publishes(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, product = place.seen().tables, read_product(place.lake, gold.PRODUCT)
    original = gold.PUBLISHED[0].contract
    assert original is not None
    contract = tmp_path / original.name
    contract.write_text(
        original.read_text().replace("must_be_greater_than: 0", "must_be_greater_than: 1000000")
    )
    with monkeypatch.context() as patch:
        first, *others = gold.PUBLISHED
        stricter = Publish("analytics-database", gold.SCHEMA, (replace(first, contract=contract), *others))
        patch.setattr("flows.sales.SALES", replace(SALES, publish=stricter))
        with pytest.raises(GateClosed, match="Row count"):
            place.run()
    assert place.seen().tables == before
    assert read_product(place.lake, gold.PRODUCT) == product, "the lake moves with Postgres, or not at all"
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
