"""A dry run writes nothing to the lake, whatever the lake holds, and says what the run after it does.

Every flow that has the parameter is tried on an empty lake, on one that is filled, and on those of runs that stopped
after landing, and between two datasets of which one refers to the other.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow

import flows
from flows.backfill import backfill
from flows.ingest_api import ingest_api
from flows.ingest_database import ingest_database
from flows.ingest_files import ingest_files
from flows.maintenance import maintenance
from flows.pipeline import pipeline
from flows.replay_quarantine import replay_quarantine
from flows.sales import sales
from headworks.errors import RunStopped
from headworks.reports import RunReport
from shop import datasets
from tests.flows.conftest import WORLD
from tests.support.sales import Place

pytestmark = pytest.mark.server

WINDOW = {"start": "2025-01-06", "end": "2025-01-08"}
RATES = {
    "path": "/v1/rates",
    "records": "rates",
    "pagination": {"kind": "cursor", "cursor_parameter": "cursor", "cursor_field": "next_cursor"},
}
ORDERS = {"schema_name": "shop", "name": "orders", "key": ["order_id"], "cursor": "updated_at"}
WAYS: dict[str, tuple[Flow[..., Any], dict[str, Any]]] = {
    "sales": (sales, {}),
    "sales in full": (sales, {"mode": "full"}),
    "sales of a window": (sales, {"window": WINDOW}),
    "a product": (pipeline, {"product": "sales"}),
    "replay": (replay_quarantine, {}),
    "maintenance": (maintenance, {}),
    "backfill": (backfill, {"name": "days", "start": "2025-01-06", "end": "2025-01-08"}),
    "an API": (ingest_api, {"api": "shop-api", "dataset": "raw.rates", "resource": RATES}),
    "a table": (
        ingest_database,
        {"database": "shop-database", "dataset": "raw.orders", "table": ORDERS, "silver": True},
    ),
    "a table's keys": (
        ingest_database,
        {"database": "shop-database", "dataset": "raw.orders", "table": ORDERS, "compare_keys": True},
    ),
    "files": (ingest_files, {"location": "drop-files", "dataset": "t.drop", "format": "csv"}),
}


def everything(root: Path) -> dict[str, bytes | None]:
    """Return each file below a folder with its bytes, and each folder."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


def stopped(place: Place, monkeypatch: pytest.MonkeyPatch, name: str, step: Callable[..., None]) -> Place:
    """Run the flow until one of its steps, which ends it as a worker that is asked to stop does."""
    with monkeypatch.context() as patch:
        patch.setattr(f"flows.sales.{name}", step)
        with pytest.raises(RunStopped):
            place.run()
    return place


def stops(*_: Any) -> None:
    raise RunStopped("asked to stop", where="here")


@pytest.fixture(params=["empty", "filled", "landed alone", "refined in part"])
def lake_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    """A place whose lake is in one of these states, and a folder with a file."""
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "a.csv").write_text("id;price\n1;2.50\n")
    monkeypatch.setenv("HEADWORKS_DROP_FILES_ROOT", str(tmp_path / "drop"))
    place: Place = request.getfixturevalue("place" if request.param == "filled" else "new_place")
    if request.param == "landed alone":
        stopped(place, monkeypatch, "refine", stops)
    if request.param == "refined in part":
        first, *_ = datasets.IN_ORDER
        with monkeypatch.context() as patch:
            patch.setattr(datasets, "IN_ORDER", [first])
            stopped(place, monkeypatch, "curate", stops)
    return place


def test_every_flow_with_the_parameter_is_tried() -> None:
    found = set()
    for module in pkgutil.iter_modules(flows.__path__):
        for _, value in inspect.getmembers(importlib.import_module(f"flows.{module.name}")):
            if isinstance(value, Flow) and "dry_run" in inspect.signature(value.fn).parameters:
                found.add(value.name)
    # What is decided about a delivery needs one that is held; tests/integration/test_held_deliveries.py has those.
    # The churn flow needs its CRM, and is tried dry in test_churn.py.
    assert found - {"deliveries", "churn"} == {flow.name for flow, _ in WAYS.values()}


@pytest.mark.sampled(2)
def test_no_dry_run_writes_a_byte_to_the_lake(lake_of: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in lake_of.variables().items():
        monkeypatch.setenv(variable, value)
    before, temporary = everything(lake_of.root), _rehearsals()
    for name, (flow, parameters) in WAYS.items():
        done = flow(**parameters, dry_run=True)
        if isinstance(done, RunReport):
            assert done.status == "dry run", name
        assert everything(lake_of.root) == before, name
        assert _rehearsals() == temporary, f"{name} left something on this machine"


def _rehearsals() -> set[Path]:
    return {path for path in Path(tempfile.gettempdir()).glob("headworks-dry-*") if any(path.rglob("*.json"))}


@pytest.mark.parametrize("state", ["landed alone", "refined in part"])
def test_the_dry_run_after_a_stop_says_what_the_next_run_does(
    new_place: Place, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Orders are judged against the customers that the same dry run has judged; twice, as the shop lives on."""
    for _ in range(2):
        if state == "landed alone":
            stopped(new_place, monkeypatch, "refine", stops)
        else:
            with monkeypatch.context() as patch:
                patch.setattr(datasets, "IN_ORDER", datasets.IN_ORDER[:1])
                stopped(new_place, monkeypatch, "curate", stops)
        before = everything(new_place.root)
        dry = new_place.run(dry_run=True)
        assert everything(new_place.root) == before
        real = new_place.run()
        # The products are read whole each time, so the run has more of them to judge.
        grown = {landing.dataset for landing in real.landings if landing.landed}
        assert grown <= {"shop.products"}
        assert _judged(dry, grown) == _judged(real, grown)
        more = ("postgres.", *(f"silver.{name}" for name in grown))
        theirs = {gate.scope: gate.open for gate in real.gates if not gate.scope.startswith(more)}
        assert {gate.scope: gate.open for gate in dry.gates if gate.scope in theirs} == theirs
        new_place.assert_true()
        new_place.live(WORLD)


def _judged(report: RunReport, without: set[str]) -> dict[str, tuple[Any, ...]]:
    return {
        one.dataset: (one.landed, one.inserted, one.updated, one.rejected, one.reasons, one.superseded)
        for one in report.refinements
        if one.dataset not in without
    }


def test_rows_whose_parents_are_only_read_are_not_known_and_close_no_gate(
    new_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders were landed by a run that stopped before their customers were: the dry run reads these, and says so."""
    orders = [pair for pair in datasets.TABLES if pair[0].name in {"shop.orders", "shop.order_lines"}]
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "TABLES", orders)
        patch.setattr(datasets, "RESOURCES", [])
        stopped(new_place, monkeypatch, "refine", stops)
    before = everything(new_place.root)
    dry = new_place.run(dry_run=True)
    assert everything(new_place.root) == before
    by_name = {one.dataset: one for one in dry.refinements}
    judged = by_name["shop.orders"]
    assert judged.landed > 0
    assert judged.elsewhere >= judged.rejected * 0.8
    (gate,) = [gate for gate in dry.gates if gate.scope == "silver.shop.orders"]
    assert gate.open, gate.reasons
    limits = next(check for check in gate.checks if check.name == "rejected rows within limits")
    assert "may refer to rows that this dry run does not land" in limits.detail
    assert new_place.run().status == "published"
    new_place.assert_true()
