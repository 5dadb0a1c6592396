"""Suites that must not be skipped: ``HEADWORKS_REQUIRE=docker,postgres`` makes a skipped test of theirs fail.

A pytest plugin. Each word is a marker or a fixture, and a test that has one of them is meant. Where the parts of a
suite were set up, a skip says that the set-up did not work. A file that is skipped as a whole shows no marker, so none
may be.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

VARIABLE = "HEADWORKS_REQUIRE"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterable[None]:
    """Turn the skip of a test that is required into a failure."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    words = required() & {*(mark.name for mark in item.iter_markers()), *getattr(item, "fixturenames", ())}
    if words and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report, f"{', '.join(sorted(words))} must not be skipped here")
    return report  # type: ignore[return-value]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterable[None]:
    """Turn the skip of a whole file into an error where anything is required."""
    report: pytest.CollectReport = yield  # type: ignore[assignment]
    if required() and report.skipped:
        _fail(report, "no file may be skipped as a whole here")
    return report  # type: ignore[return-value]


def required() -> set[str]:
    """Return the markers and fixtures whose tests must not be skipped."""
    return {word.strip() for word in os.environ.get(VARIABLE, "").split(",")} - {""}


def _fail(report: pytest.TestReport | pytest.CollectReport, why: str) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    report.outcome = "failed"
    report.longrepr = f"{why} ({VARIABLE}={os.environ[VARIABLE]}): {reason}"
