"""Kills in the middle of a reading of 1,000 pages: nothing lost, nothing duplicated, little read again.

``python -m tests.hostile.killing --seeds 100`` prints what came of it. The moment of a kill is a page's number and some
milliseconds more, both from the seed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Timer

from headworks.bronze.landing import Landing, land
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from headworks.testing.access import Keyed
from headworks.testing.hostile import Fault, HostileApi, hostile
from headworks.testing.outcome import DATASET, bronze_records
from headworks.testing.styles import STYLES, Shown, Wanted
from headworks.testing.truth import make_rows
from headworks.testing.wire import Asked, Reply
from tests.hostile.reader import READY, UNLANDED_PAGES, reading

ROOT = Path(__file__).parents[2]
PAGES, PAGE_ROWS = 1000, 5
KILL_STYLES = ("cursor", "page")
LONGEST_S = 0.03
"""A kill comes up to so long after its page was asked for, so that it hits decoding, writing and committing too."""
_READ_S = 300


@dataclass
class Steady(HostileApi):
    """An API whose rows never change, so that each page is made once for all seeds."""

    known: dict[Wanted, Shown] = field(default_factory=dict)

    def show(self, wanted: Wanted) -> Shown:
        """Return the page, from memory where it was shown before."""
        if wanted not in self.known:
            self.known[wanted] = super().show(wanted)
        return self.known[wanted]


class Kills(Fault):
    """Kills a process some milliseconds after the page with a number was asked for."""

    def __init__(self, process: subprocess.Popen[str], dice: Random) -> None:
        super().__init__()
        self._process, self.page, self.delay_s = process, dice.randint(1, PAGES), dice.uniform(0, LONGEST_S)

    def answer(self, api: HostileApi, asked: Asked) -> Reply | None:
        """Kill, then answer as ever."""
        if api.requests == self.page:
            self.injected += 1
            timer = Timer(self.delay_s, os.kill, (self._process.pid, signal.SIGKILL))
            timer.daemon = True
            timer.start()
        return None


@dataclass(frozen=True)
class Killed:
    """What a kill came to: where it was, what had been committed, what was read again, lost or duplicated."""

    style: str
    seed: int
    page: int
    committed: int
    again: int
    lost: int
    duplicated: int
    dead: bool

    @property
    def exact(self) -> bool:
        """Return whether nothing is lost or duplicated, and no more was read again than is allowed."""
        return not self.lost and not self.duplicated and self.again <= MOST_AGAIN


MOST_AGAIN = UNLANDED_PAGES + 1
"""What is being committed, gathered meanwhile, ready or under way; and a page of overlap where pages may shift."""


@contextmanager
def apis() -> Iterator[dict[str, Steady]]:
    """Serve one API for each style as long as the block runs."""
    rows = make_rows(PAGES * PAGE_ROWS, 1)
    first, second = (Steady(STYLES[style], rows, access=Keyed()) for style in KILL_STYLES)
    with hostile(first), hostile(second):
        yield {first.style.name: first, second.style.name: second}


def kill(api: Steady, seed: int, folder: Path) -> Killed:
    """Kill one reading by its seed, read on, and compare."""
    api.requests, api.pages = 0, Counter()
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    process = _reader(api, folder)
    try:
        aim = Kills(process, Random(f"kill-{api.style.name}-{seed}"))
        api.fault = aim
        process.communicate("go\n", timeout=_READ_S)
    finally:
        process.kill()
    api.fault = Fault()
    committed = len(bronze_records(lake))
    land(Landing(lake, DATASET, DATASET, "run"), reading(api))
    landed, truth = Counter(bronze_records(lake)), Counter(row.record for row in api.rows)
    return Killed(
        style=api.style.name,
        seed=seed,
        page=aim.page,
        committed=committed,
        again=sum(count - 1 for count in api.pages.values()),
        lost=(truth - landed).total(),
        duplicated=(landed - truth).total(),
        dead=process.returncode == -signal.SIGKILL,
    )


def _reader(api: Steady, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.hostile.reader", api.url, api.style.name, str(folder / "lake")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == READY, "the reader did not begin"
    return process


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill as often as asked, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.killing", description="Kill readings.")
    parser.add_argument("--seeds", type=int, default=100, help="kills, shared among the styles")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    options = parser.parse_args(arguments)
    began, kills = time.monotonic(), []
    with apis() as served:
        for seed in range(options.first, options.first + options.seeds):
            with tempfile.TemporaryDirectory(prefix="kill-") as folder:
                kills.append(kill(served[KILL_STYLES[seed % len(KILL_STYLES)]], seed, Path(folder)))
            if not kills[-1].exact:
                print(f"not exact: {kills[-1]}", file=sys.stderr, flush=True)
    print("| style | kills | of these dead in mid-read | lost | doubled | pages read again, most and mean |")
    print("|---|---|---|---|---|---|")
    for style in KILL_STYLES:
        mine = [each for each in kills if each.style == style]
        again = [each.again for each in mine] or [0]
        print(
            f"| {style} | {len(mine)} | {sum(each.dead for each in mine)} | {sum(each.lost for each in mine)} "
            f"| {sum(each.duplicated for each in mine)} | {max(again)}, {sum(again) / len(again):.1f} |"
        )
    print(f"\n{sum(each.exact for each in kills)} of {len(kills)} exact, {time.monotonic() - began:.0f} s")
    return 0 if all(each.exact for each in kills) and kills else 1


if __name__ == "__main__":
    sys.exit(main())
