"""The whole campaign as a program, and the one table that it prints.

``python -m tests.corruption.measure statistics --company ledger --seed 7`` measures one company in memory.
"""

from __future__ import annotations

import os

# Frames are small, and a machine may be shared: threads would wait for each other.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Sequence

from tests.corruption.companies.advertising import ADVERTISING
from tests.corruption.companies.ledger import LEDGER
from tests.corruption.companies.subscriptions import SUBSCRIBED
from tests.corruption.company import Company
from tests.corruption.days import SHOP
from tests.corruption.flights import NEW_YORK
from tests.corruption.scores import clean_table, faults_table, missed
from tests.corruption.statistics import measure

COMPANIES: dict[str, Company] = {
    "shop": SHOP,
    "flights": NEW_YORK,
    "advertising": ADVERTISING,
    "subscriptions": SUBSCRIBED,
    "ledger": LEDGER,
}


def _statistics(options: argparse.Namespace, companies: Sequence[Company]) -> int:
    measured = []
    for company in companies:
        began = time.monotonic()
        measured.append(measure(company, options.seed, options.clean, options.faults, options.only))
        print(f"{company.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print("\n".join([*clean_table(measured), "", *faults_table(measured)]))
    if options.verbose:
        print("\n".join(["", *missed(measured)]))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a part of the campaign, print its table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.corruption.measure", description=__doc__)
    parser.add_argument("part", choices=["statistics"])
    parser.add_argument("--company", action="append", choices=list(COMPANIES), help="one of them alone")
    parser.add_argument("--seed", type=int, default=1, help="decides lives, and which rows are touched")
    parser.add_argument("--clean", type=int, default=500, help="clean deliveries that are judged")
    parser.add_argument("--faults", type=int, help="a seeded choice of so many faults; all where left out")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    parser.add_argument("--verbose", action="store_true", help="name what was missed and cried in vain")
    options = parser.parse_args(arguments)
    return _statistics(options, [COMPANIES[name] for name in options.company or COMPANIES])


if __name__ == "__main__":
    sys.exit(main())
