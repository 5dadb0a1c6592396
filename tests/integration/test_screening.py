"""Candidates are compared with good runs only, and what a person says about an anomaly counts and is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.streams import reset_stream
from headworks.errors import SettingsError
from headworks.names import Window, window_stream
from headworks.ops.ledger import record_run
from headworks.ops.recorder import Recorder
from headworks.quality.baselines import PROFILES, Baseline, anomalous_since, baseline, keep_profile
from headworks.quality.deliveries import held
from headworks.quality.judgements import Judgement, all_judgements, judgement, record_judgement, withdraw
from headworks.quality.limits import AnomalyLimits
from headworks.reports import CheckReport, RunStatus
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.storage.store import Lake
from tests.support.sources import Frames

NAME, SCOPE = "t.sales", "silver.t.sales"
START = datetime(2026, 3, 2, 23, tzinfo=UTC)


class SaleSchema(dy.Schema):
    """A sale in silver."""

    id = dy.Int64(nullable=False)
    price = dy.Float64(nullable=True)
    at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


SALES = Dataset(
    name=NAME,
    key=("id",),
    schema=SaleSchema,
    columns={name: pl.col(name) for name in SaleSchema.column_names()},
    cursor="at",
    limits=RejectLimits(share=1.0),
    anomalies=AnomalyLimits(good_runs=3, same_time_runs=2),
)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def sales(number: int, rows: int = 60, factor: float = 1.0) -> pl.DataFrame:
    """Make a day's sales, an hour before its end at the latest."""
    begin = day(number) - timedelta(hours=1)
    return pl.DataFrame(
        {
            "id": [number * 1000 + place for place in range(rows)],
            "price": [(10 + place % 17) * float(factor) for place in range(rows)],
            "at": [begin - timedelta(minutes=10 * (place % 60)) for place in range(rows)],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )


class Life:
    """A lake whose sales are landed, refined and recorded day by day."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._frames: list[pl.DataFrame] = []

    def lives(
        self,
        number: int,
        frame: pl.DataFrame,
        status: RunStatus | None = "published",
        dataset: Dataset = SALES,
    ) -> RefineOutcome:
        """Take a day in at its end; without a status the run never came to its end."""
        moment, run_id = self.left(number, frame), f"run-{number}"
        outcome = refine(Refinement(self.lake, run_id, clock=lambda: moment), dataset)
        recorder = Recorder(run_id, "t", "incremental", "", clock=lambda: moment)
        recorder.gate(outcome.gate)
        if status is not None:
            record_run(self.lake, recorder.report(status))
        return outcome

    def left(self, number: int, frame: pl.DataFrame) -> datetime:
        """Land a day at its end, and no more; the moment."""
        self._frames.append(frame)
        moment = day(number)
        land(Landing(self.lake, NAME, NAME, f"run-{number}", clock=lambda: moment), Frames(self._frames))
        return moment

    def baseline(self, number: int, run_id: str = "another") -> list[str]:
        """Return the runs that a candidate of a day would be compared with."""
        found: Baseline = baseline(self.lake, SCOPE, ["live"], run_id, day(number), SALES.anomalies)
        return [one.run_id for one in found.profiles]


@pytest.fixture
def life(lake: Lake) -> Life:
    """A lake after its first load and four good days."""
    output = Life(lake)
    for number in range(5):
        output.lives(number, sales(number))
    return output


def said(number: int, **changes: object) -> Judgement:
    values: dict[str, object] = {
        "verdict": "accept", "scope": SCOPE, "check": "mean of price", "start": day(number) - timedelta(hours=23),
        "end": day(number), "reason": "a price rise", "by": "ada", "decided_at": day(number),
    }  # fmt: skip
    return judgement(**(values | changes))


def test_the_first_load_and_the_own_run_are_not_compared_with(life: Life) -> None:
    assert life.baseline(5) == ["run-1", "run-2", "run-3", "run-4"]
    assert life.baseline(5, "run-3") == ["run-1", "run-2", "run-4"]


def test_failed_unfinished_and_stopped_runs_are_not_compared_with(life: Life) -> None:
    life.lives(5, sales(5), "failed")
    life.lives(6, sales(6), None)
    life.lives(7, sales(7), "gate closed")
    assert life.lives(8, sales(8, factor=100)).gate.open is False  # type: ignore[union-attr]
    assert life.baseline(9) == ["run-1", "run-2", "run-3", "run-4"]


def test_a_labelled_incident_leaves_the_baseline_until_the_label_is_withdrawn(life: Life) -> None:
    record_judgement(life.lake, said(3, verdict="incident", check="*"))
    assert life.baseline(5) == ["run-1", "run-2", "run-4"]
    withdraw(life.lake, 1, "grace", "it was the right price", day(5))
    assert life.baseline(5) == ["run-1", "run-2", "run-3", "run-4"]
    assert [(one.verdict, one.by) for one in all_judgements(life.lake)] == [
        ("incident", "ada"),
        ("withdraw", "grace"),
    ]


def test_a_candidate_unlike_the_good_runs_is_stopped_and_silver_stays(life: Life) -> None:
    before = life.lake.must_open("silver", NAME).scan().collect()
    outcome = life.lives(5, sales(5, factor=100), "gate closed")
    assert outcome.gate is not None
    assert not outcome.gate.open
    assert any(reason.startswith("mean of price: failed") for reason in outcome.gate.reasons)
    assert life.lake.must_open("silver", NAME).scan().collect().equals(before)


def test_what_was_stopped_is_taken_in_once_it_is_accepted(life: Life) -> None:
    life.lives(5, sales(5, factor=1.6), "gate closed")
    for check in ("mean of price", "distribution of price"):
        record_judgement(life.lake, said(5, check=check))
    moment = day(5) + timedelta(hours=1)
    again = refine(Refinement(life.lake, "run-5b", clock=lambda: moment), SALES)
    assert again.report.committed
    assert again.gate is not None
    output = {check.name: (check.outcome, check.detail) for check in again.gate.checks}
    assert output["mean of price"][0] == "accepted"
    assert "ada: a price rise" in output["mean of price"][1]


def test_every_candidate_leaves_one_profile_and_a_dry_run_none(life: Life) -> None:
    profiles = life.lake.must_open("ops", "profiles").scan().collect()
    assert profiles.get_column("gate_open").to_list() == [True] * 5
    life.lives(5, sales(5, factor=100), "gate closed")
    moment = day(6)
    refine(Refinement(life.lake, "dry", clock=lambda: moment), SALES, dry_run=True)
    kept = life.lake.must_open("ops", "profiles").scan().sort("profiled_at").collect()
    assert kept.select("run_id", "gate_open").rows()[5:] == [("run-5", False)]


def test_checks_are_kept_with_what_was_measured_and_expected(life: Life) -> None:
    life.lives(5, sales(5, rows=6), "gate closed")
    rows = life.lake.must_open("ops", "checks").scan().filter(pl.col("name") == "volume").collect()
    last = rows.filter(pl.col("run_id") == "run-5").row(0, named=True)
    assert (last["kind"], last["outcome"], last["severity"], last["value"]) == (
        "anomaly",
        "failed",
        "critical",
        6,
    )
    assert last["expected"] == 60


def test_a_cursor_in_the_future_is_rejected_since_it_would_win_for_ever(life: Life) -> None:
    frame = sales(5).with_columns(
        pl.when(pl.col("id") == 5000)
        .then(pl.lit(datetime(2999, 1, 1, tzinfo=UTC)))
        .otherwise("at")
        .alias("at")
    )
    outcome = life.lives(5, frame)
    assert (outcome.report.committed, outcome.report.reasons) == (True, {"cursor|future": 1})
    newest = life.lake.must_open("silver", NAME).scan().select(pl.col("at").max()).collect().item()
    assert newest < day(5)


def test_a_judgement_that_makes_no_sense_is_refused(life: Life) -> None:
    with pytest.raises(SettingsError, match="must lie before the end"):
        said(5, end=day(0))
    with pytest.raises(SettingsError, match="no judgement 7"):
        withdraw(life.lake, 7, "ada", "never made", day(5))


def test_nothing_new_for_too_long_is_told_and_stops_where_that_is_asked(life: Life) -> None:
    moment = day(7)
    outcome = refine(Refinement(life.lake, "idle", clock=lambda: moment), SALES)
    assert outcome.gate is not None
    assert (outcome.gate.open, [check.outcome for check in outcome.gate.checks]) == (True, ["warned"])
    strict = SALES.anomalies.model_copy(update={"when_idle": "stop"})
    stopped = refine(
        Refinement(life.lake, "idle", clock=lambda: moment),
        Dataset(**{**SALES.__dict__, "anomalies": strict}),
    )
    assert stopped.gate is not None
    assert not stopped.gate.open


def window_of_days(
    lake: Lake, number: int, rows: pl.DataFrame, days: int = 1, *, once: str | None = None, read: int = 40
) -> RefineOutcome:
    """Ingest a window that ends with a day, on the day ``read``, and end its run well."""
    window = Window(start=day(number - days), end=day(number), once=once)
    run_id = f"window-{number}"
    landing = Landing(lake, NAME, window_stream(NAME, window, 1), run_id, clock=lambda: day(read))
    land(landing, Frames([rows]))
    outcome = refine(Refinement(lake, run_id, clock=lambda: day(read)), SALES)
    recorder = Recorder(run_id, "t", "incremental", "", clock=lambda: day(read))
    recorder.gate(outcome.gate)
    record_run(lake, recorder.report("published"))
    return outcome


def checked(outcome: RefineOutcome, name: str) -> CheckReport:
    """Return what a check of the gate said."""
    assert outcome.gate is not None
    (found,) = [check for check in outcome.gate.checks if check.name == name]
    return found


@pytest.mark.sampled(2)
@pytest.mark.parametrize("days", [1, 5])
@pytest.mark.parametrize(("rows", "outcome"), [(60, "passed"), (5, "failed")])
def test_a_windows_rows_a_day_are_counted_over_the_whole_window_whatever_short_time_its_rows_are_of(
    lake: Lake, days: int, rows: int, outcome: str
) -> None:
    for number in range(5):
        window_of_days(lake, number * days, sales(number * days, 60 * days), days)
    # As many rows or fewer, but all of one minute.
    hurried = sales(25, rows * days).with_columns(at=pl.lit(day(25) - timedelta(hours=5)))
    assert checked(window_of_days(lake, 25, hurried, days), "volume").outcome == outcome


def test_rows_that_a_gate_held_back_do_not_get_in_with_a_window(life: Life) -> None:
    life.lives(5, sales(5, factor=100.0), "gate closed")
    for number, once in enumerate((None, "history"), start=2):
        outcome = window_of_days(life.lake, number, sales(number), once=once, read=5)
        (one,) = held(life.lake, NAME)
        assert checked(outcome, f"delivery {one.id} is held").outcome == "failed"
        assert outcome.report.held == sales(5).height
    assert life.lake.must_open("silver", NAME).scan().select(pl.col("price").max()).collect().item() < 100


def test_good_rows_that_were_left_get_in_with_a_window(life: Life) -> None:
    """Such as those of a run that was killed when it had landed them; days between both are no gap."""
    life.left(5, sales(5))
    assert window_of_days(life.lake, 1, sales(1), read=5).report.committed
    assert life.lives(6, sales(6)).report.committed


def test_what_is_unusual_in_a_backfill_is_told_and_stops_nothing(lake: Lake) -> None:
    """Rows that have not changed since are others than those that changed last week."""
    for number in range(5):
        window_of_days(lake, number, sales(number), once="history")
    outcome = window_of_days(lake, 5, sales(5, factor=100.0), once="history")
    assert checked(outcome, "mean of price").outcome == "warned"
    assert outcome.report.committed


def test_a_run_that_warned_is_not_compared_with_until_somebody_accepts_it(life: Life) -> None:
    outcome = life.lives(5, sales(5).filter(pl.col("id") % 5 < 3))
    assert checked(outcome, "volume").outcome == "warned"
    assert life.baseline(6) == ["run-1", "run-2", "run-3", "run-4"]
    kept = life.lake.must_open("ops", "profiles").scan().sort("profiled_at").collect()
    assert kept.get_column("outcome").to_list()[-2:] == ["passed", "warned"]
    record_judgement(life.lake, said(5, check="*"))
    assert life.baseline(6) == ["run-1", "run-2", "run-3", "run-4", "run-5"]


def test_profiles_that_were_kept_without_an_outcome_are_read_and_added_to(life: Life) -> None:
    """A table of profiles as it was made before runs with a warning were reported from good ones."""
    table = life.lake.must_open("ops", "profiles")
    rows = table.scan().drop("outcome").collect()
    older = life.lake.settings.model_copy(update={"root": f"{life.lake.settings.root}-older"})
    there = Lake(older)
    schema = pl.Schema({name: dtype for name, dtype in PROFILES.items() if name != "outcome"})
    there.ensure("ops", "profiles", schema, partition_by="scope").append(rows, {})
    runs = life.lake.must_open("ops", "runs").scan().collect()
    there.ensure("ops", "runs", runs.schema).append(runs, {})
    found = baseline(there, SCOPE, ["live"], "another", day(5), SALES.anomalies)
    assert [one.run_id for one in found.profiles] == ["run-1", "run-2", "run-3", "run-4"]
    keep_profile(there, found.profiles[-1].model_copy(update={"run_id": "new"}), gate_open=True)
    kept = there.must_open("ops", "profiles").scan().collect()
    assert kept.get_column("outcome").to_list().count(None) == 5


def test_a_new_normal_is_one_step_and_lets_in_what_waits(life: Life) -> None:
    """Prices have risen for good: the gate stays closed, and after a word the next days are compared again."""
    life.lives(5, sales(5, factor=3), "gate closed")
    assert anomalous_since(life.lake, SCOPE, "mean of price") == day(5) - timedelta(hours=1)
    assert anomalous_since(life.lake, SCOPE, "volume") is None
    start = day(5) - timedelta(hours=1)
    for check in ("mean of price", "*"):
        record_judgement(life.lake, said(5, verdict="normal", check=check, start=start, end=day(7)))
    moment = day(5) + timedelta(hours=1)
    again = refine(Refinement(life.lake, "run-5b", clock=lambda: moment), SALES)
    assert again.report.committed
    for number in range(6, 9):
        assert life.lives(number, sales(number, factor=3)).report.committed
    assert life.lives(9, sales(9, factor=30), "gate closed").report.committed is False


class _Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("days", "further", "killed", "part_rows"),
    [
        (1, 1, False, 10**6),
        (2, 0, False, 10**6),
        (3, 2, True, 500),
        (5, 0, True, 10**6),
        (5, 1, False, 500),
        (12, 2, True, 10**6),
    ],
)
def test_what_is_read_again_after_a_stream_was_set_back_is_no_unusual_volume(
    lake: Lake, days: int, further: int, killed: bool, part_rows: int
) -> None:
    """Whether few runs are known or many, and whether something new came meanwhile or the reading was interrupted."""
    life = Life(lake)
    first = pl.concat([sales(-number, 60) for number in range(30, 0, -1)])
    frames = [first, *(sales(number, 60) for number in range(days))]
    for number, frame in enumerate(frames):
        life.lives(number - 1, frame)
    last = days + further
    moment = day(last - 1) + timedelta(minutes=10)
    reset_stream(Landing(lake, NAME, NAME, "by hand", clock=lambda: moment))
    source = [*frames, *(sales(number, 60) for number in range(days, last))]
    if killed:
        seen = []

        def kill(report: object) -> None:
            seen.append(report)
            if len(seen) == len(source) // 2:
                raise _Killed

        with pytest.raises(_Killed):
            land(Landing(lake, NAME, NAME, "killed", clock=lambda: moment), Frames(source), on_batch=kill)
    land(Landing(lake, NAME, NAME, "again", clock=lambda: moment), Frames(source))
    outcome = refine(Refinement(lake, "again", clock=lambda: moment, part_rows=part_rows), SALES)
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate.reasons
    assert not {"volume", "rows read again", "cold start: volume"} & {
        check.name for check in outcome.gate.checks if check.outcome in {"warned", "failed"}
    }
    assert outcome.report.inserted == 60 * further
    assert outcome.report.unchanged == 60 * (30 + days)
    # The day after is judged as any other.
    record_run(lake, Recorder("again", "t", "incremental", "", clock=lambda: moment).report("published"))
    after = life_goes_on(lake, source, last).gate
    assert after is not None
    assert after.open, after.reasons


def life_goes_on(lake: Lake, frames: list[pl.DataFrame], number: int, rows: int = 60) -> RefineOutcome:
    moment = day(number)
    land(Landing(lake, NAME, NAME, "after", clock=lambda: moment), Frames([*frames, sales(number, rows)]))
    return refine(Refinement(lake, "after", clock=lambda: moment), SALES)


def test_too_many_new_rows_are_noticed_though_a_stream_was_set_back_meanwhile(life: Life) -> None:
    moment = day(5)
    reset_stream(Landing(life.lake, NAME, NAME, "by hand", clock=lambda: moment))
    frames = [*(sales(number) for number in range(5)), sales(5, 300)]
    land(Landing(life.lake, NAME, NAME, "again", clock=lambda: moment), Frames(frames))
    outcome = refine(Refinement(life.lake, "again", clock=lambda: moment), SALES)
    assert any(reason.startswith("volume") for reason in outcome.gate.reasons)  # type: ignore[union-attr]
