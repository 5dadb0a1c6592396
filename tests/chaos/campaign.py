"""The chaos campaign as a program: kill, run again, compare, and print what came of it.

``python -m tests.chaos.campaign --kills 220 --flow-kills 10 --seed 1`` takes some minutes and ends with 1 where a
single row is missing or duplicated anywhere.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.breaking import BREAKS
from tests.chaos.flow import play_flow
from tests.chaos.killer import PassFailed, Typical
from tests.chaos.living import postgres_server
from tests.chaos.outcome import Outcome, output
from tests.chaos.rounds import play, stage

KILLS_A_ROUND = 55
"""Each round begins with an empty lake, so that making the tables is under fire too."""


@dataclass(frozen=True)
class Campaign:
    """What to do: how many kills, from which seed, of the real engine or of a broken one."""

    kills: int
    flow_kills: int
    seed: int
    break_: str | None = None


def run(campaign: Campaign, folder: Path, outcome: Outcome) -> None:
    """Run a campaign below ``folder`` and note what it did and found; raises `PassFailed` where it cannot continue."""
    typical = Typical()
    rounds = max(1, round(campaign.kills / KILLS_A_ROUND))
    with postgres_server() as databases:
        for number in range(1, rounds + 1):
            share = campaign.kills // rounds + (number <= campaign.kills % rounds)
            home = folder / f"round-{number}"
            home.mkdir(parents=True)
            dsn = databases.create(f"round_{number}")
            with stage(dsn, home, f"{campaign.seed}-{number}", typical, campaign.break_) as played:
                play(played, share, outcome)
                _say(f"round {number} of {rounds}", outcome)
                if number == rounds and campaign.flow_kills:
                    played.close()
                    play_flow(played, campaign.flow_kills, outcome, home / "flow")
                    _say("the flow", outcome)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign, print its tables, and return the exit code."""
    options = _parser().parse_args(arguments)
    campaign = Campaign(options.kills, options.flow_kills, options.seed, options.break_)
    began, outcome, came_through = time.monotonic(), Outcome(), True
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        try:
            run(campaign, Path(folder), outcome)
        except PassFailed as problem:
            print(f"A pass did not come to its end, with seed {campaign.seed}: {problem}", file=sys.stderr)
            came_through = False
    print(f"\n{output(outcome)}\n\nseed {campaign.seed}, {time.monotonic() - began:.0f} s")
    return 0 if came_through and succeeded(campaign, outcome) else 1


def succeeded(campaign: Campaign, outcome: Outcome) -> bool:
    """Return whether all kills were dealt, each kind of step was hit, and no row is missing or duplicated."""
    return (
        len(outcome.kills) >= campaign.kills
        and len(outcome.flow_kills) >= campaign.flow_kills
        and not outcome.unhit()
        and outcome.missing == outcome.duplicated == 0
    )


def _say(part: str, outcome: Outcome) -> None:
    kills = len(outcome.kills) + len(outcome.flow_kills)
    print(
        f"{part}: {kills} kills so far, {outcome.missing} rows missing, {outcome.duplicated} doubled",
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description="Kill and compare.")
    parser.add_argument("--kills", type=int, default=220, help="kills of the engine in a bare process")
    parser.add_argument("--flow-kills", type=int, default=10, help="kills of the sales flow's process")
    parser.add_argument("--seed", type=int, default=1, help="decides where each kill is aimed")
    parser.add_argument(
        "--break", dest="break_", choices=BREAKS, help="kill an engine that is wrong on purpose"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
