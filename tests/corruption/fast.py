"""Deliveries through rules, references, comparison and the statistics of the gate, without a lake: many a second.

The engine's own steps are taken, in their order, on tables that are frames in memory. What is left out is landing,
contracts, what waits in quarantine, and gold; for these there is ``playing.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast

import polars as pl

from headworks.errors import HeadworksError
from headworks.quality import baselines
from headworks.quality.gate import check_rejects, decide
from headworks.quality.judgements import JUDGEMENTS, judgement
from headworks.quality.profiles import Profile
from headworks.quality.rules import REASONS
from headworks.reports import CheckReport, GateReport, RefineReport, TableRef
from headworks.silver.dataset import DELETED, ORIGIN, Dataset
from headworks.silver.judged import judge_rows
from headworks.silver.parse import UNREADABLE
from headworks.silver.screening import Range, screen_idle, screen_silver
from headworks.silver.table import Pending, StreamRange
from headworks.silver.versions import compare_with, in_silver_types, latest_versions
from headworks.silver.work import Refinement
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from tests.corruption.company import Company, Frames

_RUNS = pl.Schema({"run_id": pl.String(), "status": pl.String(), "started_at": pl.Datetime("us", "UTC")})


class Kept:
    """A table that is a frame; only what the steps here ask of a table."""

    def __init__(self, name: str, frame: pl.DataFrame) -> None:
        """Hold a frame under a name."""
        self.name, self.frame, self.version = name, frame, 0

    @property
    def schema(self) -> pl.Schema:
        """The frame's columns."""
        return self.frame.schema

    def scan(self) -> pl.LazyFrame:
        """Return the rows."""
        return self.frame.lazy()

    def row_count(self) -> int:
        """Return how many rows there are."""
        return self.frame.height

    def live_count(self) -> int:
        """Return how many rows are no tombstones."""
        return int(self.frame.get_column(DELETED).not_().sum())

    def largest(self, _: str) -> int | None:
        """Return nothing: there are no files whose statistics would say it."""
        return None

    def transaction(self, _: str) -> int:
        """Return nothing: there are no commits here."""
        return 0

    def append(self, rows: pl.DataFrame, *_: object, **__: object) -> None:
        """Add rows."""
        self.frame = pl.concat([self.frame, rows], how="diagonal_relaxed")


class KeptLake:
    """A lake of such tables, that can be copied in no time."""

    rehearsal = None

    def __init__(self, tables: Mapping[tuple[str, str], pl.DataFrame] | None = None) -> None:
        """Hold tables by layer and name."""
        self.tables = {key: Kept(".".join(key), frame) for key, frame in (tables or {}).items()}

    def copied(self) -> KeptLake:
        """Return a lake with the same rows, that can be changed without this one."""
        return KeptLake({key: table.frame for key, table in self.tables.items()})

    def open(self, layer: str, name: str) -> Kept | None:
        """Return a table; None where there is none."""
        return self.tables.get((layer, name))

    def must_open(self, layer: str, name: str) -> Kept:
        """Return a table that is there."""
        return self.tables[layer, name]

    def ensure(self, layer: str, name: str, schema: pl.Schema, **_: object) -> Kept:
        """Return a table, made where there is none."""
        return self.tables.setdefault((layer, name), Kept(f"{layer}.{name}", pl.DataFrame(schema=schema)))


@dataclass(frozen=True)
class Delivered:
    """What the gate said about each dataset of a delivery, and which rows were rejected of each."""

    gates: Mapping[str, GateReport] = field(default_factory=dict)
    rejected: Mapping[str, frozenset[int]] = field(default_factory=dict)
    refused: str = ""

    @property
    def stopped(self) -> list[str]:
        """Why the gate closed; empty where it did not."""
        closed = [f"{gate.scope}: {reason}" for gate in self.gates.values() for reason in gate.reasons]
        return [*([self.refused] if self.refused else []), *closed]

    @property
    def alarms(self) -> list[CheckReport]:
        """The anomalies that warned or stopped."""
        checks = [check for gate in self.gates.values() for check in gate.checks]
        return [one for one in checks if one.kind == "anomaly" and one.outcome in {"warned", "failed"}]


