"""A test kit for rules and transforms: given these rows, expect those, and these rejected for that reason.

Rows go through the real engine, in a lake in a temporary folder: landed, parsed, judged, deduplicated and merged as in
production, but that nothing is compared with good runs and no share of rejects closes the gate.

::

    def test_an_order_in_an_unknown_currency_is_rejected():
        tried = try_rows(ORDERS, [order(order_id=1), order(order_id=2, currency="XXX")], parents=CUSTOMERS)
        tried.expect([{"order_id": 1, "currency": "EUR"}])
        tried.expect_rejected("unknown_currency", [{"order_id": 2}])
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.gold.curation import GoldTable
from headworks.names import OWN_IN_SILVER
from headworks.quality.limits import AnomalyLimits
from headworks.reports import GateReport, RefineReport
from headworks.settings import LakeSettings, RejectLimits
from headworks.silver.dataset import DELETED, Dataset
from headworks.silver.quarantine import pending_rows, rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from headworks.testing.sources import Rows

Row = Mapping[str, Any]

PRESENT = datetime(2099, 1, 1, tzinfo=UTC)
"""The moment at which rows are judged, unless another one is given: after every cursor that a test may use."""


@dataclass(frozen=True)
class Tried:
    """What became of rows: silver's live rows, rejected records by reason, and what the step reported."""

    accepted: tuple[dict[str, Any], ...]
    rejected: dict[str, tuple[dict[str, Any], ...]]
    report: RefineReport
    gate: GateReport | None = field(default=None)

    def expect(self, rows: Sequence[Row]) -> None:
        """Expect exactly these rows in silver, in any order; only the columns that a row names are compared.

        Raises `AssertionError` with what is missing and what is there instead.
        """
        _compare("accepted", rows, self.accepted)

    def expect_rejected(self, reason: str, rows: Sequence[Row]) -> None:
        """Expect exactly these records rejected for ``reason``; only the fields that a row names are compared."""
        known = ", ".join(self.rejected) or "none"
        if rows and reason not in self.rejected:
            raise AssertionError(f"nothing was rejected for {reason!r}; the reasons are: {known}")
        _compare(f"rejected for {reason}", rows, self.rejected.get(reason, ()))

    def expect_nothing_rejected(self) -> None:
        """Expect that every row passed."""
        if self.rejected:
            raise AssertionError(f"rows were rejected: {self.rejected}")


def try_rows(
    dataset: Dataset,
    rows: Sequence[Row],
    *,
    parents: Mapping[str, Sequence[Row]] | None = None,
    types: Mapping[str, pl.DataType] | None = None,
    present: datetime = PRESENT,
) -> Tried:
    """Take raw rows through a dataset's rules, as its source would give them, and return what became of them.

    ``parents`` gives the rows of the datasets that this one refers to, by name. ``types`` gives the source's types of
    columns where the values do not show them. A dataset with ``fields`` gets each row as a JSON record.

    Args:
        dataset: its schema, expressions, references and agreements are what is tried.
        rows: as the source gives them.
        present: the moment of judging.

    Raises what refining raises: `SchemaChanged`, `SettingsError`.

    Example:
        >>> class Contact(dy.Schema):
        ...     id = dy.Int64(nullable=False)
        ...     mail = dy.String(nullable=False)
        >>> columns = {"id": pl.col("id").cast(pl.Int64, strict=False), "mail": pl.col("mail")}
        >>> contacts = Dataset("crm.contacts", key=("id",), schema=Contact, columns=columns)
        >>> tried = try_rows(contacts, [{"id": "1", "mail": "a@b.example"}, {"id": "x", "mail": "c@d.example"}])
        >>> tried.expect([{"id": 1}])
        >>> tried.expect_rejected("id|unreadable", [{"id": "x"}])
    """
    with tempfile.TemporaryDirectory(prefix="headworks-try-") as folder:
        lake = Lake(LakeSettings(root=str(Path(folder) / "lake")))
        for reference in dataset.references:
            compared = dataset.compared_columns(reference.parent)
            columns = tuple(dict.fromkeys((*reference.parent_columns, *compared)))
            _put_parents(lake, reference.parent, columns, (parents or {}).get(reference.parent, ()))
        land(
            Landing(lake, dataset.name, dataset.name, "try", clock=lambda: present),
            Rows(_raw(dataset, rows, types)),
        )
        lenient = replace(dataset, limits=RejectLimits(share=1.0), anomalies=AnomalyLimits(enabled=False))
        outcome = refine(Refinement(lake, "try", clock=lambda: present), lenient)
        return Tried(_accepted(lake, dataset), _rejected(lake, dataset), outcome.report, outcome.gate)


