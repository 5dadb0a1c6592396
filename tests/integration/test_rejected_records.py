"""A rejected record is one, however often its source gives it: in lists, alerts, decisions and the account."""

from __future__ import annotations

from typing import Any

import pytest

from headworks.bronze.resolutions import resolutions
from headworks.errors import SettingsError
from headworks.ops import notices
from headworks.ops.account import account_text
from headworks.reports import RefineReport, RunReport
from headworks.settings import LakeSettings
from headworks.silver.quarantine import rejected_rows
from headworks.silver.rejects import (
    FIRST_SEEN,
    LAST_SEEN,
    TIMES,
    Selection,
    as_records,
    check_reasons,
    open_rejects,
    rejects_by_reason,
)
from headworks.silver.replay import discard, replay
from headworks.silver.work import Refinement
from headworks.storage.store import Lake
from tests.integration.test_replay import FIXED
from tests.support.faults import Crash, crash_after, writes
from tests.support.items import BEGINNING, ITEM, NAME, land_items, refine_items, silver
from tests.support.sources import Record, bad_items, items

BAD: list[Record] = [*bad_items(21, 30), (None, "1", 1), ("x", "7", 1)]
WHOLE: list[Record] = [*items(1, 20), *BAD]


def day(lake: Lake, number: int, records: list[Record]) -> RefineReport:
    """Read the whole source once more, and refine what came."""
    land_items(lake, records, f"{NAME}@{number}", size=100)
    return refine_items(lake, f"run {number}")


def records(lake: Lake, selection: Selection | None = None) -> list[dict[str, Any]]:
    rows = as_records(open_rejects(lake, NAME, lake.must_open("silver", NAME)), selection).collect()
    return rows.to_dicts()


def rows_kept(lake: Lake) -> int:
    rows = rejected_rows(lake, NAME, lake.must_open("silver", NAME))
    assert rows is not None
    return rows.collect().height


def test_ten_days_of_the_same_bad_rows_are_as_many_records_as_on_the_first_day(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list, the alert and what an account says of them; each record knows when it came first and how often."""
    monkeypatch.setattr(notices, "QUARANTINE_ROWS", len(BAD))
    for number in range(10):
        report = day(lake, number, WHOLE)
        assert (report.rejected, report.known) == (12, 12 if number else 0)
        assert len(records(lake)) == 12
        counts = {
            reason: count
            for reason, count, _ in rejects_by_reason(
                open_rejects(lake, NAME, lake.must_open("silver", NAME))
            )
        }
        assert counts == {"v|min": 10, "id|nullability": 1, "id|unreadable": 1}
        assert isinstance(notices._quarantine(lake, NAME), str), "no alert: there are twelve"
        assert {one[TIMES] for one in records(lake)} == {number + 1}
    assert rows_kept(lake) == 120, "each row is kept all the same"
    first, last = records(lake)[0][FIRST_SEEN], records(lake)[0][LAST_SEEN]
    assert first < last
    run = RunReport(
        run_id="r", flow="f", mode="full", status="landed", started_at=BEGINNING, finished_at=BEGINNING,
        refinements=(report,),
    )  # fmt: skip
    assert "12 of these rows were rejected before with the same content" in account_text(run)
    of_one = records(lake, Selection(runs=("run 3",)))
    assert {(one["run_id"], one[TIMES]) for one in of_one} == {("run 3", 10)}


def test_what_was_discarded_stays_so_when_it_comes_again_and_another_version_does_not(lake: Lake) -> None:
    """Ten days; the first decision is the last one, kept with each row by whom and why, also around a kill."""
    work = Refinement(lake, "by-hand", clock=lambda: BEGINNING)
    day(lake, 0, WHOLE)
    assert discard(work, NAME, Selection(reasons=("v|min",)), by="ada", note="a test machine") == 10
    for number in range(1, 10):
        if number == 5:
            land_items(lake, WHOLE, f"{NAME}@{number}", size=100)
            # The first commit is the quarantine's, the second silver's, the third would note the discarded rows.
            with writes(crash_after(2)), pytest.raises(Crash):
                refine_items(lake)
            assert len(records(lake)) == 2
        day(lake, number, WHOLE)
        assert len(records(lake)) == 2
    noted = resolutions(lake, NAME).select("resolution", "by", "note").collect()
    assert noted.unique().rows() == [("discarded", "ada", "a test machine")]
    assert noted.height == 100
    assert len(set(resolutions(lake, NAME).select("_stream", "_row").collect().rows())) == 100
    day(lake, 10, [*items(1, 20), ("21", "-999", 1), *BAD[1:]])
    assert sorted(str(one["record"]) for one in records(lake))[0].find("-999") > 0
    assert len(records(lake)) == 3
    assert replay(work, FIXED, by="ada", note="again").report.released == 1


def test_a_release_takes_all_rows_of_a_record_and_leaves_none_open(lake: Lake) -> None:
    for number in range(4):
        day(lake, number, WHOLE)
    outcome = replay(Refinement(lake, "by-hand"), FIXED, by="ada", note="the rule was wrong")
    assert (outcome.report.records, outcome.report.judged, outcome.report.released) == (12, 48, 10)
    assert silver(lake)[25] == (-25, 1)
    assert len(records(lake)) == 2
    again = replay(Refinement(lake, "by-hand"), FIXED, by="ada", note="the rule was wrong")
    assert (again.report.records, again.report.released) == (2, 0)


def test_corrected_one_after_the_other_the_records_leave_the_list(lake: Lake) -> None:
    """Each day the source corrects one record, for good: the next full reads show it right."""
    now = list(WHOLE)
    for number in range(12):
        day(lake, number, now)
        wrong = 10 - min(number, 10)
        assert len(records(lake)) == 2 + wrong
        if number < 10:
            now[20 + number] = (str(21 + number), "5", 2)
    assert len(silver(lake)) == 30


def test_rows_whose_content_is_not_known_are_not_taken_for_one(lake: Lake) -> None:
    day(lake, 0, WHOLE)
    rows = open_rejects(lake, NAME, lake.must_open("silver", NAME)).collect()
    emptied = rows.with_columns(record=None, key=None).lazy()
    assert as_records(emptied).collect().height == 12


def test_a_reason_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Any) -> None:
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    with pytest.raises(SettingsError, match="nonsense") as raised:
        check_reasons(lake, NAME, ITEM, ("nonsense",))
    assert "v|min" in str(raised.value)
    check_reasons(lake, NAME, ITEM, ("v|min", "id|unreadable"))
    with pytest.raises(SettingsError, match="no such reason"):
        check_reasons(lake, NAME, None, ("v|min",))
    day(lake, 0, WHOLE)
    check_reasons(lake, NAME, None, ("v|min",))
