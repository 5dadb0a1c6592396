"""Screening a candidate: what it looks like, and whether that is how the good runs before it looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import polars as pl

from headworks.names import OF_WINDOWS, OWN_IN_BRONZE, reading_of, window_of
from headworks.quality.anomalies import anomalies_of, check_anomalies, check_idle
from headworks.quality.baselines import RELEASED, baseline, keep_profile
from headworks.quality.deliveries import holds
from headworks.quality.gate import decide
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import OF_DAYS, Profile, profile_columns, profile_rows, with_extremes
from headworks.reports import CheckReport, GateReport, RefineReport
from headworks.silver.dataset import CURSOR, Dataset
from headworks.silver.table import Pending, StreamRange
from headworks.storage.delta import Table
from headworks.storage.store import Lake

_MOST_DAYS = 100
_FIELDS_ASKED = 2_000
_DAY_S = 86_400.0

_record = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Screened:
    """A candidate's profile and what its comparison gave; no profile where there was nothing to profile."""

    profile: Profile | None = None
    checks: tuple[CheckReport, ...] = ()

    def keep(self, lake: Lake, gate: GateReport, *, released: bool = False) -> None:
        """Keep the profile, with what the gate said about it; what a person overruled was unusual all the same."""
        if self.profile is None:
            return
        if released and gate.open:
            unusual = anomalies_of(gate.model_copy(update={"checks": self.checks}))
            keep_profile(lake, self.profile, gate_open=True, warned=unusual, outcome=RELEASED)
        else:
            keep_profile(lake, self.profile, gate_open=gate.open, warned=anomalies_of(gate))


@dataclass(frozen=True)
class Range:
    """What a refinement knows of its range: the pending streams, bronze's rows, the candidate, and the account.

    ``candidates`` is their number where ``rows`` and ``candidate`` are samples. ``deletes_limited`` says that the full
    read brings a limit of its own for what it may delete. A ``share`` is the rows of some of a range's streams: what
    became of each of them is not counted. ``delivery`` is its id. Of what was read ``again``, after its stream was
    set back, the candidate has the rows that are news.
    """

    todo: Pending
    rows: pl.DataFrame
    candidate: pl.DataFrame
    report: RefineReport
    deletes_limited: bool = False
    candidates: int | None = None
    share: bool = False
    delivery: str = ""
    again: bool = False

    def counted(self, report: RefineReport) -> Range:
        """Return the range with its whole account, in which nothing counts that is read again and was known.

        All of a source's past would be far more than any day brings, and is like no day.
        """
        if not self.again:
            return replace(self, report=report)
        known = report.superseded + report.unchanged + report.known
        counts = {
            "landed": max(report.landed - known, 0),
            "superseded": 0,
            "unchanged": 0,
            "rejected": max(report.rejected - report.known, 0),
            "reasons": {},
        }
        rows = self.rows
        if self.candidates is None:
            rows = rows.join(self.candidate, on=["_stream", "_sequence", "_row"], how="semi")
        return replace(self, report=report.model_copy(update=counts), rows=rows)

    def of(self, streams: Sequence[StreamRange]) -> Range:
        """Return the share of some streams."""
        named = pl.col("_stream").is_in([each.stream for each in streams])
        rows, candidate = self.rows.filter(named), self.candidate.filter(named)
        landed = round(self.report.landed * rows.height / max(self.rows.height, 1))
        return replace(
            self,
            todo=Pending(tuple(streams), 0),
            rows=rows,
            candidate=candidate,
            report=self.report.model_copy(update={"landed": landed}),
            candidates=None if self.candidates is None else round(self.factor * candidate.height),
            share=True,
        )

    @property
    def factor(self) -> float:
        """By how much the counts of a sample are less than those of all."""
        return 1.0 if self.candidates is None else self.candidates / max(self.candidate.height, 1)


def screen_silver(
    lake: Lake, dataset: Dataset, silver: Table, taken: Range, run_id: str, moment: datetime
) -> Screened:
    """Profile a candidate for silver and compare it; rows that were only released have no profile.

    Rows of several readings are each compared with their like: what a gate held back gets in with no other. They leave
    no profile, since none of them has all its numbers.
    """
    if not dataset.anomalies.enabled:
        return Screened()
    if not taken.todo.ranges:
        # What is released, or waits, says nothing about a source that has been silent for long.
        idle = screen_idle(lake, dataset, silver, run_id, moment)
        return Screened(checks=() if idle is None else idle.checks)
    watermark = _watermark(silver, dataset)
    readings = _readings(taken, first=watermark is None and not silver.row_count())
    checks: list[CheckReport] = []
    without = {one.id for one in holds(lake, silver)} - {taken.delivery}
    for kind, part in readings:
        profile = _silver_profile(dataset, silver, part, kind, run_id, moment, watermark)
        found = baseline(lake, profile.scope, [kind], run_id, moment, dataset.anomalies, without)
        made = check_anomalies(profile, found, dataset.anomalies)
        checks += map(_only_warns, made) if kind == "backfill" else made
    return Screened(profile if len(readings) == 1 else None, tuple(checks))


