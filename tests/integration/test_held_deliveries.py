"""Deliveries: each is judged alone, a held one lets nothing go by itself, and never mixes with later ones."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import pytest

from headworks.bronze.landing import Landing, land
from headworks.errors import SettingsError
from headworks.ops.alerts import REMINDER_H, Alert, alert_of, held_incident
from headworks.ops.incidents import notify
from headworks.ops.notices import seen
from headworks.ops.recorder import Recorder
from headworks.quality.deliveries import deliveries, held, history, holds
from headworks.reconcile import differences
from headworks.reports import RunReport
from headworks.settings import RejectLimits
from headworks.silver.dataset import AfterAHold, Dataset
from headworks.silver.decisions import discard
from headworks.silver.quarantine import pending_rows
from headworks.silver.refinement import Refinement, RefineOutcome, refine
from headworks.storage.store import Lake
from tests.support.faults import Crash, crash_after, writes
from tests.support.items import BEGINNING, ITEM, NAME, rejected, silver
from tests.support.sources import Numbered, Record, bad_items, items

STRICT = replace(ITEM, limits=RejectLimits(share=0.25, from_rows=1))
GOOD, BAD = items(1, 4), [*items(5, 6), *bad_items(7, 10)]


class Play:
    """A lake in which each day is landed by a run of its own, and refined or not."""

    def __init__(self, lake: Lake, dataset: Dataset = STRICT) -> None:
        self.lake, self.dataset = lake, dataset
        self.landed: list[Record] = []
        self.day = 0

    def land(self, records: list[Record], *, unfinished: bool = False) -> str:
        """Land records by a run of their own; one that is killed lands all but the last batch."""
        self.day += 1
        self.landed += records
        run = f"day-{self.day}"
        if unfinished:
            with writes(crash_after(1)), pytest.raises(Crash):
                land(Landing(self.lake, NAME, NAME, run), Numbered(self.landed, 2))
        else:
            land(Landing(self.lake, NAME, NAME, run), Numbered(self.landed, 100))
        return run

    def refine(self, **more: bool) -> RefineOutcome:
        """Refine what is pending, in a run of its own."""
        return refine(Refinement(self.lake, f"refine-{self.day}"), self.dataset, **more)

    def play(self, records: list[Record]) -> RefineOutcome:
        """Land and refine a day."""
        self.land(records)
        return self.refine()


def is_open(outcome: RefineOutcome) -> bool:
    """Return whether a gate was asked, and is open."""
    return outcome.gate is not None and outcome.gate.open


def reasons(outcome: RefineOutcome) -> tuple[str, ...]:
    """Return why a gate is closed."""
    return outcome.gate.reasons if outcome.gate is not None else ()


def test_a_held_delivery_stays_held_whatever_comes_and_however_often_somebody_runs(lake: Lake) -> None:
    day = Play(lake)
    assert is_open(day.play(GOOD))
    first = day.play(BAD)
    assert not is_open(first)
    assert not first.report.committed
    assert first.report.held == 6
    (one,) = held(lake, NAME)
    assert one.id in "".join(reasons(first))
    assert f"release {one.id}" in reasons(first)[-1]
    for number in range(3):
        again = day.refine()
        assert not is_open(again)
        assert again.report.held == 6
        later = day.play(items(100 + 20 * number, 119 + 20 * number))
        assert not is_open(later)
        assert later.report.inserted == 20
        assert (later.report.rejected, later.report.held) == (0, 6)
    assert [each.id for each in held(lake, NAME)] == [one.id]
    assert set(silver(lake)) == {1, 2, 3, 4, *range(100, 160)}
    assert rejected(lake) == []
    waiting = pending_rows(lake, NAME, lake.open("silver", NAME))
    assert waiting is not None
    assert sorted(waiting.select("key").collect().to_series()) == [
        "10",
        "7",
        "8",
        "9",
    ]


@pytest.mark.parametrize("policy", ["wait", "merge", "pass"])
def test_what_becomes_of_later_deliveries_is_the_datasets_policy(lake: Lake, policy: AfterAHold) -> None:
    day = Play(lake, replace(STRICT, after_a_hold=policy))
    day.play(GOOD)
    day.play(BAD)
    later = day.play(items(20, 29))
    assert is_open(later) == (policy == "pass")
    assert (20 in silver(lake)) == (policy != "wait")
    checks = later.gate.checks if later.gate is not None else ()
    assert [check.outcome for check in checks if check.kind == "held"] == [
        "warned" if policy == "pass" else "failed"
    ]


def test_deliveries_that_were_not_refined_in_their_time_are_judged_each_alone(lake: Lake) -> None:
    day = Play(lake)
    day.land(GOOD)
    day.land(BAD)
    day.land(items(20, 99))
    outcome = day.refine()
    assert not is_open(outcome), "the bad day is not thinned by the good one"
    assert (outcome.report.inserted, outcome.report.rejected, outcome.report.held) == (84, 0, 6)
    states = {each.state: each.rows for each in deliveries(lake, NAME)}
    assert states == {"accepted": 80, "held": 6}
    assert [each.state for each in history(lake, held(lake, NAME)[0].id)] == ["held"]


def test_what_a_killed_run_left_is_judged_with_what_continues_it(lake: Lake) -> None:
    day = Play(lake)
    day.play(GOOD)
    day.land([*bad_items(5, 6), *items(7, 20)], unfinished=True)
    day.land([])
    outcome = day.refine()
    assert is_open(outcome), "the two bad rows that came first are not a day"
    assert (outcome.report.inserted, outcome.report.rejected) == (14, 2)
    assert len(deliveries(lake, NAME)) == 2


def test_the_source_that_corrects_every_row_supersedes_what_is_held(lake: Lake) -> None:
    day = Play(lake)
    day.play(GOOD)
    day.play(BAD)
    some = day.play([(str(n), "1", 5) for n in range(5, 9)])
    assert not is_open(some), "two keys are not corrected yet"
    all_of_them = day.play([("9", "1", 5), ("10", "1", 5)])
    assert is_open(all_of_them)
    assert held(lake, NAME) == ()
    assert [one.state for one in holds(lake, lake.open("silver", NAME))] == ["superseded"]
    assert {key: silver(lake)[key][0] for key in range(5, 11)} == dict.fromkeys(range(5, 11), 1)


def test_older_versions_do_not_supersede_what_is_held(lake: Lake) -> None:
    day = Play(lake)
    day.play(GOOD)
    day.play([(each[0], each[1], 9) for each in BAD])
    assert not is_open(day.play([(str(n), "1", 5) for n in range(5, 11)]))
    assert len(held(lake, NAME)) == 1


def test_a_rule_that_is_corrected_lets_the_held_delivery_through_and_time_does_not(lake: Lake) -> None:
    day = Play(lake)
    day.play(GOOD)
    day.play(BAD)
    day.play(items(20, 29))
    day.dataset = replace(STRICT, limits=RejectLimits(share=1.0))
    outcome = day.refine()
    assert is_open(outcome)
    assert (outcome.report.inserted, outcome.report.rejected, outcome.report.held) == (2, 4, 0)
    assert rejected(lake) == ["10", "7", "8", "9"]
    assert [each.state for each in deliveries(lake, NAME)] == ["accepted"] * 3


def test_a_dry_run_judges_each_delivery_alone_and_holds_nothing(lake: Lake) -> None:
    day = Play(lake)
    day.play(GOOD)
    day.land(BAD)
    day.land(items(20, 99))
    assert not is_open(day.refine(dry_run=True))
    assert held(lake, NAME) == ()


@pytest.mark.parametrize("write", range(1, 9))
def test_killed_after_any_write_while_holding_one_truth_is_left(lake: Lake, write: int) -> None:
    day = Play(lake)
    day.play(GOOD)
    day.land(BAD)
    day.land(items(20, 29))
    with writes(crash_after(write)), contextlib.suppress(Crash):
        day.refine()
    outcome = day.refine()
    assert not is_open(outcome)
    assert set(silver(lake)) == {1, 2, 3, 4, *range(20, 30)}
    assert [(one.state, one.rows) for one in deliveries(lake, NAME)] == [
        ("accepted", 4),
        ("held", 6),
        ("accepted", 10),
    ]
    assert rejected(lake) == []


def test_only_the_first_version_of_a_key_counts_so_nothing_may_pass_a_held_one() -> None:
    with pytest.raises(SettingsError, match="would take its place"):
        replace(ITEM, keeps="first", after_a_hold="pass")
    assert replace(ITEM, keeps="first").hold_policy == "wait"
    assert ITEM.hold_policy == "merge"


class Kept:
    """A channel that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Alert] = []

    def send(self, alert: Alert) -> None:
        """Keep an alert."""
        self.sent.append(alert)