def try_transform(
    gold: GoldTable, inputs: Mapping[str, Sequence[Row]], datasets: Sequence[Dataset]
) -> list[dict[str, Any]]:
    """Make a gold table from rows of silver and return its rows, ordered by its key.

    ``datasets`` declare the inputs, so that columns which the rows leave out are null and all have their types.

    Args:
        gold: the table.
        inputs: rows of silver, by dataset.

    Raises what the transform raises.

    Example:
        >>> class Order(dy.Schema):
        ...     id = dy.Int64(nullable=False)
        ...     day = dy.String()
        >>> columns = {"id": pl.col("id"), "day": pl.col("day")}
        >>> orders = Dataset("shop.orders", key=("id",), schema=Order, columns=columns)
        >>> daily = GoldTable(
        ...     "sales.daily",
        ...     ("shop.orders",),
        ...     lambda inputs: inputs["shop.orders"].group_by("day").agg(pl.len().cast(pl.Int64).alias("orders")),
        ...     key=("day",),
        ...     contract=contract,
        ... )
        >>> try_transform(daily, {"shop.orders": [{"id": 1, "day": "Monday"}, {"id": 2, "day": "Monday"}]}, [orders])
        [{'day': 'Monday', 'orders': 2}]
    """
    declared = {dataset.name: dataset for dataset in datasets}
    frames = {name: _typed(declared[name], inputs.get(name, ())).lazy() for name in gold.inputs}
    return gold.transform(frames).collect().sort(gold.key).to_dicts()


def _typed(dataset: Dataset, rows: Sequence[Row]) -> pl.DataFrame:
    schema = pl.Schema(
        {name: type_ for name, type_ in dataset.silver_schema().items() if name not in OWN_IN_SILVER}
    )
    return pl.DataFrame([dict(row) for row in rows], schema=schema)


def _raw(dataset: Dataset, rows: Sequence[Row], types: Mapping[str, pl.DataType] | None) -> pl.DataFrame:
    if dataset.fields:
        records = [json.dumps(row, default=str, ensure_ascii=False).encode() for row in rows]
        return pl.DataFrame({"record": records}, schema={"record": pl.Binary()})
    frame = pl.DataFrame(
        [dict(row) for row in rows],
        infer_schema_length=None,
        schema_overrides=dict(types or {}),
        strict=False,
    )
    return frame.with_columns(pl.col(pl.Null).cast(pl.String))


def _put_parents(lake: Lake, parent: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Put the parents into silver: their keys, and what rows are held against; a test shows only those."""
    frame = pl.DataFrame([{name: row[name] for name in columns} for row in rows], infer_schema_length=None)
    if frame.is_empty():
        frame = pl.DataFrame(schema={name: pl.Int64() for name in columns})
    frame = frame.with_columns(pl.lit(False).alias(DELETED))
    lake.ensure("silver", parent, frame.schema).append(frame, {})


def _accepted(lake: Lake, dataset: Dataset) -> tuple[dict[str, Any], ...]:
    rows = lake.must_open("silver", dataset.name).scan().filter(~pl.col(DELETED)).collect()
    business = [name for name in rows.columns if name not in OWN_IN_SILVER]
    return tuple(rows.select(business).sort(dataset.key).to_dicts())


def _rejected(lake: Lake, dataset: Dataset) -> dict[str, tuple[dict[str, Any], ...]]:
    silver = lake.open("silver", dataset.name)
    found: dict[str, list[dict[str, Any]]] = {}
    for kept in (rejected_rows(lake, dataset.name, silver), pending_rows(lake, dataset.name, silver)):
        if kept is None:
            continue
        for reasons, record in kept.select("reasons", "record").collect().iter_rows():
            for reason in reasons:
                found.setdefault(reason, []).append(_record(record))
    return {reason: tuple(records) for reason, records in sorted(found.items())}


def _record(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {"record": text}


def _compare(what: str, expected: Sequence[Row], found: Sequence[Row]) -> None:
    left = list(found)
    missing = []
    for row in expected:
        match = next(
            (one for one in left if all(name in one and one[name] == row[name] for name in row)), None
        )
        if match is None:
            missing.append(row)
        else:
            left.remove(match)
    if missing or left:
        lines = [
            *(f"  missing: {dict(row)}" for row in missing),
            *(f"  not expected: {dict(row)}" for row in left),
        ]
        raise AssertionError("\n".join([f"{what} rows are not as expected:", *lines]))
