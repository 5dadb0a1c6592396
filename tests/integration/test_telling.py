"""What the lake adds to alerts: warnings, one incident a table, and masked examples of what a run rejected."""

from __future__ import annotations

from datetime import timedelta

from headworks.bronze.resolutions import Resolver, resolve
from headworks.ops.alerts import Alert, Rejected
from headworks.ops.breakers import LakeBreakers
from headworks.ops.incidents import heal, notify
from headworks.ops.notices import (
    QUARANTINE_ROWS,
    Seen,
    incident_of,
    quiet_tables,
    rejected_examples,
    seen,
    warnings,
)
from headworks.ops.recorder import Recorder
from headworks.reports import CheckReport, GateReport, RunReport
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import open_rejects
from headworks.sources.api.breaker import Breaker
from headworks.storage.store import Lake
from tests.support.items import BEGINNING, ITEM, NAME, land_items
from tests.support.sources import bad_items, items

SCOPE = f"silver.{NAME}"


class Heard:
    """A channel that keeps what it is reported."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def send(self, alert: Alert) -> None:
        """Keep an alert."""
        self.alerts.append(alert)


def run(lake: Lake, outcome: str) -> RunReport:
    """Refine what is landed, and report it with one more check of the given outcome."""
    refined = refine(Refinement(lake, "run-1", clock=lambda: BEGINNING), ITEM)
    check = CheckReport.model_validate(
        {
            "scope": SCOPE,
            "name": "volume",
            "kind": "anomaly",
            "outcome": outcome,
            "detail": "40 rows, usually 100",
        }
    )
    recorder = Recorder("run-1", "sales", "incremental", "", clock=lambda: BEGINNING)
    recorder.refinements.append(refined.report)
    recorder.gate(GateReport(scope=SCOPE, open=True, checks=(check,)))
    return recorder.report("published")


def test_a_warning_says_what_is_unusual_and_shows_masked_examples(lake: Lake) -> None:
    land_items(lake, [*bad_items(1, 5), *items(6, 7)])
    (alert,) = warnings(lake, run(lake, "warned"))
    assert (alert.incident, alert.kind) == (f"warnings of {SCOPE}", "anomaly warned")
    assert "volume: 40 rows, usually 100" in alert.details
    assert "5 rows were rejected" in alert.details
    assert alert.examples == ('t.items, v|min: {"id": "9", "v": "-9", "at": 9}',) * 3
    assert f"headworks anomaly accept {SCOPE} --check 'volume'" in alert.do


def test_a_warning_is_told_once_and_once_when_it_is_over(lake: Lake) -> None:
    land_items(lake, items(1, 2))
    heard, loud, quiet = Heard(), run(lake, "warned"), run(lake, "passed")
    for _ in range(3):
        for alert in warnings(lake, loud):
            notify(lake, [heard], alert)
    for incident in quiet_tables(quiet):
        heal(lake, [heard], incident)
    assert [alert.healed for alert in heard.alerts] == [False, True]
    assert quiet_tables(loud) == ()
    assert quiet_tables(quiet) == (incident_of(SCOPE),)


def test_examples_are_rows_that_this_run_rejected_with_dataset_and_reason(lake: Lake) -> None:
    land_items(lake, [*bad_items(1, 5), *items(6, 7)])
    report = run(lake, "passed")
    assert rejected_examples(lake, report) == tuple(
        Rejected("t.items", ("v|min",), f'{{"id": "{number}", "v": "-{number}", "at": 1}}')
        for number in (1, 2, 3)
    )
    assert rejected_examples(lake, report.model_copy(update={"run_id": "another"})) == ()


def kinds(found: Seen) -> list[str]:
    return [alert.kind for alert in found.alerts]


def test_a_quarantine_that_grows_is_told_until_somebody_decided_about_its_rows(lake: Lake) -> None:
    incident = f"quarantine of {NAME}"
    few = QUARANTINE_ROWS // 2
    first = [*items(1, 500), *bad_items(501, 500 + few)]
    land_items(lake, first, size=1000)
    found = seen(lake, run(lake, "passed"))
    assert kinds(found) == []
    assert incident in found.over, "half of what is allowed is no incident"

    more = [*items(1001, 1500), *bad_items(1501, 1500 + QUARANTINE_ROWS)]
    land_items(lake, [*first, *more], size=1000)
    report = run(lake, "passed")
    (alert,) = seen(lake, report).alerts
    assert (alert.incident, alert.kind) == (incident, "quarantine growing")
    assert f"{few + QUARANTINE_ROWS} rejected rows" in alert.title
    assert f"headworks quarantine show {NAME}" in alert.do

    rejects = open_rejects(lake, NAME, lake.open("silver", NAME)).collect()
    resolve(lake, NAME, rejects, "discarded", Resolver("run-2", "ada", "known", BEGINNING))
    assert incident in seen(lake, report).over


def test_many_rejected_rows_are_few_beside_very_many_good_ones(lake: Lake) -> None:
    land_items(lake, [*items(1, 4000), *bad_items(4001, 4001 + QUARANTINE_ROWS)], size=5000)
    assert kinds(seen(lake, run(lake, "passed"))) == []


def test_an_open_breaker_is_told_by_every_run_and_is_over_when_it_is_closed(lake: Lake) -> None:
    land_items(lake, items(1, 2))
    store, report = LakeBreakers(lake), run(lake, "passed")
    clock = lambda: BEGINNING  # noqa: E731 - a clock that is
    later = BEGINNING + timedelta(minutes=5)
    store.save("shop-api", Breaker(failures=10, closed_until=later, reason="503").model_dump(mode="json"))
    (alert,) = seen(lake, report, clock).alerts
    assert (alert.incident, alert.kind, alert.details) == ("breaker of shop-api", "breaker open", ("503",))
    assert "headworks breaker reset shop-api" in alert.do
    half_open = seen(lake, report, lambda: later)
    assert kinds(half_open) == []
    assert alert.incident not in half_open.over, "it may open again"
    store.save("shop-api", Breaker().model_dump(mode="json"))
    assert alert.incident in seen(lake, report, clock).over
