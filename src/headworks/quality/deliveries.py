"""Deliveries: what one run landed in a dataset, judged as one, and what was decided about each.

A delivery that the gate does not accept is held: silver's watermark passes it, and the same commit names an object that
lists all deliveries below the watermark whose rows are not in silver. So a kill anywhere leaves one truth: what is
below the watermark and not in that list is accepted. ``ops.deliveries`` is the log for people, append-only: every state
with who, when and why; where it and silver differ, silver is right.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import reduce
from typing import Literal

import polars as pl
from pydantic import Field, ValidationError

from headworks.errors import LakeUnusable, ObjectLost, SettingsError
from headworks.names import dataset_folder
from headworks.reports import CheckReport, Report
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

State = Literal["pending", "accepted", "held", "released", "discarded", "superseded"]
STATES: tuple[State, ...] = ("pending", "accepted", "held", "released", "discarded", "superseded")

HOLDS = "#holds"
"""In silver: the number of the object that lists the deliveries which are not in it."""
HOLDS_TOKEN = "#holds-token"
"""In silver: the token of that object."""

DELIVERIES = pl.Schema(
    {
        "delivery": pl.String(),
        "dataset": pl.String(),
        "state": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "run_id": pl.String(),
        "by": pl.String(),
        "note": pl.String(),
        "rows": pl.Int64(),
        "landed_at": pl.Datetime("us", "UTC"),
        "detail": pl.String(),
    }
)


class Span(Report):
    """Sequences of one stream: those after ``after`` up to ``upto``."""

    stream: str
    after: int
    upto: int

    def holds(self) -> pl.Expr:
        """Return which rows of bronze, or of what keeps their origin, are of these sequences."""
        return (pl.col("_stream") == self.stream) & pl.col("_sequence").is_between(self.after + 1, self.upto)


class Delivery(Report):
    """What one run landed in a dataset, in one state: the newest one, or a row of its history."""

    id: str
    dataset: str
    state: State
    spans: tuple[Span, ...]
    generation: int = Field(default=0, description="The full read that it completes, 0 for none.")
    rows: int = 0
    runs: tuple[str, ...] = Field(default=(), description="The runs that landed it.")
    landed_at: datetime | None = None
    at: datetime | None = Field(default=None, description="When it got this state.")
    run_id: str = Field(default="", description="The run in which it got this state.")
    by: str = Field(default="", description="Who decided so; nobody where the gate or a correction did.")
    note: str = ""
    checks: tuple[CheckReport, ...] = Field(default=(), description="What the gate objected to.")
    judged_by: str = Field(
        default="", description="The declaration and judgements that it was judged by, as a number."
    )
    before: State | None = Field(default=None, description="The state before this one, where undo leads.")
    held_at: datetime | None = Field(default=None, description="Since when it was held, if it ever was.")
    writer: int = Field(default=0, description="The number of silver's commit that has it.")
    suspects: tuple[str, ...] = Field(
        default=(),
        description="Of a gold table that is held: what came into silver since its last good commit.",
    )
    policy: str = Field(default="merge", description="What becomes of later deliveries while it is held.")

    @property
    def is_in_silver(self) -> bool:
        """Whether silver is made of its rows, among others."""
        return self.state in {"accepted", "released"}

    def turned(
        self, state: State, *, run_id: str, moment: datetime, by: str = "", note: str = ""
    ) -> Delivery:
        """Return it in another state, with the run, the moment and the person that put it there."""
        return self.model_copy(
            update={
                "state": state,
                "before": self.state,
                "at": moment,
                "run_id": run_id,
                "by": by,
                "note": note,
            }
        )


def delivery_id(bronze: Table, spans: Iterable[Span], generation: int = 0) -> str:
    """Name a delivery by where in bronze its rows are: the same for everybody who looks at it."""
    named = sorted(f"{one.stream}:{one.after}:{one.upto}" for one in spans)
    text = "|".join([bronze.id, *named, str(generation)])
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def rows_in(spans: Iterable[Span]) -> pl.Expr:
    """Return which rows are of some spans."""
    return reduce(lambda left, right: left | right, (one.holds() for one in spans), pl.lit(value=False))


def holds(lake: Lake, silver: Table | None) -> tuple[Delivery, ...]:
    """Return the deliveries below a silver version's watermark that are not in it: held, discarded, superseded.

    Raises `LakeUnusable` where their list is lost.
    """
    number = silver.transaction(HOLDS) if silver is not None else 0
    if silver is None or not number:
        return ()
    dataset = silver.name.removeprefix("silver.")
    path = _path(dataset, number, silver.transaction(HOLDS_TOKEN))
    try:
        content = lake.get_object(path)
        return tuple(Delivery.model_validate(each) for each in content["deliveries"])
    except (ObjectLost, ValidationError, KeyError) as problem:
        raise LakeUnusable(
            f"The list of deliveries that silver does not have is lost, so what is held is not known: {problem}",
            where=path,
            do="restore _headworks/holds from the moment of silver or a later one.",
        ) from problem


def put_holds(
    lake: Lake, silver: Table, entries: Sequence[Delivery], token: int, dataset: str
) -> dict[str, int]:
    """Write the list of deliveries that silver will not have, and return the transactions that will name it."""
    number = silver.transaction(HOLDS) + 1
    content = {
        "deliveries": [one.model_dump(mode="json", exclude_defaults=True) for one in entries],
    }
    lake.put_object(_path(dataset, number, token), content)
    return {HOLDS: number, HOLDS_TOKEN: token}


def holds_folder(dataset: str) -> str:
    """Return the folder below the lake's root with the lists of a dataset."""
    return f"_headworks/holds/{dataset_folder(dataset)}"


