"""What the lake adds to alerts: warnings, one incident a table, and masked examples of what a run rejected."""

from __future__ import annotations

from headworks.lake.incidents import heal, tell
from headworks.lake.store import Lake
from headworks.lake.telling import incident_of, quiet_tables, rejected_examples, warnings
from headworks.observe.alerts import Alert
from headworks.observe.recorder import Recorder
from headworks.observe.report import CheckReport, GateReport, RunReport
from headworks.refine.refinement import Refinement, refine
from tests.support.items import BEGINNING, ITEM, NAME, land_items
from tests.support.sources import bad_items, items

SCOPE = f"silver.{NAME}"


class Heard:
    """A channel that keeps what it is told."""

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
    assert alert.examples == ('{"xx": "9", "x": "-9", "xx": 9}',) * 3
    assert f"headworks anomaly accept {SCOPE} --check 'volume'" in alert.do


def test_a_warning_is_told_once_and_once_when_it_is_over(lake: Lake) -> None:
    land_items(lake, items(1, 2))
    heard, loud, quiet = Heard(), run(lake, "warned"), run(lake, "passed")
    for _ in range(3):
        for alert in warnings(lake, loud):
            tell(lake, [heard], alert)
    for incident in quiet_tables(quiet):
        heal(lake, [heard], incident)
    assert [alert.healed for alert in heard.alerts] == [False, True]
    assert quiet_tables(loud) == ()
    assert quiet_tables(quiet) == (incident_of(SCOPE),)


def test_examples_are_raw_records_that_this_run_rejected(lake: Lake) -> None:
    land_items(lake, [*bad_items(1, 5), *items(6, 7)])
    report = run(lake, "passed")
    assert rejected_examples(lake, report) == tuple(
        f'{{"id": "{number}", "v": "-{number}", "at": 1}}' for number in (1, 2, 3)
    )
    assert rejected_examples(lake, report.model_copy(update={"run_id": "another"})) == ()
