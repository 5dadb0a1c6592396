"""Rounds of kills: one shop and one lake, workers killed again and again, and everything compared in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

from pydantic import SecretStr

from headworks.bronze.ingest import Mode
from headworks.prefect.local.serving import serving
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from shop.api import make_app
from shop.limits import Limits
from tests.chaos.bronze_check import compare_bronze
from tests.chaos.comparing import Compared, Witness
from tests.chaos.killer import Attempt, Typical, Worker
from tests.chaos.lake_check import compare_lake
from tests.chaos.living import LivingShop, small_world
from tests.chaos.outcome import Kill, Outcome
from tests.chaos.plan import Aim, aims

KILLS_BETWEEN_CHECKS = 5
TOKEN = "made up for the campaign"
# Every third stretch reads everything again each time, after rows were deleted at the source.
FULL_EVERY = 3
_TRIES = 4
_LONGEST_MAKE_UP = 3


@dataclass
class Stage:
    """Where a round is played: its shop, its lake, the shop's API, and what the witness saw."""

    witness: Witness
    api: str
    folder: Path
    seed: str
    typical: Typical
    break_: str | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _warm: Worker | None = None

    @property
    def shop(self) -> LivingShop:
        """The shop that lives on."""
        return self.witness.shop

    def run(self, mode: Mode, aim: Aim | None = None) -> Attempt:
        """Run one pass, to its end or to its kill, while the next worker warms up."""
        worker, self._warm = self._warm or self._worker(), self._worker()
        return self._noted(worker.run(mode, self.typical, aim))

    def run_held(self, mode: Mode, line: str) -> Attempt:
        """Run one pass that stops at a marker line, and kill it there."""
        return self._noted(self._worker(hold=line).run(mode, self.typical, kill_at=line))

    def compare(self) -> list[Compared]:
        """Compare every table; the last pass must have come to its end."""
        return [*compare_bronze(self.witness), *compare_lake(self.witness)]

    def close(self) -> None:
        """End the worker that waits."""
        if self._warm is not None:
            self._warm.close()
        self._warm = None

    def _noted(self, attempt: Attempt) -> Attempt:
        self.witness.hear(attempt.acknowledged)
        if not attempt.killed:
            self.witness.pass_done()
        return attempt

    def _worker(self, hold: str | None = None) -> Worker:
        number = next(self._numbers)
        options = {
            "--lake": self.witness.lake.settings.root,
            "--dsn": self.shop.dsn,
            "--api": self.api,
            "--token": TOKEN,
            "--run-id": f"{self.seed}-{number}",
            "--seed": f"{self.seed}/{number}",
            "--hold": hold,
            "--break": self.break_,
        }
        arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
        return Worker("tests.chaos.worker", arguments, self.folder / f"worker-{number}.log")


@contextmanager
def stage(
    dsn: str, folder: Path, seed: str, typical: Typical | None = None, break_: str | None = None
) -> Iterator[Stage]:
    """Found a shop in an empty database, serve its API over HTTP, and set up an empty lake."""
    shop = LivingShop(dsn, small_world(seed))
    shop.found()
    lake = Lake(LakeSettings(root=str(folder / "lake")))
    limits = Limits(burst=100_000, per_second=100_000)
    with serving(make_app(SecretStr(dsn), SecretStr(TOKEN), limits)) as api:
        played = Stage(Witness(lake, shop), api, folder, seed, typical or Typical(), break_)
        try:
            yield played
        finally:
            played.close()


def play(played: Stage, kills: int, outcome: Outcome) -> None:
    """Deal so many kills in one round, comparing everything after every few of them and at the end."""
    planned, dealt = aims(played.seed), 0
    for stretch in count(1):
        mode: Mode = "full" if stretch % FULL_EVERY == 0 else "incremental"
        if mode == "full":
            played.shop.lose_rows(f"{played.seed}/{stretch}")
        wanted = min(KILLS_BETWEEN_CHECKS, kills - dealt)
        dealt += _deal(played, mode, list(islice(planned, wanted)), outcome)
        if dealt >= kills:
            _make_up(played, mode, planned, outcome)
        finish(played, mode, outcome)
        if dealt >= kills:
            return


def finish(played: Stage, mode: Mode, outcome: Outcome) -> None:
    """Run one pass that nobody kills, and compare everything."""
    outcome.begin_pass()
    played.run(mode)
    outcome.checks.append(played.compare())


def _make_up(played: Stage, mode: Mode, planned: Iterator[Aim], outcome: Outcome) -> None:
    """Continue with the plan for the kinds of steps that no kill has hit so far: chance may have missed one."""
    for _ in range(_LONGEST_MAKE_UP):
        owed = outcome.unhit()
        if not owed:
            return
        # The plan has each kind once in every six.
        again = [aim for aim in islice(planned, 6) if aim.place.kind in owed]
        _deal(played, mode, again, outcome)


def _deal(played: Stage, mode: Mode, planned: list[Aim], outcome: Outcome) -> int:
    """Deal the planned kills, one a pass; where a pass has no such step, or is done first, compare and try again."""
    dealt = 0
    for aim in planned:
        for number in range(_TRIES):
            if number or not aim.still:
                played.shop.live_on()
            outcome.begin_pass()
            # What was not met at the first try may not be there at all: then its first time will do.
            attempt = played.run(mode, aim if number == 0 else Aim(aim.place, 1, aim.share))
            if attempt.killed:
                outcome.killed(Kill(aim.place, attempt.where))
                dealt += 1
                break
            outcome.checks.append(played.compare())
    return dealt
