"""The whole campaign as a program, and the one table that it prints.

``python -m tests.corruption.measure statistics --company ledger --seed 7`` measures one company in memory.
"""

from __future__ import annotations

import os

# Frames are small, and a machine may be shared: threads would wait for each other.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.corruption.companies.advertising import ADVERTISING
from tests.corruption.companies.ledger import LEDGER
from tests.corruption.companies.parcels import PARCELS
from tests.corruption.companies.subscriptions import SUBSCRIBED
from tests.corruption.company import Company
from tests.corruption.days import SHOP
from tests.corruption.drifts import drifts, drifts_table
from tests.corruption.flights import NEW_YORK
from tests.corruption.scores import clean_table, faults_table, missed
from tests.corruption.statistics import Measured, measure
from tests.corruption.weeks import Week, chosen, stage, week_details, weeks, weeks_table

COMPANIES: dict[str, Company] = {
    "shop": SHOP,
    "flights": NEW_YORK,
    "advertising": ADVERTISING,
    "subscriptions": SUBSCRIBED,
    "ledger": LEDGER,
    "parcels": PARCELS,
}


PARTS = ("statistics", "drifts", "weeks", "all")


def _statistics(options: argparse.Namespace, companies: Sequence[Company]) -> list[str]:
    measured: list[Measured] = []
    for company in companies:
        began = time.monotonic()
        measured.append(
            measure(company, options.seed, options.clean, options.faults, options.only, options.warm_up)
        )
        print(f"{company.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    table = [*clean_table(measured), "", *faults_table(measured)]
    return [*table, "", *missed(measured)] if options.verbose else table


def _drifts(options: argparse.Namespace, companies: Sequence[Company]) -> list[str]:
    found = [one for company in companies for one in drifts(company, options.seed, options.warm_up)]
    why = [f"  {one.company}: {one.name}: {one.why}" for one in found if one.why]
    return [*drifts_table(found), *(why if options.verbose else [])]


def _weeks(options: argparse.Namespace, companies: Sequence[Company]) -> list[str]:
    played: list[Week] = []
    for company in companies:
        with tempfile.TemporaryDirectory(prefix="weeks-", dir=options.folder) as folder:
            before = stage(company, Path(folder), options.seed, options.warm_up)
            faults = chosen(before, options.seed, options.plays, options.only)
            for week in weeks(before, faults, options.seed):
                played.append(week)
                print(f"{week.company}: {week.fault.name}, {week.way}", file=sys.stderr, flush=True)
    return [*weeks_table(played), *week_details(played)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a part of the campaign, or all of it, print its table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.corruption.measure", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--company", action="append", choices=list(COMPANIES), help="one of them alone")
    parser.add_argument("--seed", type=int, default=1, help="decides lives, and which rows are touched")
    parser.add_argument("--clean", type=int, default=500, help="clean deliveries that are judged")
    parser.add_argument("--warm-up", type=int, help="clean deliveries before that; each company has its own")
    parser.add_argument("--faults", type=int, help="a seeded choice of so many faults; all where left out")
    parser.add_argument(
        "--plays", type=int, default=4, help="faults of each company that weeks are played of"
    )
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--folder", help="where the lakes are, such as one in memory")
    parser.add_argument("--verbose", action="store_true", help="name what was missed and cried in vain")
    options = parser.parse_args(arguments)
    companies = [COMPANIES[name] for name in options.company or COMPANIES]
    parts = {"statistics": _statistics, "drifts": _drifts, "weeks": _weeks}
    for name, part in parts.items():
        if options.part in {name, "all"}:
            print("\n".join([*part(options, companies), ""]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
