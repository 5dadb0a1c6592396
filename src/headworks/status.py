"""The state of a project's sources, datasets and products, as its lake shows it: fresh or late, good or not.

What cannot be known is "not known", and that is not good. What waits for a person's decision (a held delivery, a held
gold table, a held product) is not good either. Nothing is run, and no source is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import polars as pl
from pydantic import Field, ValidationError

from headworks.errors import HeadworksError
from headworks.gold.holding import hold_of
from headworks.gold.products import read_product
from headworks.ops.breakers import LakeBreakers
from headworks.ops.freshness import measure_freshness
from headworks.ops.incidents import open_incidents
from headworks.ports import Clock, system_clock
from headworks.project import Project
from headworks.quality.deliveries import Delivery, held
from headworks.reports import Report, RunReport
from headworks.silver.rejects import as_records, open_rejects
from headworks.sources.api.breaker import read_breaker
from headworks.storage.store import Lake
from headworks.storage.translating import collected

NOT_KNOWN: Final = "not known"
_RUNS, _MOST_RUNS = 400, 4_000
"""So many of the newest runs are looked at for the last good one of each thing; more where that does not show it."""

_GOOD = frozenset({"published", "landed", "unchanged"})
State = Literal[
    "ok", "late", "failed", "gate closed", "circuit breaker open", "held", "never ran", "not known"
]


class Line(Report):
    """One source, dataset or product."""

    kind: Literal["source", "dataset", "product"]
    name: str
    state: State
    why: str = ""
    last_good_run: datetime | None = None
    run_id: str = ""
    rows: int | None = None
    rejected: int | None = Field(
        default=None,
        description="Of a dataset its rejected records that nobody decided about, each counted once however often it "
        "came; of a source what its last good run refused. None where it is not known, and for products.",
    )
    held: int | None = Field(
        default=0,
        description="Deliveries, or gold tables, that wait for a decision; None where it is not known.",
    )
    held_rows: int = Field(default=0, description="Rows of those.")
    gate: Literal["open", "closed", "not known", ""] = ""
    breaker: str = ""
    next_run: str = NOT_KNOWN
    owner: str = ""


class StatusReport(Report):
    """The state of a project. ``unread_runs`` were recorded by another version, in a form not known here."""

    project: str
    lake: str
    measured_at: datetime
    lines: tuple[Line, ...]
    incidents: tuple[str, ...] = ()
    unread_runs: int = 0

    @property
    def wrong(self) -> tuple[Line, ...]:
        """The lines that are not good."""
        return tuple(line for line in self.lines if line.state != "ok")

    @property
    def good(self) -> bool:
        """Whether all is known to be good."""
        return not (self.wrong or self.incidents or self.unread_runs)


def status(
    project: Project, lake: Lake, next_runs: Mapping[str, str] | None = None, clock: Clock = system_clock
) -> StatusReport:
    """Return the state of everything that a project declares.

    ``next_runs`` says when a product or dataset runs next, by its name: schedules are a server's, and without one they
    are not known.
    """
    late = _late(project, lake, clock)
    scheduled = next_runs or {}
    for most in (_RUNS, _MOST_RUNS):
        runs, unread, there_are_more = _runs(lake, most)
        lines = (
            *_sources(project, lake, runs, late, scheduled, clock()),
            *_datasets(project, lake, runs, late, scheduled),
            *_products(project, lake, runs, late, scheduled),
        )
        if not there_are_more or all(line.last_good_run is not None for line in lines):
            break
    return StatusReport(
        project=project.name,
        lake=lake.settings.root,
        measured_at=clock(),
        lines=tuple(_unless_unread(line, unread, more=there_are_more) for line in lines),
        incidents=tuple(
            f"{each.title} (since {each.since:%Y-%m-%d %H:%M} UTC)" for each in open_incidents(lake)
        ),
        unread_runs=unread,
    )


def _unless_unread(line: Line, unread: int, *, more: bool) -> Line:
    """Return a line that says "not known" for "never ran" where not every run of the ledger was read."""
    if line.state != "never ran" or not (unread or more):
        return line
    why = (
        f"{unread:,} runs were recorded by another version, in a form that is not known here"
        if unread
        else f"it is in none of the newest {_MOST_RUNS:,} runs of the ledger, and older ones were not read"
    )
    return line.model_copy(update={"state": NOT_KNOWN, "why": why})


def _runs(lake: Lake, most: int) -> tuple[list[RunReport], int, bool]:
    """Return the newest runs, the newest first, how many of them cannot be read here, and whether there are more."""
    table = lake.open("ops", "runs")
    if table is None:
        return [], 0, False
    texts = collected(table.scan().sort("finished_at").tail(most).select("report"), table.name)
    found, unread = [], 0
    for text in reversed(texts.get_column("report").to_list()):
        try:
            found.append(RunReport.model_validate_json(text))
        except ValidationError:
            unread += 1
    return found, unread, texts.height >= most


def _late(project: Project, lake: Lake, clock: Clock) -> dict[str, str]:
    """Return why tables are late, by layer and dataset."""
    if not project.freshness:
        return {}
    try:
        report = measure_freshness(lake, list(project.freshness), clock)
    except HeadworksError as problem:
        return {promise.table: f"{NOT_KNOWN}: {problem.what}" for promise in project.freshness}
    return {each.table: each.why for each in report.late}


def _last_and_good(
    touching: list[RunReport], good: frozenset[str] = _GOOD
) -> tuple[RunReport | None, RunReport | None]:
    """Return the newest of some runs, and the newest good one."""
    return next(iter(touching), None), next((run for run in touching if run.status in good), None)


def _known_of(good: RunReport | None) -> dict[str, Any]:
    """Return what a line says about the last good run."""
    return {} if good is None else {"last_good_run": good.finished_at, "run_id": good.run_id}


def _judged(last: RunReport | None, good: RunReport | None, late: str) -> tuple[State, str]:
    if last is None:
        return "never ran", "no run of it is in the ledger"
    if last.status == "gate closed":
        return "gate closed", last.message
    if last.status == "failed":
        return "failed", last.message
    if good is None:
        return "not known", f"its last run was {last.status}, and no good one is in the ledger"
    if late:
        return "late", late
    return "ok", ""


def _sources(
    project: Project,
    lake: Lake,
    runs: list[RunReport],
    late: Mapping[str, str],
    scheduled: Mapping[str, str],
    now: datetime,
) -> list[Line]:
    lines = []
    store = LakeBreakers(lake)
    kept = set(store.names())
    for source in project.sources:
        asked_by = {one.name for one in project.products_of(source.into)} | {source.into}
        touching = [run for run in runs if _read_or_failed_to(run, source.into, asked_by)]
        # What was landed before a gate closed is landed.
        last, good = _last_and_good(touching, _GOOD | {"gate closed"})
        state, why = _judged(last, good, late.get(f"bronze.{source.into}", ""))
        state, why = ("ok", "") if state == "gate closed" else (state, why)
        breaker = ""
        if source.kind == "api":
            kept_state = read_breaker(store, source.block) if source.block in kept else None
            breaker = "closed" if kept_state is None else kept_state.state(now)
            if breaker == "open":
                state, why = "circuit breaker open", f"{source.block}: headworks breaker show"
        table = lake.open("bronze", source.into)
        landed = [each for each in (good.landings if good else ()) if each.dataset == source.into]
        lines.append(
            Line(
                kind="source",
                name=f"{source.block} -> {source.into}",
                state=state,
                why=why,
                **_known_of(good),
                rows=None if table is None else table.row_count(),
                rejected=sum(each.refused for each in landed) if landed else None,
                breaker=breaker,
                next_run=scheduled.get(source.into, NOT_KNOWN),
            )
        )
    return lines


def _datasets(
    project: Project,
    lake: Lake,
    runs: list[RunReport],
    late: Mapping[str, str],
    scheduled: Mapping[str, str],
) -> list[Line]:
    lines = []
    for dataset in project.datasets:
        touching = [run for run in runs if any(each.dataset == dataset.name for each in run.refinements)]
        last, good = _last_and_good(touching)
        state, why = _judged(last, good, late.get(f"silver.{dataset.name}", ""))
        gate = _gate(touching, f"silver.{dataset.name}")
        if state == "gate closed" and gate != "closed":
            # Another one's gate closed: this one is as its own last run left it.
            state, why = "ok", ""
        waiting, problem = _held(lake, dataset.name)
        rejected, unread = _rejected(lake, dataset.name) if touching else (None, "")
        if state == "ok" and (problem or unread):
            state, why = NOT_KNOWN, problem or unread
        elif waiting and state != "failed":
            state, why = "held", _decide(waiting)
        lines.append(
            Line(
                kind="dataset",
                name=dataset.name,
                state=state,
                why=why,
                **_known_of(good),
                rows=_rows(lake, dataset.name),
                rejected=rejected,
                held=None if problem else len(waiting),
                held_rows=sum(one.rows for one in waiting),
                gate=gate,
                next_run=scheduled.get(dataset.name, NOT_KNOWN),
                owner=", ".join(
                    dict.fromkeys(one.owner for one in project.products_of(dataset.name) if one.owner)
                ),
            )
        )
    return lines


def _products(
    project: Project,
    lake: Lake,
    runs: list[RunReport],
    late: Mapping[str, str],
    scheduled: Mapping[str, str],
) -> list[Line]:
    lines = []
    for product in project.products:
        names = {f"gold.{table.name}" for table in product.tables}
        sources = {source.into for source in project.needs(product.name).sources}
        touching = [run for run in runs if _is_of(run, product.name, names, sources)]
        last, good = _last_and_good(touching)
        why_late = "; ".join(f"{name}: {late[name]}" for name in sorted(names & set(late)))
        state, why = _judged(last, good, why_late)
        version = read_product(lake, product.name)
        if version is not None and version.held and state == "ok":
            state, why = "held", f"rolled back: {version.held}"
        closed = state == "gate closed"
        holds = [one for name in sorted(names) if (one := hold_of(lake, name)) and one.state == "held"]
        if holds and state != "failed":
            state, why = "held", _decide(holds)
        if version is None and state == "ok":
            state, why = "not known", "nothing was published yet"
        lines.append(
            Line(
                kind="product",
                name=product.name,
                state=state,
                why=why,
                **_known_of(good),
                rows=_product_rows(lake, names) if version is not None else None,
                held=len(holds),
                held_rows=sum(one.rows for one in holds),
                gate="closed" if closed else "open" if touching else NOT_KNOWN,
                next_run=scheduled.get(product.name, NOT_KNOWN),
                owner=product.owner,
            )
        )
    return lines


def _read_or_failed_to(run: RunReport, into: str, asked_by: set[str]) -> bool:
    """Return whether a run read a source, or failed before it had: what it was to work on needs the source."""
    if any(each.dataset == into for each in run.landings):
        return True
    return run.status == "failed" and run.on in asked_by and not run.refinements


def _is_of(run: RunReport, product: str, names: set[str], sources: set[str]) -> bool:
    """Return whether a run worked on a product: it made its tables, or was to and got no further."""
    if any(each.table.table in names for each in run.gold) or any(gate.scope in names for gate in run.gates):
        return True
    landed = {each.dataset for each in run.landings}
    for_it = run.on == product or (bool(landed) and landed <= sources)
    return run.status in {"failed", "gate closed"} and for_it


def _gate(runs: list[RunReport], scope: str) -> Literal["open", "closed", "not known"]:
    for run in runs:
        for gate in run.gates:
            if gate.scope == scope:
                return "open" if gate.open else "closed"
    return NOT_KNOWN


def _rows(lake: Lake, dataset: str) -> int | None:
    """Return how many keys are there: tombstones are none."""
    table = lake.open("silver", dataset)
    if table is None:
        return None
    rows = table.scan()
    if "_deleted" in table.columns:
        rows = rows.filter(~pl.col("_deleted").fill_null(False))
    return int(collected(rows.select(pl.len()), table.name).item())


def _rejected(lake: Lake, dataset: str) -> tuple[int | None, str]:
    """Return how many records wait in quarantine, each counted once, or None and why that is not known."""
    try:
        rows = as_records(open_rejects(lake, dataset, lake.open("silver", dataset)))
        return int(collected(rows.select(pl.len()), f"quarantine.{dataset}").item()), ""
    except HeadworksError as problem:
        return None, f"how many records are rejected is {NOT_KNOWN}: {problem.what}"


def _held(lake: Lake, dataset: str) -> tuple[tuple[Delivery, ...], str]:
    """Return the deliveries that wait for a decision, or why these are not known."""
    try:
        return held(lake, dataset), ""
    except HeadworksError as problem:
        return (), f"what is held is {NOT_KNOWN}: {problem.what}"


def _decide(waiting: Sequence[Delivery]) -> str:
    """Return what waits, since when and why, and how it is decided about."""
    first = waiting[0]
    since = first.held_at or first.at
    shown = "; ".join(f"{check.name}: {check.detail or check.outcome}" for check in first.checks[:1])
    more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return (
        f"delivery {first.id} with {first.rows:,} rows waits for a decision"
        f"{f' since {moment(since)} UTC' if since else ''}{more}: {shown or 'the gate objected'}. "
        f"headworks delivery show {first.id}"
    )


def _product_rows(lake: Lake, names: set[str]) -> int | None:
    counts = []
    for name in sorted(names):
        table = lake.open("gold", name.removeprefix("gold."))
        if table is None:
            return None
        counts.append(table.row_count())
    return sum(counts)


def moment(at: datetime | None) -> str:
    """Return a moment for people, or that it is not known."""
    return NOT_KNOWN if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
