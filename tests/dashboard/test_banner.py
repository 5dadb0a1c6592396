"""What the banner says of the gate and of the data's age, for every way in which a run can end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import get_args

import pytest

from dashboard.banner import Advice, Banner, ago, banner, nothing_published
from dashboard.page import advice_html, banner_html, table_html
from headworks.gold.products import ProductVersion
from headworks.reports import CheckReport, GateReport, RunReport, RunStatus

_NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
_PRODUCT = ProductVersion(
    product="sales", sequence=4, run_id="good", published_at=_NOW - timedelta(hours=3), tables=()
)
_OPEN = GateReport(
    scope="gold.sales.daily",
    open=True,
    checks=(CheckReport(scope="gold.sales.daily", name="rows", kind="contract", outcome="passed"),) * 3,
)
_CLOSED = GateReport(
    scope="gold.sales.daily", open=False, reasons=("revenue is not negative: failed", "rows: not evaluated")
)


def _run(status: RunStatus, *gates: GateReport, run_id: str = "newest", message: str = "") -> RunReport:
    return RunReport(
        run_id=run_id,
        flow="sales",
        mode="incremental",
        status=status,
        message=message,
        started_at=_NOW - timedelta(minutes=3),
        finished_at=_NOW - timedelta(minutes=2),
        gates=gates,
    )


def _said(run: RunReport | None, product: ProductVersion = _PRODUCT) -> Banner:
    return banner(product, date(2026, 3, 10), run, _NOW)


@pytest.mark.parametrize("status", ["published", "unchanged"])
def test_after_a_good_run_the_gate_is_open_and_its_checks_are_counted(status: RunStatus) -> None:
    said = _said(_run(status, _OPEN))
    assert (said.tone, said.title, said.reasons) == ("good", "Gate open", ())
    assert "2 minutes ago" in said.text
    assert "3 checks passed" in said.text


def test_after_a_closed_gate_each_reason_is_told_and_that_the_last_good_version_is_shown() -> None:
    said = _said(_run("gate closed", _OPEN, _CLOSED))
    assert (said.tone, said.title) == ("bad", "Gate closed")
    assert said.reasons == (
        "gold.sales.daily: revenue is not negative: failed",
        "gold.sales.daily: rows: not evaluated",
    )
    assert "last good version, from Wed 11 Mar 2026, 09:00 UTC" in said.text


def test_after_a_failed_run_its_message_is_told_and_whose_numbers_are_shown() -> None:
    before = _said(_run("failed", message="SourceUnavailable: no answer."))
    assert (before.tone, before.title) == ("bad", "Run failed")
    assert "no answer." in before.text
    assert "last good version" in before.text
    after = _said(_run("failed", run_id="good", message="PublicationRefused: no."))
    assert "were published by it before it failed" in after.text


def test_after_a_refused_run_nothing_is_claimed_about_the_gate() -> None:
    said = _said(_run("refused"))
    assert said.tone == "notice"
    assert "Gate" not in said.title


def test_every_status_of_a_run_has_words_of_its_own() -> None:
    recorded = [
        status for status in get_args(RunStatus) if status != "dry run"
    ]  # those are not in the ledger
    assert len({_said(_run(status)).title + _said(_run(status)).text for status in recorded}) == len(recorded)
    assert _said(None).title == "Gate unknown"
    assert all(nothing_published(_run(status), "/lake").text for status in recorded)


def test_freshness_is_the_newest_day_and_the_time_of_publication_with_their_age() -> None:
    facts = {name: (value, warning) for name, value, warning in _said(_run("published")).facts}
    assert facts["Newest business day"] == ("Tue 10 Mar 2026", "yesterday")
    assert facts["Published"] == ("Wed 11 Mar 2026, 09:00 UTC", "3 hours ago")
    assert facts["Publication"][0] == "No. 4"


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=1200), "1,200 days ago"),
        (timedelta(minutes=-5), "in 5 minutes"),
        (timedelta(seconds=-1), "just now"),
    ],
)
def test_ages_are_written_in_their_largest_unit(passed: timedelta, words: str) -> None:
    assert ago(passed) == words


def test_without_a_publication_it_is_said_what_to_do_and_why_there_is_none() -> None:
    fresh = nothing_published(None, "/data/lake")
    assert "/data/lake" in fresh.text
    assert "make demo" in fresh.do
    closed = nothing_published(_run("gate closed", _CLOSED), "/data/lake")
    assert len(closed.reasons) == 2
    assert "no good version yet" in closed.text


def test_what_comes_from_data_is_never_mark_up() -> None:
    """A reason may quote a value, and a customer's segment may hold anything."""
    hostile = "<script>alert(1)</script>"
    gate = GateReport(scope=hostile, open=False, reasons=(hostile,))
    pieces = [
        banner_html(_said(_run("gate closed", gate))),
        banner_html(_said(_run("failed", message=hostile))),
        advice_html(Advice(hostile, hostile, hostile, (hostile,))),
        table_html("a", (hostile,), ((hostile,),), foot=(hostile,)),
    ]
    for piece in pieces:
        assert "<script" not in piece
        assert "&lt;script&gt;" in piece