def _only_warns(check: CheckReport) -> CheckReport:
    """Let an anomaly of a backfill stop nothing.

    Its windows differ for good reason: one of long ago has the rows that have not changed since, one of last week has
    those on their way. And it is history, read because somebody asked for it.
    """
    if check.outcome != "failed":
        return check
    return check.model_copy(update={"outcome": "warned", "severity": "warning"})


def screen_gold(
    lake: Lake,
    name: str,
    candidate: pl.DataFrame,
    key: tuple[str, ...],
    run_id: str,
    moment: datetime,
    limits: AnomalyLimits,
) -> Screened:
    """Profile a candidate for gold, the whole table after the merge, and compare it."""
    if not limits.enabled:
        return Screened()
    columns = profile_columns(candidate, key, moment, timedelta(hours=limits.future_hours))
    columns = with_extremes(columns, candidate, key)
    profile = Profile.model_validate(
        {
            "scope": f"gold.{name}",
            "kind": "whole",
            "run_id": run_id,
            "moment": moment,
            "rows": candidate.height,
            "columns": columns,
            **profile_rows(candidate, columns, key, key, None),
        }
    )
    found = baseline(lake, profile.scope, ["whole"], run_id, moment, limits)
    return Screened(profile, tuple(check_anomalies(profile, found, limits)))


def screen_idle(
    lake: Lake, dataset: Dataset, silver: Table, run_id: str, moment: datetime
) -> GateReport | None:
    """Say whether it is usual that nothing new came; None where nothing can be said."""
    limits = dataset.anomalies
    if not limits.enabled or limits.when_idle == "fine":
        return None
    scope = f"silver.{dataset.name}"
    found = baseline(lake, scope, ["live"], run_id, moment, limits, {one.id for one in holds(lake, silver)})
    newest = max((one.as_of for one in found.profiles), default=None)
    check = check_idle(scope, newest, moment, found, limits)
    return None if check is None else decide(scope, [check], contract_required=False)


def _silver_profile(
    dataset: Dataset,
    silver: Table,
    taken: Range,
    kind: str,
    run_id: str,
    moment: datetime,
    watermark: datetime | None,
) -> Profile:
    future = timedelta(hours=dataset.anomalies.future_hours)
    newest = _newest(taken.candidate.lazy(), dataset)
    references = [column for reference in dataset.references for column in reference.columns]
    fields, asked = _fields(taken.rows, dataset)
    identifiers = [*dataset.key, *references]
    columns = profile_columns(taken.candidate, identifiers, moment, future, dataset.cursor, taken.factor)
    columns = with_extremes(columns, taken.candidate, dataset.key)
    by_day = _by_day(taken.candidate, dataset, watermark if kind == "live" else None)
    return Profile.model_validate(
        {
            "scope": f"silver.{dataset.name}",
            "kind": kind,
            "delivery": taken.delivery,
            "read_at": None if taken.rows.is_empty() else _utc(taken.rows.get_column("_ingested_at").max()),
            "run_id": run_id,
            "moment": moment,
            "newest": newest,
            "days": _days(taken, kind, dataset, newest, watermark, silver),
            "rows": taken.candidate.height if taken.candidates is None else taken.candidates,
            "counts": {"landed": taken.report.landed, "asked": asked, **_became(taken, kind, silver)},
            "reasons": _reasons(taken, kind, dataset),
            "fields": fields,
            "by_day": {day: round(count * taken.factor) for day, count in by_day.items()},
            "columns": columns,
            "streams": _streams(taken),
            **profile_rows(taken.candidate, columns, dataset.key, identifiers, dataset.cursor, taken.factor),
        }
    )


def _streams(taken: Range) -> dict[str, int]:
    """Count the landed rows by stream; a full read or a window is a stream of its own each time, and says nothing."""
    streams = [each.stream for each in taken.todo.ranges if reading_of(each.stream) == "live"]
    counted = dict(taken.rows.group_by("_stream").len().iter_rows())
    return {stream: int(counted[stream]) for stream in streams if counted.get(stream)}


def _became(taken: Range, kind: str, silver: Table) -> dict[str, int]:
    """Return what became of the rows of a range, where that is known."""
    if taken.share:
        return {}
    report = taken.report
    return {
        "rejected": report.rejected - report.elsewhere - report.followed,
        "superseded": report.superseded,
        "unchanged": report.unchanged,
        "inserted": report.inserted,
        "updated": report.updated,
        "deleted": report.deleted,
        "before": silver.live_count() if kind == "full" and not taken.deletes_limited else 0,
    }


def _reasons(taken: Range, kind: str, dataset: Dataset) -> dict[str, int]:
    """Return why rows were rejected; what a window lacks says nothing about itself, but about the other windows."""
    if taken.share:
        return {}
    unreported = dataset.missing_reasons if kind in OF_WINDOWS else []
    return {reason: count for reason, count in taken.report.reasons.items() if reason not in unreported}


