"""``headworks silver``: a dataset's silver made again from bronze."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from headworks.cli.shared import ByHand, Commands, add_lake, open_lake
from headworks.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from headworks.silver.dataset import Dataset

_CLOSED = 2


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    silver = commands.add_parser("silver", help="silver tables, made again from bronze")
    actions = silver.add_subparsers(required=True, metavar="ACTION")
    rebuilt = actions.add_parser(
        "rebuild",
        help="judge all rows of bronze by the declaration as it is now: columns that are new get their values",
    )
    rebuilt.add_argument("dataset", help="such as shop.orders")
    rebuilt.add_argument(
        "--dry-run", action="store_true", help="say what it would come to, and change nothing"
    )
    add_lake(rebuilt)
    rebuilt.set_defaults(command=_rebuild)


def _rebuild(options: argparse.Namespace) -> int:
    from headworks.silver.rebuild import rebuild
    from headworks.silver.refinement import Refinement

    dataset = declared_dataset(options.dataset)
    lake = open_lake(options)
    by_hand = ByHand(lake, "silver_rebuild")
    outcome = rebuild(Refinement(lake, by_hand.run_id), dataset, dry_run=options.dry_run)
    report = outcome.report
    by_hand.recorder.refinements.append(report)
    would = "would be " if options.dry_run else ""
    print(
        f"{report.landed:,} rows of bronze were judged by the declaration of {dataset.name} as it is now: "
        f"{report.inserted:,} {would}in silver, {report.superseded:,} are older versions, {report.rejected:,} "
        f"{would}rejected."
    )
    for reason, count in report.reasons.items():
        print(f"{count:,} {would}rejected: {reason}")
    by_hand.ended(outcome.gate, changed=report.committed, dry_run=options.dry_run)
    if outcome.gate is not None and not outcome.gate.open:
        print(f"The gate is closed, silver is as it was: {'; '.join(outcome.gate.reasons)}")
        return _CLOSED
    if report.committed:
        print(
            f"Silver had {outcome.before:,} keys and has {outcome.after:,}; {outcome.lost:,} of them are gone."
        )
        print("Gold is made again by the next run of its flow.")
    return 0


def declared_dataset(name: str) -> Dataset:
    """Return a dataset's declaration; a mirrored table has none, and is made by its columns."""
    from headworks.project import project

    here = project()
    known = {} if here is None else {dataset.name: dataset for dataset in here.datasets}
    if name not in known:
        raise SettingsError(
            f"There is no declared dataset {name!r}.{did_you_mean(name, known)}",
            do=f"use one of {', '.join(known)}. A mirrored table is what the source has: read it in full.",
        )
    return known[name]
