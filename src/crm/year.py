"""A year of the churn model's weeks in memory: ``python -m crm.year``. In week 30 the world changes."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from crm.churn import FEATURES, MODEL
from crm.timelapse import RUNS_AT
from crm.truth import feature_rows, received
from crm.world import WEEK, World
from headworks.models.timelapse import weeks_again

START = datetime(2026, 1, 5, tzinfo=UTC)
_INSTALLED, _FIRST = 8, 24


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
    world = World(
        START,
        options.weeks + 1,
        customers=options.customers,
        seed=options.seed,
        changes_in=options.changes_in,
    )
    until = START + options.weeks * WEEK + RUNS_AT
    rows = feature_rows(FEATURES, received(world, START + _INSTALLED * WEEK + RUNS_AT, until, WEEK))
    promoted = weeks = 0
    for week in weeks_again(MODEL, rows, last=options.weeks - _FIRST + 1):
        number = (week.cut - START) // WEEK
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