def _readings(taken: Range, *, first: bool) -> list[tuple[str, Range]]:
    """Divide a range by the kind of reading; a full read has all rows, and what else is pending alongside it."""
    todo = taken.todo
    kinds = sorted({reading_of(each.stream) for each in todo.ranges})
    if todo.generation or "full" in kinds:
        return [("full", taken)]
    if len(kinds) == 1:
        return [("initial" if first and kinds == ["live"] else kinds[0], taken)]
    return [
        (kind, taken.of([each for each in todo.ranges if reading_of(each.stream) == kind])) for kind in kinds
    ]


def _days(
    taken: Range,
    kind: str,
    dataset: Dataset,
    newest: datetime | None,
    watermark: datetime | None,
    silver: Table,
) -> float | None:
    """Return how many days of the source a range covers.

    A window says so itself, whatever little came in it; else the cursor says it if there is one, and if there is none
    the time from reading to reading.
    """
    if kind not in OF_DAYS or taken.rows.is_empty():
        return None
    if kind in OF_WINDOWS:
        seconds = _windows_s(taken)
    elif newest is not None and watermark is not None:
        seconds = (newest - watermark).total_seconds()
    elif dataset.cursor is None:
        before = silver.scan().select(pl.col("_ingested_at").max()).collect().item()
        after = taken.rows.get_column("_ingested_at").max()
        seconds = (after - before).total_seconds() if before and isinstance(after, datetime) else 0.0
    else:
        return None
    days = seconds / _DAY_S
    # A daily run covers 0.96 days once and 1.03 another time, depending on when the last row was written.
    whole = round(days)
    # One that ends before silver does, as a held one that is judged again, covers no time of its own.
    return float(whole) if whole > 0 and abs(days - whole) < 0.25 else (days if days > 1e-3 else None)


def _windows_s(taken: Range) -> float:
    """Return how long the windows of a range are together; one that is not over yet reaches to when it was read."""
    read = _utc(taken.rows.get_column("_ingested_at").max())
    windows = [found for each in taken.todo.ranges if (found := window_of(each.stream))]
    return sum(
        (min(end, read or end) - start).total_seconds() for start, end in windows if not read or start < read
    )


def _watermark(silver: Table, dataset: Dataset) -> datetime | None:
    """Return the newest moment that silver has: by its files' statistics where they say it, else by its rows.

    Of a deletion it is the moment that the source gave for it.
    """
    if _has_moments(dataset):
        newest = silver.largest(CURSOR)
        kind = dataset.schema.columns()[str(dataset.cursor)].dtype
        if newest is not None:
            moment = pl.Series([newest]).cast(pl.Date() if kind == pl.Date() else pl.Datetime("us", "UTC"))
            return _utc(moment.item())
    return _newest(silver.scan(), dataset)


def _has_moments(dataset: Dataset) -> bool:
    moments = pl.Datetime | pl.Date
    return dataset.cursor is not None and isinstance(dataset.schema.columns()[dataset.cursor].dtype, moments)


def _newest(rows: pl.LazyFrame, dataset: Dataset) -> datetime | None:
    if not _has_moments(dataset):
        return None
    return _utc(rows.select(pl.col(str(dataset.cursor)).max()).collect().item())


def _utc(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return datetime.combine(value, time(), tzinfo=UTC) if isinstance(value, date) else None


def _by_day(candidate: pl.DataFrame, dataset: Dataset, after: datetime | None) -> dict[str, int]:
    """Count rows by day of their cursor; late ones, from before the range, belong to none of its days."""
    if candidate.is_empty() or _newest(candidate.head(1).lazy(), dataset) is None:
        return {}
    days = candidate.select(pl.col(str(dataset.cursor)).cast(pl.Date).alias("day")).drop_nulls()
    if after is not None:
        days = days.filter(pl.col("day") >= after.date())
    first, last = days["day"].min(), days["day"].max()
    if not isinstance(first, date) or not isinstance(last, date) or (last - first).days >= _MOST_DAYS:
        return {}
    counted = dict(days.group_by("day").len().iter_rows())
    calendar = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return {day.isoformat(): int(counted.get(day, 0)) for day in calendar}


def _fields(rows: pl.DataFrame, dataset: Dataset) -> tuple[dict[str, int], int]:
    """Return in how many rows the source gave each field, and of how many rows that was asked."""
    if not dataset.fields:
        columns = [name for name in rows.columns if name not in OWN_IN_BRONZE]
        given = rows.select(pl.col(columns).count()).row(0, named=True) if columns else {}
        return {name: int(count) for name, count in given.items() if count}, rows.height
    counted: dict[str, int] = {}
    records = rows.get_column("record").head(_FIELDS_ASKED).drop_nulls().to_list()
    for record in records:
        try:
            values = _record.decode(record)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            continue
        for name, value in values.items():
            counted[name] = counted.get(name, 0) + (bytes(value) != b"null")
    return {name: count for name, count in counted.items() if count}, len(records)
