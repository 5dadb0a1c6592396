"""A step that is tried again under its run: the account has what every try landed, and only that."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.names import Window
from headworks.sources.base import Source
from headworks.storage.store import Lake
from tests.support.faults import Crash
from tests.support.items import NAME, bronze
from tests.support.sources import Numbered, ids, items

TEN = items(1, 10)


@dataclass
class Failing:
    """Ten items in batches of two, whose reading ends with an error before one of its batches, and then never again."""

    fails_at: list[int] = field(default_factory=list)
    reads_live: bool = True

    def _source(self) -> Numbered:
        return Numbered(TEN, before_batch=self._before)

    def _before(self, number: int) -> None:
        if self.fails_at and number == self.fails_at[0]:
            self.fails_at.pop(0)
            raise Crash

    def live(self) -> Source | None:
        return self._source() if self.reads_live else None

    def whole(self) -> Source:
        return self._source()

    def within(self, window: Window) -> Source:
        return self._source()


def crash(request: IngestRequest, intake: Failing) -> None:
    with pytest.raises(Crash):
        ingest(request, intake)


def test_the_account_has_what_both_tries_landed(lake: Lake) -> None:
    request, intake = IngestRequest(lake, NAME, "run"), Failing([3])
    crash(request, intake)
    (report,) = ingest(request, intake)
    assert (report.read, report.landed, report.batches) == (10, 10, 5)
    assert (report.first_sequence, report.last_sequence) == (1, 5)
    assert ids(bronze(lake)) == ids(bronze(lake).unique("id"))


def test_a_try_that_finds_nothing_left_to_read_still_tells_what_the_first_one_landed(lake: Lake) -> None:
    request, intake = IngestRequest(lake, NAME, "run"), Failing()
    ingest(request, intake)
    (report,) = ingest(request, intake)
    assert (report.read, report.landed) == (10, 10)


def test_another_run_counts_its_own_rows_alone(lake: Lake) -> None:
    intake = Failing([3])
    crash(IngestRequest(lake, NAME, "first run"), intake)
    (report,) = ingest(IngestRequest(lake, NAME, "second run"), intake)
    assert (report.read, report.landed, report.first_sequence) == (4, 4, 4)


def test_a_window_that_was_cut_short_is_counted_on(lake: Lake) -> None:
    window = Window.model_validate({"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"})
    request, intake = IngestRequest(lake, NAME, "run", window=window), Failing([2])
    crash(request, intake)
    (report,) = ingest(request, intake)
    assert (report.read, report.landed) == (10, 10)


def test_a_full_read_that_began_anew_tells_each_of_its_readings(lake: Lake) -> None:
    """Ten rows came with the second reading, and six with the first: bronze has all sixteen."""
    request, intake = IngestRequest(lake, NAME, "run", mode="full"), Failing([3], reads_live=False)
    crash(request, intake)
    reports = ingest(request, intake)
    assert [(report.generation, report.landed) for report in reports] == [(1, 6), (2, 10)]
    assert sum(report.landed for report in reports) == bronze(lake).height


def test_a_full_read_of_an_earlier_run_is_not_in_this_ones_account(lake: Lake) -> None:
    intake = Failing([3], reads_live=False)
    crash(IngestRequest(lake, NAME, "first run", mode="full"), intake)
    reports = ingest(IngestRequest(lake, NAME, "second run", mode="full"), intake)
    assert [(report.generation, report.landed) for report in reports] == [(2, 10)]
