"""Contracts of independent datasets are checked side by side, in threads."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import polars as pl

from headworks.quality.contracts import run_contract
from shop.gold import DAILY

_ROWS = pl.DataFrame(
    {
        "day": [dt.date(2026, 1, 1)],
        "country": ["DE"],
        "category": ["books"],
        "orders": [1],
        "units": [2],
        "revenue_eur": [Decimal("20.00")],
    },
    schema_overrides={"revenue_eur": pl.Decimal(18, 2)},
)


def test_threads_that_check_contracts_at_once_do_not_disturb_each_other() -> None:
    """Soda shares one YAML parser between all contracts; two threads in it see syntax errors that are not there."""
    alone = run_contract(DAILY.contract, _ROWS, "gold.sales.daily")
    with ThreadPoolExecutor(4) as pool:
        scans = list(pool.map(lambda _: run_contract(DAILY.contract, _ROWS, "gold.sales.daily"), range(12)))
    assert {check.outcome for check in alone} == {"passed"}
    assert [scan for scan in scans if scan != alone] == []
