"""The truth holds: against a slow computation in Python, and for readers who saw the shop change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from shop.database import live
from shop.truth import truth
from shop.world import World

from .slow_truth import Exports, keys_with_ties, slow_truth, validate

Connect = Callable[..., psycopg.Connection[Any]]


def test_truth_equals_a_slow_computation_in_python(founded_dsn: str) -> None:
    with psycopg.connect(founded_dsn) as connection:
        exports = Exports()
        exports.read(connection)
        output = truth(connection)
    assert output == slow_truth(exports)
    assert len(output.daily) > 20
    assert len(output.customer_value) > 10
    assert sum(row.revenue_eur for row in output.daily) == sum(
        row.revenue_eur for row in output.customer_value
    )


def test_a_reader_of_changes_can_reach_the_truth_whatever_his_step(
    connect: Connect, founded_dsn: str, small: World
) -> None:
    """Rows seen on the way, newest valid version first, lead to the same gold as the tables at the end."""
    connection = connect(founded_dsn)
    exports = Exports()
    exports.read(connection)
    day_no = small.history_days
    for step in (1, 3, 2, 1):
        live(connection, small, step)
        last_read = datetime.combine(small.day(day_no), time(), tzinfo=UTC) - timedelta(microseconds=1)
        exports.read(connection, after=last_read)
        day_no += step
        assert slow_truth(exports) == truth(connection)


def test_a_valid_key_stays_valid_and_no_row_is_ever_deleted(
    connect: Connect, founded_dsn: str, small: World
) -> None:
    connection = connect(founded_dsn)
    before, count = Exports(), 0
    before.read(connection)
    for _ in range(6):
        live(connection, small, 1)
        now = Exports()
        now.read(connection)
        old, new = validate(before), validate(now)
        assert old.customers.keys() <= new.customers.keys()
        assert old.orders.keys() <= new.orders.keys()
        assert old.lines.keys() <= new.lines.keys()
        assert old.products.keys() <= new.products.keys()
        rows = len(now.customers) + len(now.orders) + len(now.lines) + len(now.products) + len(now.rates)
        assert rows > count
        before, count = now, rows


def test_no_two_versions_of_a_key_claim_the_same_moment(
    connect: Connect, founded_dsn: str, small: World
) -> None:
    connection = connect(founded_dsn)
    live(connection, small, 6)
    exports = Exports()
    exports.read(connection)
    assert not keys_with_ties((r.customer_id, r.updated_at, r) for r in exports.customers if r.customer_id)
    assert not keys_with_ties((r.order_id, r.updated_at, r) for r in exports.orders if r.order_id)
    assert not keys_with_ties(
        ((r.order_id, r.line_no), r.updated_at, r) for r in exports.lines if r.order_id and r.product_id
    )


def test_half_a_cent_is_rounded_away_from_zero_and_the_last_rate_before_the_day_is_taken(
    connect: Connect, founded_dsn: str
) -> None:
    """An order on a Sunday takes Friday's rate; 0.125 becomes 0.13."""
    connection = connect(founded_dsn)
    with connection.transaction():
        for table in ("shop.orders", "shop.order_lines", "catalogue.rates"):
            connection.execute(f"TRUNCATE {table}")
        connection.execute(
            "INSERT INTO catalogue.rates VALUES ('2026-01-08', 'USD', 9), ('2026-01-09', 'USD', 0.25)"
        )
        connection.execute("INSERT INTO catalogue.rates VALUES ('2026-01-12', 'USD', 7)")
        connection.execute(
            "INSERT INTO shop.orders VALUES "
            "(1, 1, '2026-01-11 23:30Z', 'USD', 'paid', '{\"city\":\"Delft\"}', "
            "'2026-01-12 01:00Z')"
        )
        connection.execute("INSERT INTO shop.order_lines VALUES (1, 1, 1, 1, 0.50, 0, '2026-01-12 01:00Z')")
    (row,) = truth(connection).daily
    assert (row.day.isoformat(), row.revenue_eur) == ("2026-01-11", Decimal("0.13"))


@pytest.mark.parametrize("attribute", ["daily", "customer_value", "expected"])
def test_truth_cannot_be_changed_by_its_readers(founded_dsn: str, attribute: str) -> None:
    with psycopg.connect(founded_dsn) as connection:
        output = truth(connection)
    with pytest.raises(ValueError, match="frozen"):
        setattr(output, attribute, None)
