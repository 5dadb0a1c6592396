"""Profiles as kept in ``ops.profiles``, and the good ones of them: what a candidate is compared with.

A profile is good if its own gate was open, if no anomaly was found in it that nobody has accepted since, if its run
came to its end (``ops.runs`` says published or unchanged), and if nobody has labelled its time as an incident. The
candidate's own run is never among them, nor is a delivery that silver does not have: held, discarded, superseded. One
that a person released was unusual, so it is known but no measure, unless that person vouched for it. How far back it is
looked depends on how often the table gets something.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from headworks.quality.judgements import ANY, Judgement, judgements
from headworks.quality.limits import AnomalyLimits
from headworks.quality.profiles import Profile
from headworks.quality.seasons import MOST_RUNS, REACH_DAYS, Rhythm, rhythm_of
from headworks.storage.delta import Table
from headworks.storage.store import Lake
from headworks.storage.translating import collected

PROFILES = pl.Schema(
    {
        "scope": pl.String(),
        "kind": pl.String(),
        "run_id": pl.String(),
        "profiled_at": pl.Datetime("us", "UTC"),
        "gate_open": pl.Boolean(),
        "rows": pl.Int64(),
        "profile": pl.String(),
        "outcome": pl.String(),
        "delivery": pl.String(),
    }
)
"""Tables made before have no ``outcome`` or ``delivery``; the first profile that is kept adds them."""

RELEASED, VOUCHED = "released", "vouched"
"""Outcomes that a person decided: such a profile counts, whether the decision was made in a run or by hand."""

GOOD_RUNS = ("published", "unchanged")


@dataclass(frozen=True)
class Baseline:
    """The good profiles of one table, oldest first, and what people have said about its anomalies.

    ``recent`` are the newest profiles that were let through, those with warnings among them: what drifts is in them.
    """

    profiles: tuple[Profile, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    recent: tuple[Profile, ...] = ()
    lives: Rhythm | None = None

    @cached_property
    def rhythm(self) -> Rhythm:
        """How often the table gets something: as it was declared, or as its runs show."""
        return self.lives or rhythm_of([one.as_of for one in self.profiles])

    def accepted(self, check: str, moment: datetime) -> Judgement | None:
        """Return the judgement by which a check's anomaly is accepted at a moment; None where there is none."""
        return next((one for one in self.judgements if one.accepts(check, moment)), None)

    def normal_since(self, check: str) -> datetime | None:
        """Return since when a person says that a check's numbers are the new normal; None where nobody does."""
        said = [one.start for one in self.judgements if one.verdict == "normal" and one.is_about(check)]
        return max(said, default=None)

    def without_accepted(self, check: str) -> tuple[Profile, ...]:
        """Return the profiles that a check compares with.

        Those whose anomaly in it was accepted are not among them, since Black Friday is no usual day, and none from
        before a new normal.
        """
        since = self.normal_since(check)
        accepted = [one for one in self.judgements if one.verdict == "accept" and one.is_about(check)]
        return tuple(
            one
            for one in self.profiles
            if (since is None or one.as_of >= since)
            and not any(each.accepts(check, one.as_of) for each in accepted)
        )


def keep_profile(
    lake: Lake, profile: Profile, *, gate_open: bool, warned: Sequence[str] = (), outcome: str = ""
) -> None:
    """Append a candidate's profile, whether its gate was open, and which checks found an anomaly in it.

    Of several for one delivery, or for one run where it is of none, the last counts.
    """
    profile = profile.model_copy(update={"warned": tuple(warned)})
    row = {
        "scope": profile.scope,
        "kind": profile.kind,
        "run_id": profile.run_id,
        "profiled_at": profile.moment,
        "gate_open": gate_open,
        "rows": profile.rows,
        "profile": profile.model_dump_json(exclude_defaults=True),
        "outcome": outcome or ("failed" if not gate_open else "warned" if warned else "passed"),
        "delivery": profile.delivery,
    }
    table = lake.ensure("ops", "profiles", PROFILES, partition_by="scope")
    table.append(pl.DataFrame([row], schema=PROFILES), {})


def vouch(lake: Lake, scope: str, delivery: str) -> bool:
    """Compare later deliveries with one that silver has, by a person's word; False where it left no profile."""
    table = lake.open("ops", "profiles")
    if table is None or "delivery" not in table.schema:
        return False
    mine = table.scan().filter((pl.col("scope") == scope) & (pl.col("delivery") == delivery))
    newest = collected(mine.sort("profiled_at").tail(1).select("profile"), table.name)
    for text in newest.get_column("profile"):
        profile = Profile.model_validate_json(text).model_copy(update={"vouched": True})
        keep_profile(lake, profile, gate_open=True, outcome=VOUCHED)
    return not newest.is_empty()


