"""Readings of odd records: whatever they are, they land as they came, and every one of them is accounted for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError
from headworks.settings import LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from headworks.testing.access import Keyed
from headworks.testing.faults.records import odd_rows
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.outcome import DATASET, THINGS, bronze_records
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES
from headworks.testing.trial import Found

STYLES_OF_RECORDS = ("page", "cursor", "link", "graphql", "keyset")
"""Records at a path, at the top, below each edge, and with the next page's key inside."""
NOT_BY_KEY = ("null keys", "conflicting duplicates", "NaN", "malformed record")
"""A keyset continues from the last record's key, so it needs one that can be read and is unique."""
ROWS = 60


def styles_of(name: str) -> tuple[str, ...]:
    """Return the styles that can have these records."""
    return tuple(style for style in STYLES_OF_RECORDS if style != "keyset" or name not in NOT_BY_KEY)


def play_odd(name: str, style: str, seed: int, folder: Path, *, in_flight: int = 1) -> Found:
    """Read records of which one in five is odd, and return what was found."""
    found = Found(f"records: {name}", style, seed)
    api = HostileApi(STYLES[style], odd_rows(name, ROWS, seed), access=Keyed())
    lake = Lake(LakeSettings(root=str(folder)))
    landing = Landing(lake, DATASET, DATASET, "run", clock=api.time.clock)
    with hostile(api):
        try:
            report = land(landing, source_of(api, in_flight=in_flight))
        except HeadworksError as problem:
            found.faults.append(f"failed: {type(problem).__name__}: {problem}")
            return found
    received = len(api.rows)
    served, landed = Counter(row.record for row in api.rows), Counter(bronze_records(lake))
    if name == "conflicting duplicates" and api.style.counted:
        # Two versions of a key look like a row that moved: the scan is repeated, and some come twice. Silver is exact.
        served, landed = Counter(dict.fromkeys(served, 1)), Counter(dict.fromkeys(landed, 1))
    if landed != served:
        lost, extra = served - landed, landed - served
        found.faults.append(
            f"{lost.total()} lost, {extra.total()} too many, such as {next(iter(lost | extra))!r}"
        )
    if report.read != report.landed + report.refused + report.repeated or report.read < received:
        found.faults.append(f"received {report.read}, landed {report.landed}, again {report.repeated}")
    account = refine(Refinement(lake, "run"), THINGS).report
    judged = account.accepted + account.rejected + account.superseded + account.unchanged
    if judged != report.landed + report.refused:
        found.faults.append(f"{report.landed} landed, {judged} accounted for")
    found.injected, found.requests, found.pages = 1, api.requests, sum(api.pages.values())
    return found
