"""The hostile campaign as a program: play every case with many seeds, and print a table of what came of it.

``python -m tests.hostile.campaign --seeds 20`` takes most of an hour, with ``--spread`` some minutes; it ends with 1
where one promise is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

from headworks.testing.trial import Found
from tests.hostile.cases import Played, played


@dataclass
class Tally:
    """What the seeds of one case came to."""

    case: Played
    found: list[Found] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """How many times the promise was kept."""
        return sum(not each.faults for each in self.found)

    def line(self) -> str:
        """Return the case's line of the table."""
        requests, pages = sum(each.requests for each in self.found), sum(each.pages for each in self.found)
        failed = sorted({each.failed for each in self.found if each.failed})
        ratio = f"{requests / pages:.2f}" if pages else "-"
        injected = sum(each.injected > 0 for each in self.found)
        promise = {"exact": "exact", "repaired": "exact, or said and repaired", "fails": "✗ clear failure"}
        return (
            f"| {self.case.name} | {len(self.case.styles)} | {promise[self.case.ends]} | {self.kept}/{len(self.found)} "
            f"| {injected} | {ratio} | {', '.join(failed) or '-'} |"
        )


COSTLY_SEEDS = 5
"""Seeds of what takes seconds each."""
CHUNK = 10
HEAD = "| fault | styles | must be | kept | hit | requests a page | fails as |\n|---|---|---|---|---|---|---|"


def play_all(
    rows: Sequence[Played],
    seeds: Sequence[int],
    styles: Sequence[str] = (),
    jobs: int = 1,
    *,
    spread: bool = False,
) -> Iterator[Tally]:
    """Play each case with each of its styles and each seed, in so many processes, and yield its tally.

    ``spread``: each seed with one style, all of them in turn, which takes a tenth of the time.
    """
    plays = [
        (row.name, style, seed)
        for row in rows
        for place, style in enumerate(row.styles)
        if not styles or style in styles
        for seed in (seeds[:COSTLY_SEEDS] if row.costly else seeds)
        if not spread or seed % len(row.styles) == place
    ]
    if jobs == 1:
        yield from _tallied(rows, map(_play, plays))
        return
    # A fresh process each: the engine's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from _tallied(rows, pool.map(_play, plays, chunksize=CHUNK))


def _play(what: tuple[str, str, int]) -> Found:
    name, style, seed = what
    row = next(row for row in played() if row.name == name)
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        return row.play(style, seed, Path(folder) / "lake")


def _tallied(rows: Sequence[Played], found: Iterable[Found]) -> Iterator[Tally]:
    """Gather what comes in the order of the cases."""
    by_name = {row.name: row for row in rows}
    for name, group in groupby(found, key=lambda each: each.case):
        yield Tally(by_name[name], list(group))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign, print its table, and return the exit code."""
    options = _parser().parse_args(arguments)
    began, tallies = time.monotonic(), []
    rows = [row for row in played() if options.case in row.name]
    seeds = range(options.first, options.first + options.seeds)
    for tally in play_all(rows, seeds, options.style or (), options.jobs, spread=options.spread):
        tallies.append(tally)
        print(f"{tally.kept:4} of {len(tally.found):4}  {tally.case.name}", file=sys.stderr, flush=True)
        for found in tally.found:
            for fault in found.faults:
                print(f"      {found.style}, seed {found.seed}: {fault}", file=sys.stderr, flush=True)
    kept, all_ = sum(tally.kept for tally in tallies), sum(len(tally.found) for tally in tallies)
    print("\n".join((HEAD, *(tally.line() for tally in tallies))))
    print(
        f"\n{kept} of {all_} readings kept their promise; {options.seeds} seeds, {time.monotonic() - began:.0f} s"
    )
    return 0 if kept == all_ > 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile.campaign", description="Read hostile APIs."
    )
    parser.add_argument("--seeds", type=int, default=20, help="seeds of each case and style")
    parser.add_argument("--spread", action="store_true", help="each seed with one style, in turn")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--case", default="", help="only cases whose name holds this")
    parser.add_argument("--style", action="append", help="only this style; may be given again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