def baseline(
    lake: Lake,
    scope: str,
    kinds: Sequence[str],
    run_id: str,
    moment: datetime,
    limits: AnomalyLimits,
    without: Collection[str] = (),
) -> Baseline:
    """Return the good profiles of ``scope`` that a candidate of run ``run_id`` at ``moment`` may be compared with.

    ``without`` are deliveries that silver does not have: nothing is compared with them.
    """
    said = judgements(lake, scope)
    table, runs = lake.open("ops", "profiles"), lake.open("ops", "runs")
    if table is None or runs is None:
        return Baseline(judgements=said)
    ended = runs.scan().filter(pl.col("status").is_in(GOOD_RUNS)).select("run_id").unique()
    of_others = (pl.col("scope") == scope) & pl.col("kind").is_in(list(kinds)) & (pl.col("run_id") != run_id)
    rows = _reaching_back(table, of_others, moment, limits)
    last = rows.sort("profiled_at").unique(["scope", "of"], keep="last", maintain_order=True)
    through = last.filter(pl.col("gate_open") & ~pl.col("of").is_in(list(without))).lazy()
    ended = ended.with_columns(ended=pl.lit(value=True))
    kept = through.join(ended, on="run_id", how="left", maintain_order="left").filter(
        pl.col("ended") | pl.col("outcome").is_in([RELEASED, VOUCHED])
    )
    texts = collected(kept, runs.name).get_column("profile").tail(limits.history or MOST_RUNS)
    profiles = [Profile.model_validate_json(text) for text in texts]
    unlabelled = [one for one in profiles if not any(j.labels(one.as_of) for j in said)]
    good = [one for one in unlabelled if not _objected(one, said)]
    return Baseline(tuple(good), said, tuple(unlabelled[-_RECENT:]), limits.lives)


def anomalous_since(lake: Lake, scope: str, check: str) -> datetime | None:
    """Return since when a check has found an anomaly in each profile of a table; None where the newest has none."""
    table = lake.open("ops", "profiles")
    if table is None:
        return None
    newest = table.scan().filter(pl.col("scope") == scope).sort("profiled_at", descending=True)
    since = None
    for text in collected(newest.head(MOST_RUNS).select("profile"), table.name).get_column("profile"):
        profile = Profile.model_validate_json(text)
        if not profile.warned or (check != ANY and check not in profile.warned):
            break
        since = profile.as_of
    return since


_RECENT = 40
_ENOUGH: dict[Rhythm, int] = {"hourly": 150, "daily": 60, "weekly": 0, "monthly": 0, "list": 60}
"""So many profiles within a rhythm's reach say that the table has it."""


def _reaching_back(table: Table, of_others: pl.Expr, moment: datetime, limits: AnomalyLimits) -> pl.DataFrame:
    """Return the profiles of as long a time as the table's rhythm asks for, and no more than that."""
    if limits.history_days is not None:
        reaches = [(limits.history_days, 0)]
    elif limits.lives is not None:
        reaches = [(REACH_DAYS[limits.lives], 0)]
    else:
        reaches = [(REACH_DAYS[one], _ENOUGH[one]) for one in ("hourly", "daily", "monthly")]
    delivery, outcome = (_said(table, name) for name in ("delivery", "outcome"))
    columns = (
        "scope", "run_id", "profiled_at", "gate_open", "profile", outcome.alias("outcome"),
        pl.when(delivery != "").then(delivery).otherwise(pl.col("run_id")).alias("of"),
    )  # fmt: skip
    found, upto, closed = [], moment, "both"
    for days, enough in reaches:
        since = moment - timedelta(days=days)
        within = pl.col("profiled_at").is_between(since, upto, closed=closed)  # type: ignore[arg-type]
        found.append(collected(table.scan().filter(of_others & within).select(columns), table.name))
        if sum(one.height for one in found) >= enough:
            break
        upto, closed = since, "left"
    return pl.concat(found)


def _said(table: Table, name: str) -> pl.Expr:
    """Return a column that tables made before do not have."""
    return pl.col(name).fill_null("") if name in table.schema else pl.lit("")


def _objected(profile: Profile, said: Sequence[Judgement]) -> bool:
    """Return whether an anomaly was found in a profile that nobody has accepted."""
    return any(not any(one.accepts(check, profile.as_of) for one in said) for check in profile.warned)
