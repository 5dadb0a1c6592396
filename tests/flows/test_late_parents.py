"""Rows whose parent comes a run later wait for it, through the whole flow."""

from __future__ import annotations

import psycopg
import pytest

from tests.support.sales import Place

pytestmark = pytest.mark.server

# The newest order with lines and nothing wrong: nothing of it was taken in yet.
HOLD_BACK = """
CREATE TABLE held_orders AS SELECT * FROM shop.orders WHERE order_id IN (
  SELECT max(order_id) FROM shop.order_lines JOIN shop.orders USING (order_id) JOIN shop.customers USING (customer_id)
  WHERE orders.currency = 'EUR' AND quantity > 0 AND product_id IS NOT NULL
);
DELETE FROM shop.orders WHERE order_id IN (SELECT order_id FROM held_orders);
"""
BRING = """
UPDATE held_orders SET updated_at = (SELECT max(updated_at) FROM shop.orders) + interval '1 minute';
INSERT INTO shop.orders SELECT * FROM held_orders;
"""


def test_lines_wait_for_their_order_and_are_published_when_it_comes(place: Place) -> None:
    """The shop's replica shows lines before their order; what is published is true with and without it."""
    with psycopg.connect(place.shop) as connection:
        connection.execute("ALTER TABLE shop.order_lines DISABLE TRIGGER ALL")
        connection.execute(HOLD_BACK)
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
