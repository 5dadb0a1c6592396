"""Readings of what is new, from a table that changes between them: ties, late rows, stamps in the future, updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from headworks.bronze.landing import Landing, land
from headworks.errors import HeadworksError
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from headworks.testing.access import Keyed
from headworks.testing.described import SINCE
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.outcome import DATASET, silver_amounts
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES
from headworks.testing.timing import BEGINNING
from headworks.testing.trial import Found
from headworks.testing.truth import Row, make_row, make_rows, stamp_of, sums_of, sums_of_rows

GROWING_STYLES = ("cursor", "next_url", "link", "next_header")
ROWS = 60
MORE = 12
READINGS = 3
LATE_MINUTES = 20


@dataclass(frozen=True)
class Growth:
    """How a table grows between readings. ``most_share``: of the rows, a later reading lands this share at most."""

    happens: Callable[[HostileApi, Random, int], None]
    begins: Callable[[int], list[Row]] = lambda seed: make_rows(ROWS, seed)
    incremental: Mapping[str, Any] | None = None
    most_share: float = 0.5


def _stamp(api: HostileApi, minutes: float) -> str:
    moment = api.time.clock() + timedelta(minutes=minutes)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _next_key(api: HostileApi) -> int:
    return max(row.key for row in api.rows) + 1


def _tied(seed: int) -> list[Row]:
    dice = Random(f"tied-{seed}")
    return [make_row(1000 + number, stamp_of(0), dice) for number in range(ROWS)]


def _more_ties(api: HostileApi, dice: Random, reading: int) -> None:
    api.rows += [make_row(_next_key(api) + n, stamp_of(0), dice) for n in range(MORE)]


def _appended(api: HostileApi, dice: Random, reading: int) -> None:
    key = _next_key(api)
    api.rows += [make_row(key + n, _stamp(api, -1), dice) for n in range(MORE)]


def _late(api: HostileApi, dice: Random, reading: int) -> None:
    """Add new rows, and some whose stamps are older than what was read already."""
    key = _next_key(api)
    api.rows += [make_row(key + n, _stamp(api, -dice.uniform(0, LATE_MINUTES)), dice) for n in range(MORE)]


def _future(api: HostileApi, dice: Random, reading: int) -> None:
    """Add a row of the year 2099 first, and ordinary ones afterwards."""
    _appended(api, dice, reading)
    if reading == 1:
        api.rows.append(make_row(_next_key(api), "2099-01-01T00:00:00Z", dice))


def _updated(api: HostileApi, dice: Random, reading: int) -> None:
    for at in dice.sample(range(len(api.rows)), MORE):
        api.rows[at] = make_row(api.rows[at].key, _stamp(api, -1), dice)


GROWTHS: Mapping[str, Growth] = {
    "new rows": Growth(_appended),
    "ties with the last stamp": Growth(_more_ties, begins=_tied, most_share=1.0),
    "late rows": Growth(_late, incremental={"lookback_s": 3600.0}, most_share=1.0),
    "future stamps": Growth(_future),
    "updated rows": Growth(_updated),
}


def play_growth(name: str, style: str, seed: int, folder: Path) -> Found:
    """Read a table again and again while it grows in between, and return what was found."""
    growth, dice = GROWTHS[name], Random(f"{name}/{style}/{seed}")
    found = Found(f"increments: {name}", style, seed)
    api = HostileApi(STYLES[style], growth.begins(seed), access=Keyed())
    lake = Lake(LakeSettings(root=str(folder)))
    incremental = SINCE.model_copy(update=dict(growth.incremental or {}))
    landing = Landing(lake, DATASET, DATASET, "run", clock=api.time.clock)
    with hostile(api):
        for reading in range(READINGS):
            if reading:
                api.time.sleep(600)
                growth.happens(api, dice, reading)
            try:
                report = land(landing, source_of(api, incremental=incremental))
            except HeadworksError as problem:
                found.faults.append(f"reading {reading + 1} failed: {type(problem).__name__}: {problem}")
                return found
            held = sums_of((key, amount or 0) for key, amount in silver_amounts(lake).items())
            if held != sums_of_rows(api.rows):
                found.faults.append(f"reading {reading + 1}: silver has {held}, not {sums_of_rows(api.rows)}")
            if reading and report.landed > growth.most_share * len(api.rows):
                found.faults.append(
                    f"reading {reading + 1} landed {report.landed} of {len(api.rows)} rows again"
                )
    assert api.time.clock() > BEGINNING
    found.injected, found.requests, found.pages = 1, api.requests, sum(api.pages.values())
    return found