@dataclass
class Fast:
    """A company's silver in memory, and what the gate remembers of it."""

    company: Company
    lake: KeptLake = field(default_factory=KeptLake)
    deliveries: int = 0

    def copied(self) -> Fast:
        """Return another that goes its own way."""
        return Fast(self.company, self.lake.copied(), self.deliveries)

    def deliver(
        self,
        frames: Frames,
        moment: datetime,
        *,
        datasets: Sequence[str] = (),
        accept: bool = False,
        full: bool = False,
    ) -> Delivered:
        """Judge a delivery and ingest what passes; ``accept`` ingests what is stopped, as a person would.

        A ``full`` one has all that there is: what silver has and it has not is deleted.
        """
        self.deliveries += 1
        run_id = f"run-{self.deliveries}"
        gates: dict[str, GateReport] = {}
        rejected: dict[str, frozenset[int]] = {}
        refused = ""
        for dataset in self.company.datasets:
            if datasets and dataset.name not in datasets:
                continue
            try:
                rows = frames[dataset.name]
                found = self._refine(dataset, rows, run_id, moment, accept=False, full=full)
                if accept and found is not None and not found[0].open:
                    self._say_it_is_fine(dataset.name, moment)
                    self._refine(dataset, rows, run_id, moment, accept=True, full=full)
            except HeadworksError as error:
                refused = f"{dataset.name}: {error}"
                break
            if found is None:
                continue
            gates[dataset.name], rejected[dataset.name] = found
            if not gates[dataset.name].open and not accept:
                break
        ended = refused == "" and (accept or all(gate.open for gate in gates.values()))
        runs = self.lake.ensure("ops", "runs", _RUNS)
        status = "published" if ended else "gate closed"
        runs.append(pl.DataFrame([(run_id, status, moment)], schema=_RUNS, orient="row"))
        return Delivered(gates, rejected, refused)

    def _say_it_is_fine(self, name: str, moment: datetime) -> None:
        """Accept what is unusual about a delivery, as a person does who knows better."""
        start, end = moment - timedelta(hours=24), moment + timedelta(hours=1)
        scope = f"silver.{name}"
        said = judgement(
            verdict="accept", scope=scope, start=start, end=end, reason="clean", by="campaign", decided_at=end
        )
        table = self.lake.ensure("ops", "judgements", JUDGEMENTS)
        table.append(pl.DataFrame([said.model_dump()], schema=JUDGEMENTS))

    def _idle(
        self, dataset: Dataset, run_id: str, moment: datetime
    ) -> tuple[GateReport, frozenset[int]] | None:
        silver = self.lake.open("silver", dataset.name)
        if silver is None:
            return None
        gate = screen_idle(cast(Lake, self.lake), dataset, cast(Table, silver), run_id, moment)
        return None if gate is None else (gate, frozenset())

    def _refine(
        self,
        dataset: Dataset,
        frame: pl.DataFrame,
        run_id: str,
        moment: datetime,
        *,
        accept: bool,
        full: bool = False,
    ) -> tuple[GateReport, frozenset[int]] | None:
        if frame.is_empty():
            return self._idle(dataset, run_id, moment)
        silver = self.lake.ensure("silver", dataset.name, dataset.silver_schema())
        table, lake = cast(Table, silver), cast(Lake, self.lake)
        rows = _landed(frame, dataset.name, self.deliveries, moment)
        work = Refinement(lake, run_id, clock=lambda: moment)
        verdict, linked = judge_rows(work, dataset, rows)
        good = in_silver_types(linked.good.drop(UNREADABLE), table)
        candidates = latest_versions(good, dataset)
        comparison = compare_with(table, candidates, dataset)
        shown = candidates.select(dataset.row_key)
        vanished = silver.frame.join(shown, on=list(dataset.row_key), how="anti", nulls_equal=True)
        vanished = vanished if full else vanished.clear()
        out = pl.concat([one.select(*ORIGIN, REASONS) for one in (verdict.rejected, linked.rejected)])
        report = RefineReport(
            dataset=dataset.name,
            table=TableRef(table=silver.name, version=0),
            landed=rows.height,
            rejected=out.height,
            reasons=dict(out.explode(REASONS).group_by(REASONS).len().sort(REASONS).iter_rows()),
            superseded=comparison.superseded + good.height - candidates.height,
            unchanged=comparison.unchanged,
            inserted=comparison.inserts.height,
            updated=comparison.updates.height,
            deleted=vanished.height,
        )
        span = StreamRange(dataset.name, self.deliveries - 1, self.deliveries, rows.height)
        todo = Pending((span,), self.deliveries if full else 0)
        alive = candidates.filter(~pl.col(DELETED))
        screened = screen_silver(lake, dataset, table, Range(todo, rows, alive, report), run_id, moment)
        waiting = linked.rejected.height
        limit = check_rejects(
            f"silver.{dataset.name}", out.height, rows.height, dataset.limits, waiting=waiting
        )
        gate = decide(f"silver.{dataset.name}", [limit, *screened.checks], contract_required=False)
        if gate.open or accept:
            changed = pl.concat(
                [comparison.changes.select(silver.frame.columns), vanished.clear()], how="vertical_relaxed"
            )
            silver.frame = silver.frame.join(vanished, on=list(dataset.row_key), how="anti", nulls_equal=True)
            gone = silver.frame.join(changed, on=list(dataset.row_key), how="anti", nulls_equal=True)
            silver.frame = pl.concat([gone, changed])
        screened.keep(lake, gate)
        return gate, frozenset(out.get_column("_row").to_list())


def _landed(frame: pl.DataFrame, stream: str, number: int, moment: datetime) -> pl.DataFrame:
    """Return rows as bronze has them."""
    return frame.with_columns(
        pl.lit(stream).alias("_stream"),
        pl.lit(number, dtype=pl.Int64).alias("_sequence"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        pl.lit(moment.astimezone(UTC)).cast(pl.Datetime("us", "UTC")).alias("_ingested_at"),
        pl.lit(number, dtype=pl.Int64).alias("_landed"),
    )


@contextmanager
def remembering() -> Iterator[None]:
    """Read each kept profile once: they are frozen, and the same ones are asked for in every delivery."""

    class Remembered(Profile):
        @staticmethod
        @lru_cache(maxsize=20_000)
        def model_validate_json(text: Any) -> Any:  # type: ignore[override]  # how profiles are read
            return Profile.model_validate_json(text)

    before = vars(baselines)["Profile"]
    vars(baselines)["Profile"] = Remembered
    try:
        yield
    finally:
        vars(baselines)["Profile"] = before