def names_holds(silver: Table | None, name: str) -> bool:
    """Return whether the object of a list, by its name, is the one that silver names."""
    return (
        silver is not None and name == f"{silver.transaction(HOLDS)}-{silver.transaction(HOLDS_TOKEN)}.json"
    )


def open_holds(lake: Lake, silver: Table | None) -> tuple[Delivery, ...]:
    """Return those that a silver version does not have and that wait for a decision, the oldest first."""
    return tuple(one for one in holds(lake, silver) if one.state == "held")


def held(lake: Lake, dataset: str) -> tuple[Delivery, ...]:
    """Return the deliveries of a dataset that wait for a decision, the oldest first."""
    return open_holds(lake, lake.open("silver", dataset))


def held_check(scope: str, one: Delivery, moment: datetime) -> CheckReport:
    """Return what a gate says about a delivery that is held: it objects, or only warns where others may pass."""
    passes = one.policy == "pass"
    since = one.held_at or one.at
    for_long = "" if since is None else f" since {since:%Y-%m-%d %H:%M} UTC ({_long(since, moment)})"
    why = "; ".join(f"{check.name}: {check.detail or check.outcome}" for check in one.checks[:3])
    more = f" and {len(one.checks) - 3} more" if len(one.checks) > 3 else ""
    return CheckReport(
        scope=scope,
        name=f"delivery {one.id} is held",
        kind="held",
        outcome="warned" if passes else "failed",
        severity="warning" if passes else "critical",
        detail=f"{one.rows} rows of {one.dataset}{for_long}: {why}{more}. Look: headworks delivery show {one.id}; let "
        f"it through: headworks delivery release {one.id}; leave it out: headworks delivery discard {one.id} (each "
        "with --by and --note)",
    )


def _long(since: datetime, moment: datetime) -> str:
    hours = max(0.0, (moment - since).total_seconds() / 3600)
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"


def not_accepted(lake: Lake, dataset: str) -> frozenset[str]:
    """Return the ids of the deliveries that are not in silver: nothing is compared with what they looked like."""
    return frozenset(one.id for one in holds(lake, lake.open("silver", dataset)))


def record(lake: Lake, states: Sequence[Delivery]) -> None:
    """Append states to the log, each with who, when and why."""
    if not states:
        return
    rows = [
        {
            "delivery": one.id,
            "dataset": one.dataset,
            "state": one.state,
            "at": one.at,
            "run_id": one.run_id,
            "by": one.by,
            "note": one.note,
            "rows": one.rows,
            "landed_at": one.landed_at,
            "detail": one.model_dump_json(exclude_defaults=True),
        }
        for one in states
    ]
    lake.ensure("ops", "deliveries", DELIVERIES).append(pl.DataFrame(rows, schema=DELIVERIES), {})


def note_accepted(lake: Lake, one: Delivery) -> None:
    """Keep that a delivery was accepted, as an object: that costs less than a commit. `fold` puts it into the log."""
    lake.put_object(f"{accepted_folder(one.dataset)}/{one.id}.json", one.model_dump(mode="json"))


def accepted_folder(dataset: str) -> str:
    """Return the folder below the lake's root with a dataset's accepted deliveries that are not in the log yet."""
    return f"_headworks/deliveries/{dataset_folder(dataset)}"


def fold(lake: Lake, dataset: str) -> int:
    """Put the accepted deliveries of a dataset into the log, and return how many; killed, it puts some in twice."""
    found = _noted(lake, dataset)
    record(lake, [one for _, one in found])
    for path, _ in found:
        lake.remove_object(path)
    return len(found)


def _noted(lake: Lake, dataset: str) -> list[tuple[str, Delivery]]:
    folder = accepted_folder(dataset)
    found = []
    for each in lake.list_objects(folder):
        if "/" not in each.path.removeprefix(f"{folder}/"):
            with suppress(ObjectLost):
                found.append((each.path, Delivery.model_validate(lake.get_object(each.path))))
    return found


def history(lake: Lake, delivery: str, dataset: str = "") -> tuple[Delivery, ...]:
    """Return the states of one delivery as the log has them, the oldest first."""
    return tuple(one for one in _logged(lake, dataset) if one.id == delivery)


