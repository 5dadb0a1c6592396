"""Bad data never shows: whatever closes the gate, consumers keep their last good version to the byte.

The contracts are broken in every way that a person may break one, at silver and at gold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.errors import GateClosed
from headworks.quality import contracts
from headworks.reports import RunReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from shop import datasets, gold
from shop.project import SALES
from tests.support.sales import Place

pytestmark = pytest.mark.server

GOLD, SILVER = "gold.sales.daily", "silver.shop.orders"

Breaking = Callable[[str], str]

BROKEN: dict[str, tuple[Breaking, str]] = {
    "a check that fails": (
        lambda text: text.replace("must_be_greater_than: 0", "must_be_greater_than: 1000000"),
        "Row count",
    ),
    "no evaluated check": (
        lambda text: f"dataset: {_dataset(text)}\ncolumns:\n- name: {_column(text)}\n",
        "no check of the contract was evaluated",
    ),
    "bad YAML": (lambda text: f"{text}\n  - row_count: [", "Error"),
    "an unknown check": (lambda text: text.replace("row_count:", "rowcount:"), "rowcount"),
    "another dataset": (
        lambda text: text.replace(f"dataset: {_dataset(text)}", "dataset: warehouse/x/y"),
        "warehouse/x/y",
    ),
}


def _dataset(text: str) -> str:
    return next(line.split()[1] for line in text.splitlines() if line.startswith("dataset:"))


def _column(text: str) -> str:
    """Return the name of a column that the contract is about."""
    return next(line.split()[-1] for line in text.splitlines() if line.strip().startswith("- name:"))


def use_contract(monkeypatch: pytest.MonkeyPatch, scope: str, contract: Path) -> None:
    """Let one gold table, or one dataset, be checked by another contract."""
    if scope == GOLD:
        tables = (replace(gold.DAILY, contract=contract), gold.CUSTOMER_VALUE)
        monkeypatch.setattr("flows.sales.SALES", replace(SALES, tables=tables))
    else:
        change_orders(monkeypatch, contract=contract)


def change_orders(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    changed: Dataset = replace(datasets.ORDERS, **changes)
    order = (datasets.IN_ORDER[0], (changed,), datasets.IN_ORDER[2])
    monkeypatch.setattr(datasets, "IN_ORDER", order)


def original(scope: str) -> Path:
    contract = gold.DAILY.contract if scope == GOLD else datasets.ORDERS.contract
    assert contract is not None
    return contract


def data_files(place: Place) -> dict[str, str]:
    """Return the data of silver's orders; that a delivery is held is a commit without any."""
    files = place.bytes_of("silver/shop/orders")
    return {name: digest for name, digest in files.items() if "_delta_log" not in name}


def assert_kept(place: Place, scope: str, said: str) -> RunReport:
    """Run; insist that nothing shows, that the run says why, and that ledger and quarantine report it too."""
    before, orders = place.seen(), data_files(place)
    counted = place.rejected("shop.orders")
    with pytest.raises(GateClosed) as caught:
        place.run()
    assert place.seen() == before, "consumers see something else"
    assert caught.value.where == scope
    assert said in str(caught.value)
    report = place.last_run()
    assert (report.status, report.publications, report.gold) == ("gate closed", (), ())
    assert said in report.message
    checks = place.checks(report.run_id)
    bad = checks.filter((pl.col("scope") == scope) & ~pl.col("outcome").is_in(["passed", "warned"]))
    assert bad.height > 0, "ops.checks does not report what was not passed"
    assert {gate.scope: gate.open for gate in report.gates}[scope] is False
    if scope == SILVER:
        assert data_files(place) == orders
        assert place.rejected("shop.orders") == counted, "rejects of a try that was not let through count"
        assert {*place.pending("shop.orders").get_column("run_id")} == {report.run_id}
    return report


def assert_next_run_publishes(place: Place) -> None:
    assert place.run().status == "published"
    place.assert_true()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("scope", "how"),
    # At silver one of them: the unit tests of contracts show many more, and it is the same scan.
    [*((GOLD, how) for how in BROKEN), (SILVER, "no evaluated check")],
)
def test_a_broken_contract_keeps_the_last_good_version(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scope: str, how: str
) -> None:
    breaking, said = BROKEN[how]
    contract = tmp_path / "contract.yml"
    text = original(scope).read_text()
    contract.write_text(breaking(text))
    assert contract.read_text() != text, "nothing was broken"
    use_contract(monkeypatch, scope, contract)
    assert_kept(place, scope, said)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scope", [SILVER, GOLD])
