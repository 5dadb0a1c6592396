"""One fault, one style, one seed: read through the whole landing protocol into a real lake, and judged."""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError
from headworks.reports import LandingReport
from headworks.settings import LakeSettings
from headworks.sources.base import Source
from headworks.storage.store import Lake
from headworks.testing.access import SECRET, Access, CredentialLeakProbe, Keyed, OAuth, thieving
from headworks.testing.faults.catalogue import Case
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.outcome import DATASET, bronze_records, silver_amounts
from headworks.testing.styles import STYLES
from headworks.testing.truth import Row, make_rows, sums_of, sums_of_rows

ROWS = 118
"""24 pages of five, the last one short."""
REQUESTS_A_TOKEN = 15
"""Fewer than a reading's requests, and more than half of them: one renewal."""
MOST_RUNS = 4
MOST_REPEATS = 2
"""Requests after the first one that showed that a scan never ends."""
DAY_S = 86_400.0

Making = Callable[[HostileApi], Source]


@dataclass(frozen=True)
class Allowed:
    """What the source under test may do by its settings.

    Requests at the same time, pages that were guessed well and lie ready alongside them, and pages that are not
    committed yet.
    """

    in_flight: int = 1
    ready: int = 0
    unlanded_pages: int = 6

    @property
    def alongside(self) -> int:
        """Requests that may have been made before the page that is being looked at was known."""
        return self.in_flight + self.ready - 1


@dataclass
class Found:
    """What a trial came to: ``faults`` is empty where the promise was kept."""

    case: str
    style: str
    seed: int
    faults: list[str] = field(default_factory=list)
    injected: int = 0
    requests: int = 0
    pages: int = 0
    failed: str = ""
    runs: int = 1


@dataclass
class _Trial:
    """A trial under way."""

    case: Case
    api: HostileApi
    leak_probe: CredentialLeakProbe
    lake: Lake
    make: Making
    before: list[Row]
    allowed: Allowed
    found: Found
    problems: list[HeadworksError] = field(default_factory=list)
    reports: list[LandingReport] = field(default_factory=list)

    def fault(self, text: str) -> None:
        self.found.faults.append(text)

    def run(self) -> HeadworksError | None:
        """Land once; the error, if it fails."""
        landing = Landing(self.lake, DATASET, DATASET, "run", clock=self.api.time.clock)
        try:
            self.reports.append(land(landing, self.make(self.api)))
        except HeadworksError as problem:
            self.problems.append(problem)
            return problem
        return None


def play(case: Case, style: str, seed: int, make: Making, folder: Path, allowed: Allowed) -> Found:
    """Play a case and return what was found; ``make`` makes the source under test for an API that is being served."""
    dice = Random(f"{case.name}/{style}/{seed}")
    with thieving() as leak_probe:
        rows = make_rows(ROWS, seed)
        api = HostileApi(STYLES[style], list(rows), case.make(dice, leak_probe), access_of(case.access))
        lake = Lake(LakeSettings(root=str(folder)))
        found = Found(case.name, style, seed)
        trial = _Trial(case, api, leak_probe, lake, make, rows, allowed, found)
        with hostile(api):
            {"exact": _exact, "repaired": _repaired, "fails": _fails}[case.promise.ends](trial)
            _never(trial)
    found.injected, found.requests = api.fault.injected, api.requests
    found.pages = sum(api.pages.values())
    return found


def access_of(kind: str) -> Access:
    """Return who may read, by a kind's name."""
    return OAuth(REQUESTS_A_TOKEN) if kind == "oauth" else Keyed(kind)


def _exact(trial: _Trial) -> None:
    """The reading ends at once, and the table is the truth."""
    promise, api = trial.case.promise, trial.api
    problem = trial.run()
    if problem is not None:
        trial.fault(f"failed: {type(problem).__name__}: {problem}")
        return
    pages = len(api.pages)
    allowed = promise.most_requests * pages + 2
    if api.requests > allowed:
        trial.fault(
            f"{api.requests} requests for {pages} pages, more than {promise.most_requests} times as many"
        )
    if not promise.duplicated:
        _same_bytes(trial)
    _truth(trial)


def _repaired(trial: _Trial) -> None:
    """What ends short of the truth says so, and is repaired by the next readings."""
    problem = trial.run()
    report = trial.reports[-1] if problem is None else None
    missing = _missing(trial)
    if report is not None and report.shown is not False and missing:
        trial.fault(f"a reading that counts as complete left out {missing} records")
    if problem is not None:
        trial.found.failed = type(problem).__name__
    trial.api.fault.heal()
    for _ in range(MOST_RUNS - 1):
        if problem is None and len(trial.reports) > 1:
            break
        trial.found.runs += 1
        problem = trial.run()
    if problem is not None:
        trial.fault(f"still failed after {trial.found.runs} runs: {problem}")
        return
    _truth(trial)