def deliveries(lake: Lake, dataset: str = "") -> tuple[Delivery, ...]:
    """Return each delivery, of one dataset or of all, in its newest state, in the order in which they were landed."""
    newest: dict[tuple[str, str], list[Delivery]] = {}
    for one in _logged(lake, dataset):
        newest.setdefault((one.dataset, one.id), []).append(one)
    found: list[Delivery] = []
    # The log has what holds gold and published tables as well, which are no deliveries.
    known_here = {*lake.datasets("silver"), *lake.datasets("bronze")}
    names = [dataset] if dataset else sorted(known_here)
    for name in names:
        silver = lake.open("silver", name)
        known = {one.id: one for one in holds(lake, silver)}
        for (of, number), logged in newest.items():
            if of == name and number not in known:
                known[number] = _as_silver_says(logged, silver)
        found += [*known.values(), *_unlogged(lake, name, silver, known.values())]
    return tuple(sorted(found, key=lambda one: (str(one.landed_at or ""), one.dataset, one.id)))


def find(lake: Lake, text: str, dataset: str = "") -> Delivery:
    """Return the delivery with this id, or whose id begins with it.

    Raises `SettingsError` where there is none, or more than one.
    """
    known = deliveries(lake, dataset)
    found = [one for one in known if one.id == text] or [
        one for one in known if text and one.id.startswith(text)
    ]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{one.id} ({one.dataset}, {one.state})" for one in (found or known[-10:]))
    raise SettingsError(
        f"{'There is no delivery' if not found else 'There are several deliveries'} {text!r}.",
        where=f"lake {lake.settings.root}",
        do=f"use one of {shown}; headworks delivery list shows all."
        if shown
        else "run a flow first: nothing was delivered yet.",
    )


def _unlogged(
    lake: Lake, dataset: str, silver: Table | None, known: Iterable[Delivery]
) -> tuple[Delivery, ...]:
    """Return what silver has consumed and the log does not say: from before it was kept, or of a run that was killed.

    What lies before all that is logged is one, and the rest is one: a run that is killed between its commit and the
    log leaves just its own.
    """
    bronze = lake.open("bronze", dataset)
    if bronze is None or silver is None:
        return ()
    logged: dict[str, list[Span]] = {}
    for one in known:
        for span in one.spans:
            logged.setdefault(span.stream, []).append(span)
    first: list[Span] = []
    later: list[Span] = []
    for stream in sorted({dataset, *bronze.streams()}):
        after = 0
        there = sorted(logged.get(stream, []), key=lambda span: span.after)
        upto = silver.transaction(stream)
        for span in [*there, Span(stream=stream, after=upto, upto=upto)]:
            if min(span.after, upto) > after:
                gap = Span(stream=stream, after=after, upto=min(span.after, upto))
                (later if after or not (logged and stream == dataset) else first).append(gap)
            after = max(after, span.upto)
    if not logged:
        first, later = [*first, *later], []
    return tuple(_found(bronze, dataset, spans) for spans in (first, later) if spans)


def _found(bronze: Table, dataset: str, spans: list[Span]) -> Delivery:
    rows = bronze.scan().filter(rows_in(spans)).select(pl.len(), pl.col("_ingested_at").max())
    count, at = collected(rows, bronze.name).row(0)
    return Delivery(
        id=delivery_id(bronze, spans),
        dataset=dataset,
        state="accepted",
        spans=tuple(spans),
        rows=count,
        landed_at=at,
        note="accepted, and not in the log: it is from before deliveries were kept, or its run was killed",
    )


def _as_silver_says(logged: Sequence[Delivery], silver: Table | None) -> Delivery:
    """Return the newest logged state that fits silver: what it has consumed and does not list is in it."""
    last = logged[-1]
    consumed = silver is not None and all(silver.transaction(one.stream) >= one.upto for one in last.spans)
    if not consumed:
        return last.model_copy(update={"state": "pending"})
    fitting = [one for one in logged if one.is_in_silver]
    return fitting[-1] if fitting else last.model_copy(update={"state": "accepted"})


def _logged(lake: Lake, dataset: str) -> list[Delivery]:
    # What holds a published table is in the log under a name that no dataset has.
    names = () if "/" in dataset else [dataset] if dataset else lake.datasets("silver")
    found = [one for name in names for _, one in _noted(lake, name)]
    table = lake.open("ops", "deliveries")
    if table is not None:
        rows = table.scan()
        if dataset:
            rows = rows.filter(pl.col("dataset") == dataset)
        details = collected(rows.select("detail"), table.name)
        found += [Delivery.model_validate(json.loads(text)) for text in details.to_series()]
    return sorted(found, key=lambda one: str(one.at or ""))


def _path(dataset: str, number: int, token: int) -> str:
    return f"{holds_folder(dataset)}/{number}-{token}.json"