def test_a_missing_contract_keeps_the_last_good_version_and_once_it_is_there_the_next_run_publishes(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scope: str
) -> None:
    contract = tmp_path / "contract.yml"
    contract.write_text("")
    use_contract(monkeypatch, scope, contract)
    contract.unlink()
    assert_kept(place, scope, "contract.yml")
    contract.write_text(original(scope).read_text())
    assert_next_run_publishes(place)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("scope", [SILVER, GOLD])
def test_a_scan_that_raises_keeps_the_last_good_version_and_the_next_run_publishes(
    place: Place, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    """Nothing but the scan's own trouble changes between the runs: a closed gate must not be remembered."""
    real = contracts._verify

    def scan(contract: Path, connection: Any) -> Any:
        if contract == original(scope):
            raise MemoryError("no memory is left for the scan")
        return real(contract, connection)

    with monkeypatch.context() as patch:
        patch.setattr(contracts, "_verify", scan)
        assert_kept(place, scope, "no memory is left for the scan")
    assert_next_run_publishes(place)


def test_too_many_rejected_rows_keep_the_last_good_version_and_can_be_looked_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        change_orders(patch, limits=RejectLimits(rows=0))
        report = assert_kept(place, SILVER, "rejected rows within limits")
    pending = place.pending("shop.orders")
    refined = next(r for r in report.refinements if r.dataset == "shop.orders")
    assert pending.height == refined.rejected > 0
    assert (pending.get_column("reasons").list.len() > 0).all()
    assert pending.get_column("record").null_count() == 0
    assert_next_run_publishes(place)


def test_the_first_gold_table_is_not_published_without_the_second(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contract = tmp_path / "contract.yml"
    contract.write_text(BROKEN["a check that fails"][0](gold.CUSTOMER_VALUE.contract.read_text()))
    tables = (gold.DAILY, replace(gold.CUSTOMER_VALUE, contract=contract))
    with monkeypatch.context() as patch:
        patch.setattr("flows.sales.SALES", replace(SALES, tables=tables))
        report = assert_kept(place, "gold.sales.customer_value", "Row count")
    assert {gate.scope: gate.open for gate in report.gates if gate.scope.startswith("gold.")} == {
        GOLD: True,
        "gold.sales.customer_value": False,
    }
    assert_next_run_publishes(place)


def test_a_total_that_does_not_survive_keeps_the_last_good_version(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transform that loses rows passes every contract; the totals, computed another way, do not let it through."""

    def lossy(inputs: Any) -> pl.LazyFrame:
        return gold.daily(inputs).filter(pl.col("country") != "DE")

    with monkeypatch.context() as patch:
        tables = (replace(gold.DAILY, transform=lossy), gold.CUSTOMER_VALUE)
        patch.setattr("flows.sales.SALES", replace(SALES, tables=tables))
        assert_kept(place, GOLD, "total of revenue_eur survives")
    assert_next_run_publishes(place)


def test_a_closed_gate_at_the_first_load_shows_nothing_at_all(
    new_place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "contract.yml"
    gone.write_text("")
    with monkeypatch.context() as patch:
        use_contract(patch, GOLD, gone)
        gone.unlink()
        with pytest.raises(GateClosed):
            new_place.run()
    assert new_place.seen().tables == {}
    table = new_place.lake.open("gold", "sales.daily")
    assert table is None or table.row_count() == 0
    assert new_place.run().status == "published"


def test_what_other_steps_of_a_closed_run_did_is_on_record(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Customers are refused; products were refined alongside them and are committed: the record says so."""
    gone = tmp_path / "gone.yml"
    gone.write_text("")
    customers = replace(datasets.CUSTOMERS, contract=gone)
    gone.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "IN_ORDER", ((customers, *datasets.IN_ORDER[0][1:]), *datasets.IN_ORDER[1:]))
        with pytest.raises(GateClosed):
            place.run()
    report = place.last_run()
    committed = {r.dataset: r.committed for r in report.refinements}
    assert {*committed} == {"shop.customers", "shop.products", "shop.rates"}
    assert (committed["shop.customers"], committed["shop.products"]) == (False, True)
    assert len(report.landings) == 5
