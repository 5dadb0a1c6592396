"""The banner: how fresh the numbers are, and whether the gate let the newest run through. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from dashboard import view
from headworks.gold.products import ProductVersion
from headworks.reports import GateReport, RunReport

Tone = Literal["good", "notice", "bad"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True)
class Banner:
    """What the banner says: the gate's state in a word and a sentence, its reasons, and the freshness of the data."""

    tone: Tone
    title: str
    text: str
    reasons: tuple[str, ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()
    """Name, value, and a warning to it."""


@dataclass(frozen=True)
class Advice:
    """What is said in place of numbers: what is the matter, and what to do."""

    title: str
    text: str
    do: str
    reasons: tuple[str, ...] = ()


def banner(product: ProductVersion, newest_day: date | None, run: RunReport | None, now: datetime) -> Banner:
    """Return what the banner says about a publication and the newest run."""
    facts = (
        _newest_day(newest_day, now),
        (
            "Published",
            f"{view.day(product.published_at.date())}, {product.published_at:%H:%M} UTC",
            ago(now - product.published_at),
        ),
        ("Publication", f"No. {product.sequence}", ""),
    )
    tone, title, text = _message(run, product, now)
    return Banner(tone, title, text, why(run), facts)


def nothing_published(run: RunReport | None, lake: str) -> Advice:
    """Return what is said where the lake holds no publication yet."""
    if run is None:
        return Advice(
            "Nothing is published yet",
            f"The lake at {lake} has no publication of sales, and no run of the flow is recorded in it.",
            "Run the flow: make demo for the demo, or headworks run flows.sales. Then reload this page.",
        )
    text = {
        "gate closed": "The newest run closed the gate before anything was published, so there is no good version yet.",
        "failed": f"The newest run failed before anything was published: {run.message}",
        "refused": "The newest run met another one and left the work to it.",
    }.get(run.status, f"The newest run ended as: {run.status}.")
    return Advice(
        "Nothing is published yet",
        text,
        "Read the run's account (headworks account), correct what it names, run the flow again, and reload this page.",
        why(run),
    )


def why(run: RunReport | None) -> tuple[str, ...]:
    """Return why the gate is closed: each candidate with its reasons. Empty where the gate is not closed."""
    if run is None or run.status != "gate closed":
        return ()
    return tuple(f"{gate.scope}: {reason}" for gate in _closed(run) for reason in gate.reasons)


def ago(passed: timedelta) -> str:
    """Write how long ago something was, in its largest unit: ``3 minutes ago``."""
    seconds = int(passed.total_seconds())
    for unit, length in (("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)):
        count = abs(seconds) // length
        if count:
            words = f"{count:,} {unit}{'s' if count > 1 else ''}"
            return f"in {words}" if seconds < 0 else f"{words} ago"
    return "just now"


def _newest_day(newest: date | None, now: datetime) -> tuple[str, str, str]:
    if newest is None:
        return ("Newest business day", "none", "")
    passed = (now.date() - newest).days
    words = {0: "today", 1: "yesterday"}.get(passed) or ago(timedelta(days=passed))
    return ("Newest business day", view.day(newest), words)


def _message(run: RunReport | None, product: ProductVersion, now: datetime) -> tuple[Tone, str, str]:
    if run is None:
        return (
            "notice",
            "Gate unknown",
            "No run is recorded in the lake's ledger, so its gate is unknown.",
        )
    when = ago(now - run.finished_at)
    last_good = f"The numbers below are the last good version, from {_moment(product.published_at)}."
    if run.status in {"published", "landed", "unchanged"}:
        checks = sum(len(gate.checks) for gate in run.gates)
        news = {
            "published": "found something new",
            "landed": "took something in, and had nothing to publish",
        }.get(run.status, "found nothing new to publish")
        passed = f", and all of its {checks:,} checks passed" if checks else ""
        return "good", "Gate open", f"The newest run, {when}, {news}{passed}."
    if run.status == "gate closed":
        text = f"The newest run, {when}, was held back: its data is not good enough. {last_good}"
        return "bad", "Gate closed", text
    if run.status == "refused":
        text = f"The newest run, {when}, met another run and left the work to it. {last_good}"
        return "notice", "Run refused", text
    if product.run_id == run.run_id:
        last_good = "The numbers below had passed the gate and were published by it before it failed."
    return "bad", "Run failed", f"The newest run, {when}, failed: {run.message} {last_good}"


def _moment(moment: datetime) -> str:
    return f"{view.day(moment.date())}, {moment:%H:%M} UTC"


def _closed(run: RunReport) -> list[GateReport]:
    return [gate for gate in run.gates if not gate.open]