def _fails(trial: _Trial) -> None:
    """The reading fails clearly and within its bounds; fixed, the next one continues and the table is the truth."""
    promise, api = trial.case.promise, trial.api
    problem = trial.run()
    if problem is None:
        trial.fault("did not fail" if api.fault.injected else "was not hit")
        return
    trial.found.failed = type(problem).__name__
    if not isinstance(problem, promise.errors):
        names = ", ".join(kind.__name__ for kind in promise.errors)
        trial.fault(f"failed with {type(problem).__name__}, not with {names}: {problem}")
    alongside = trial.allowed.alongside
    if promise.most_after is not None and api.fault.injected > promise.most_after + alongside:
        trial.fault(f"{api.fault.injected} requests of no use, more than {promise.most_after}")
    repeats = getattr(api.fault, "repeats", 0)
    if repeats > MOST_REPEATS + alongside:
        trial.fault(f"{repeats} requests after the first repeat")
    landed = Counter(bronze_records(trial.lake))
    if not promise.duplicated and landed.total() > len(landed):
        trial.fault("records were landed twice")
    api.fault.heal()
    api.time.sleep(DAY_S)
    trial.found.runs += 1
    problem = trial.run()
    if problem is not None:
        trial.fault(f"did not continue once it was fixed: {type(problem).__name__}: {problem}")
        return
    _truth(trial)
    again = sum(count - 1 for count in api.pages.values())
    if not promise.duplicated and again > trial.allowed.unlanded_pages + 1:
        trial.fault(f"the next run asked for {again} pages again, more than may be read and not committed")


def _never(trial: _Trial) -> None:
    """What holds whatever happens: no request before its time, no credential elsewhere, no secret in what is kept."""
    # With several requests at a time, the others are under way already when one of them is refused.
    alongside = (trial.allowed.in_flight - 1) * trial.api.fault.injected
    if len(trial.api.early) > alongside:
        trial.fault(f"{len(trial.api.early)} requests came before their time")
    if trial.leak_probe.stolen():
        trial.fault(f"credentials reached another host: {len(trial.leak_probe.stolen())} times")
    access = trial.api.access
    if isinstance(access, OAuth) and access.issued != 2:
        trial.fault(f"{access.issued - 1} renewals of the token, not one")
    for text in _kept(trial):
        if SECRET in text:
            trial.fault(f"a secret is kept or shown: {text.replace(SECRET, '<secret>')[:300]}")


def _kept(trial: _Trial) -> list[str]:
    """Return every text that a run leaves behind: errors with their causes, reports, positions, columns."""
    texts = ["".join(traceback.format_exception(problem)) for problem in trial.problems]
    texts += [repr(problem) for problem in trial.problems]
    texts += [report.model_dump_json() for report in trial.reports]
    root = Path(trial.lake.settings.root) / "_headworks"
    texts += [file.read_text() for file in root.rglob("*.json")]
    table = trial.lake.open("bronze", DATASET)
    if table is not None:
        columns = table.scan().collect().drop("record")
        texts.append(json.dumps(columns.rows(), default=str))
    return texts


def _same_bytes(trial: _Trial) -> None:
    """Bronze holds each record once, in its exact bytes."""
    landed, served = Counter(bronze_records(trial.lake)), Counter(row.record for row in trial.api.rows)
    if landed != served:
        lost, extra = (served - landed).total(), (landed - served).total()
        trial.fault(f"bronze differs from what was served: {lost} records lost, {extra} too many")


def _difference(trial: _Trial) -> str:
    """Say how silver differs from the API's rows; rows that the API deleted may still be there until a full read."""
    rows = trial.api.rows
    gone = {row.key for row in trial.before} - {row.key for row in rows}
    held = sums_of(
        (key, amount or 0) for key, amount in silver_amounts(trial.lake).items() if key not in gone
    )
    truth = sums_of_rows(rows)
    return "" if held == truth else f"silver has {held}, the truth is {truth}"


def _missing(trial: _Trial) -> int:
    """Count the rows that were there all the time, and are not in silver."""
    stayed = {row.key for row in trial.before} & {row.key for row in trial.api.rows}
    return len(stayed - silver_amounts(trial.lake).keys())


def _truth(trial: _Trial) -> None:
    difference = _difference(trial)
    if difference:
        trial.fault(difference)
