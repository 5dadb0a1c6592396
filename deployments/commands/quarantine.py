"""``headworks quarantine``: rejected rows listed, shown, judged again, or discarded.

What belongs here: arguments and messages. What does not: the work (``headworks.refine.replay``).
"""

from __future__ import annotations

import argparse
import uuid
from typing import TYPE_CHECKING

from deployments.commands.shared import Commands, add_lake, open_lake, tell

if TYPE_CHECKING:
    from headworks.refine.dataset import Dataset
    from headworks.refine.replay import Selection

_SHOWN = 20
_WIDTH = 100


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    quarantine = commands.add_parser("quarantine", help="rejected rows, and what becomes of them")
    actions = quarantine.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser(
        "list", help="count the rejected rows that nothing was decided about, by reason"
    )
    add_lake(listed)
    listed.set_defaults(command=_list)

    shown = actions.add_parser("show", help="show rejected rows with their records")
    _selecting(shown)
    shown.add_argument("--limit", type=int, default=_SHOWN, help=f"how many (default: {_SHOWN})")
    shown.set_defaults(command=_show)

    released = actions.add_parser(
        "release", help="judge rows again, and take in those that pass the rules now"
    )
    _selecting(released)
    _deciding(released)
    released.set_defaults(command=_release)

    discarded = actions.add_parser("discard", help="note that rows shall not be judged again; they are kept")
    _selecting(discarded)
    _deciding(discarded)
    discarded.set_defaults(command=_discard)


def _selecting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help="such as shop.orders")
    parser.add_argument(
        "--reason", action="append", default=[], help="rows rejected for this; may be repeated"
    )
    parser.add_argument("--key", action="append", default=[], help="rows with this key; may be repeated")
    parser.add_argument(
        "--run", action="append", default=[], help="rows rejected by this run; may be repeated"
    )
    add_lake(parser)


def _deciding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", required=True, help="who decides")
    parser.add_argument("--note", required=True, help="why")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would become of them, and change nothing"
    )


def _list(options: argparse.Namespace) -> int:
    from flows.datasets import DATASETS
    from headworks.refine.replay import open_rejects, rejects_by_reason

    lake, rows = open_lake(options), []
    for name, dataset in DATASETS.items():
        silver = lake.open("silver", name)
        for reason, count, oldest in rejects_by_reason(open_rejects(lake, name, silver)):
            waits = "waits" if reason in dataset.waiting_reasons else ""
            rows.append((name, reason, f"{count:,}", f"{oldest:%Y-%m-%d %H:%M}", waits))
    if not rows:
        print("The quarantine is empty: nothing was rejected that somebody would have to decide about.")
        return 0
    tell(("dataset", "reason", "rows", "since", ""), rows)
    return 0


def _show(options: argparse.Namespace) -> int:
    from headworks.refine.replay import open_rejects

    lake, dataset = open_lake(options), _dataset(options)
    rejects = _selection(options).of(open_rejects(lake, dataset.name, lake.open("silver", dataset.name)))
    rows = rejects.sort("rejected_at", descending=True).head(options.limit).collect()
    for row in rows.iter_rows(named=True):
        print(f"{row['key'] or 'without a key'}: {', '.join(row['reasons'])}")
        print(f"  rejected {row['rejected_at']:%Y-%m-%d %H:%M:%S} by run {row['run_id']}")
        print(f"  from {row['_stream']}, sequence {row['_sequence']}, row {row['_row']}")
        print(f"  {str(row['record'])[:_WIDTH]}")
    print(f"{rows.height} shown")
    return 0


def _release(options: argparse.Namespace) -> int:
    from headworks.refine.refinement import Refinement
    from headworks.refine.replay import replay

    work = Refinement(open_lake(options), _run_id())
    outcome = replay(
        work,
        _dataset(options),
        _selection(options),
        by=options.by,
        note=options.note,
        dry_run=options.dry_run,
    )
    report = outcome.report
    would = "would be " if options.dry_run else ""
    print(f"{report.judged:,} rows of {report.dataset} were judged again by the rules as they are now.")
    print(
        f"{report.released:,} {would}taken in, {report.superseded + report.unchanged:,} are known in a newer version."
    )
    for reason, count in report.reasons.items():
        print(f"{count:,} are still rejected: {reason}")
    if outcome.gate is not None and not outcome.gate.open:
        print(f"The gate is closed, nothing was taken in: {'; '.join(outcome.gate.reasons)}")
        return 2
    return 0


def _discard(options: argparse.Namespace) -> int:
    from headworks.refine.refinement import Refinement
    from headworks.refine.replay import discard

    work = Refinement(open_lake(options), _run_id())
    count = discard(
        work,
        _dataset(options).name,
        _selection(options),
        by=options.by,
        note=options.note,
        dry_run=options.dry_run,
    )
    print(
        f"{count:,} rows {'would be' if options.dry_run else 'are'} discarded; they stay in the quarantine."
    )
    return 0


def _dataset(options: argparse.Namespace) -> Dataset:
    from flows.datasets import dataset_named

    return dataset_named(options.dataset)


def _selection(options: argparse.Namespace) -> Selection:
    from headworks.refine.replay import Selection

    return Selection(reasons=tuple(options.reason), row_keys=tuple(options.key), runs=tuple(options.run))


def _run_id() -> str:
    return f"by-hand-{uuid.uuid4()}"