def report_of(outcome: RefineOutcome, status: str) -> RunReport:
    """Return the report of a run that refined."""
    return RunReport.model_validate(
        {
            "run_id": "run",
            "flow": "things",
            "mode": "incremental",
            "status": status,
            "started_at": BEGINNING,
            "finished_at": BEGINNING,
            "refinements": (outcome.report,),
            "gates": (outcome.gate,) if outcome.gate else (),
        }
    )


def moved(moment: datetime) -> datetime:
    """Stand for a clock that stands still."""
    return moment


def test_an_incident_stays_open_while_anything_is_held_and_is_sent_again_at_its_rhythm(lake: Lake) -> None:
    day, channel = Play(lake, replace(STRICT, after_a_hold="pass")), Kept()
    day.play(GOOD)
    closed = alert_of(report_of(day.play(BAD), "gate closed"))
    assert closed is not None
    assert closed.again_h == REMINDER_H
    assert "headworks delivery release" in closed.body()
    for hours in (0, 1, 25, 26, 50):
        later = partial(moved, BEGINNING + timedelta(hours=hours))
        found = seen(lake, report_of(day.play(items(100 + hours, 100 + hours)), "published"), later)
        assert held_incident(NAME) not in found.over
        (alert,) = [each for each in found.alerts if each.kind == "delivery held"]
        notify(lake, [channel], alert, later)
    assert len(channel.sent) == 3, "at once, and after a day and another one"
    (one,) = held(lake, NAME)
    discard(Refinement(lake, "by hand"), day.dataset, one.id, by="Ada", note="no good")
    assert held_incident(NAME) in seen(lake, report_of(day.refine(), "unchanged")).over


