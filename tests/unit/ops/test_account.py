"""The account shows how the numbers add up, on a terminal and on a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headworks.ops.account import account_markdown, account_text
from headworks.reports import LandingReport, RefineReport, RunReport, TableRef

_TABLE = TableRef(table="silver.shop.orders", version=1)
_AT = datetime(2026, 3, 1, tzinfo=UTC)
_REPORT = RunReport(
    run_id="r",
    flow="sales",
    mode="full",
    status="published",
    started_at=_AT,
    finished_at=_AT + timedelta(seconds=4.2),
    landings=(
        LandingReport(dataset="shop.orders", stream="shop.orders", table=_TABLE, read=1200, landed=1200),
    ),
    refinements=(
        RefineReport(
            dataset="shop.orders",
            table=_TABLE,
            landed=1200,
            released=3,
            rejected=2,
            reasons={"order_id|nullability": 2},
            superseded=1,
            unchanged=1000,
            inserted=150,
            updated=50,
        ),
    ),
)
_SUM = (
    "1,200 in range + 3 released from quarantine = 200 accepted + 2 rejected + 1 superseded + 1,000 unchanged"
)


def test_the_account_says_in_one_sum_where_every_row_went() -> None:
    assert _SUM in account_text(_REPORT)
    assert _SUM in account_markdown(_REPORT)


def test_on_a_page_the_mode_is_told_and_numbers_are_set_to_the_right() -> None:
    page = account_markdown(_REPORT)
    assert "full · 4.2 s" in page
    assert "| dataset | read | landed | refused | read again |\n|---|---:|---:|---:|---:|" in page
    assert r"order_id\|nullability" in page
