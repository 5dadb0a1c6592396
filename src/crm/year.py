"""A year of the churn model's weeks in memory: ``python -m crm.year``. In week 30 the world changes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime

from crm.churn import FEATURES, MODEL
from crm.timelapse import RUNS_AT
from crm.truth import feature_rows, received
from crm.world import WEEK, World
from headworks.models.timelapse import Week, weeks_again

START = datetime(2026, 1, 5, tzinfo=UTC)
_INSTALLED, _FIRST = 8, 24


def year(
    seed: int, last: int, weeks: int, changes_in: int | None, customers: int = 400
) -> Iterator[tuple[int, Week]]:
    """Yield the last of a world's weeks by their numbers: what a run would have come to in each."""
    world = World(START, weeks + 1, customers=customers, seed=seed, changes_in=changes_in)
    first, until = START + _INSTALLED * WEEK + RUNS_AT, START + weeks * WEEK + RUNS_AT
    rows = feature_rows(FEATURES, received(world, first, until, WEEK))
    for week in weeks_again(MODEL, rows, last=last):
        yield (week.cut - START) // WEEK, week


def main() -> int:
    """Show each week: how good champion and challenger are, what was promoted, and what was noticed; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--weeks", type=int, default=60, help="how many weeks the world lives (default: 60)")
    parser.add_argument(
        "--changes-in", type=int, default=30, help="the week in which it changes (default: 30)"
    )
    parser.add_argument("--customers", type=int, default=400)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    lived = year(
        options.seed, options.weeks - _FIRST + 1, options.weeks, options.changes_in, options.customers
    )
    promoted = weeks = 0
    for number, week in lived:
        promoted, weeks = promoted + week.promoted, weeks + 1
        figures = ", ".join(
            f"{name} {value:.3f}"
            for name, value in (("champion", week.champion), ("challenger", week.challenger))
            if value is not None
        )
        said = "promoted" if week.promoted else f"refused: {week.reasons[0]}"
        print(f"week {number}: {figures}{'; ' if figures else ''}{said}", flush=True)
        for warning in week.warnings:
            print(f"    noticed: {warning}", flush=True)
    print(f"{weeks} weeks, {promoted} promoted; the world changed in week {options.changes_in}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