@pytest.mark.sampled(6)
@pytest.mark.parametrize("policy", ["wait", "merge"])
@pytest.mark.parametrize("bad", [days for days in product((False, True), repeat=3) if any(days)])
def test_the_account_balances_whatever_is_held_and_whatever_waits_behind_it(
    lake: Lake, bad: tuple[bool, ...], policy: str
) -> None:
    """Three days that one run judges; a bad one is held, and by policy those after it wait or are merged."""
    day = Play(lake, replace(STRICT, after_a_hold=policy))  # type: ignore[arg-type]
    day.play(GOOD)
    for number, broken in enumerate(bad):
        first = 10 * number + 10
        day.land(
            [*items(first, first + 1), *bad_items(first + 2, first + 5)]
            if broken
            else items(first, first + 4)
        )
    report = day.refine().report
    judged = bad if policy == "merge" else bad[: bad.index(True) + 1]
    taken, held_rows = 5 * judged.count(False), 6 * judged.count(True)
    assert (report.landed if report.committed else 0, report.newly_held) == (taken, held_rows)
    assert report.pending == sum(6 if broken else 5 for broken in bad)
    assert report.behind == report.pending - taken - held_rows
    recorder = Recorder("run", "t", "incremental", "", clock=lambda: BEGINNING)
    recorder.refinements.append(report)
    assert differences(recorder.report("gate closed")) == []
