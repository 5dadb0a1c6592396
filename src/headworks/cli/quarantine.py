"""``headworks quarantine``: rejected rows listed, shown, judged again, or discarded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from headworks.cli.shared import ByHand, Commands, add_lake, look_at_lake, open_lake, print_table, show_json
from headworks.errors import SettingsError, did_you_mean
from headworks.ops.escaping import one_line

if TYPE_CHECKING:
    from headworks.silver.dataset import Dataset
    from headworks.silver.rejects import Selection
    from headworks.storage.store import Lake

_SHOWN = 20
_WIDTH = 100
_WAITS = "waits"
_CLOSED = "waits behind a closed gate"
"""Rows of a try that silver did not commit: they are judged again by the next run, and cannot be decided about."""


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    quarantine = commands.add_parser("quarantine", help="rejected rows, and what becomes of them")
    actions = quarantine.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser(
        "list", help="count the rejected rows that nothing was decided about, by reason"
    )
    add_lake(listed)
    listed.add_argument("--json", action="store_true", help="as JSON")
    listed.set_defaults(command=_list)

    shown = actions.add_parser("show", help="show rejected rows with their records")
    _selecting(shown)
    shown.add_argument("--json", action="store_true", help="as JSON, records whole")
    shown.add_argument("--limit", type=int, default=_SHOWN, help=f"how many (default: {_SHOWN})")
    shown.set_defaults(command=_show)

    released = actions.add_parser(
        "release", help="judge rows again, and ingest those that pass the rules now"
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
    from headworks.silver.rejects import closed_rejects, open_rejects, rejects_by_reason

    lake, rows, declared = look_at_lake(options), [], _declared()
    for name in [*declared, *(other for other in lake.datasets("quarantine") if other not in declared)]:
        silver = lake.open("silver", name)
        waiting = declared[name].waiting_reasons if name in declared else ()
        for reason, count, oldest in rejects_by_reason(open_rejects(lake, name, silver)):
            rows.append((name, reason, count, oldest, _WAITS if reason in waiting else ""))
        for reason, count, oldest in rejects_by_reason(closed_rejects(lake, name, silver)):
            rows.append((name, reason, count, oldest, _CLOSED))
    if options.json:
        columns = ("dataset", "reason", "rows", "since", "state")
        show_json([dict(zip(columns, row, strict=True)) for row in rows])
        return 0
    if not rows:
        print("The quarantine is empty: nothing was rejected that somebody would have to decide about.")
        return 0
    print_table(
        ("dataset", "reason", "records", "since", ""),
        [
            (name, reason, f"{count:,}", f"{oldest:%Y-%m-%d %H:%M}", state)
            for name, reason, count, oldest, state in rows
        ],
    )
    return 0


def _show(options: argparse.Namespace) -> int:
    from headworks.silver.rejects import as_records, closed_rejects, open_rejects
    from headworks.storage.translating import collected

    lake = look_at_lake(options)
    name = _name_in(lake, options.dataset)
    silver, selection = lake.open("silver", name), _selection(options)
    _check_reasons(lake, name, selection)
    found = [
        row | {"state": state}
        for state, rejects in (
            ("", open_rejects(lake, name, silver)),
            (_CLOSED, closed_rejects(lake, name, silver)),
        )
        for row in collected(as_records(rejects, selection), f"quarantine.{name}").iter_rows(named=True)
    ]
    rows = sorted(found, key=lambda row: row["rejected_at"], reverse=True)[: options.limit]
    if options.json:
        show_json(rows)
        return 0
    for row in rows:
        state = f" ({row['state']})" if row["state"] else ""
        print(one_line(f"{row['key'] or 'without a key'}: {', '.join(row['reasons'])}{state}"))
        print(f"  rejected {row['rejected_at']:%Y-%m-%d %H:%M:%S} by run {row['run_id']}{_often(row)}")
        print(
            one_line(f"  from {row['_stream']}, sequence {row['_sequence']}, row {row['_row']}{_place(row)}")
        )
        print(f"  {one_line(str(row['record']))[:_WIDTH]}")
    more = f" of {len(found):,}; --limit shows more" if len(found) > len(rows) else ""
    print(f"{len(rows)} shown{more}")
    return 0


def _often(row: dict[str, Any]) -> str:
    """Return how often a record came, where that is more than once."""
    from headworks.silver.rejects import FIRST_SEEN, TIMES

    return f"; {row[TIMES]} times since {row[FIRST_SEEN]:%Y-%m-%d %H:%M:%S}" if row[TIMES] > 1 else ""


def _place(row: dict[str, Any]) -> str:
    """Return the file and the line of a record that comes from a file."""
    if not row.get("_file"):
        return ""
    line = f", line {row['_line']:,}" if row.get("_line") is not None else ""
    return f": {row['_file']}{line}"


def _check_reasons(lake: Lake, name: str, selection: Selection) -> None:
    """Refuse reasons that there are none of, with those that there are."""
    from headworks.silver.rejects import check_reasons

    check_reasons(lake, name, _declared().get(name), selection.reasons)


def _release(options: argparse.Namespace) -> int:
    from headworks.silver.refinement import Refinement
    from headworks.silver.replay import check_signed, replay

    check_signed(options.by, options.note, options.dataset)
    lake = open_lake(options)
    dataset = _dataset(options, lake)
    by_hand = ByHand(lake, "quarantine_release")
    work, selection = Refinement(lake, by_hand.run_id), _selection(options)
    _check_reasons(lake, dataset.name, selection)
    outcome = replay(
        work,
        dataset,
        selection,
        by=options.by,
        note=options.note,
        dry_run=options.dry_run,
    )
    report = outcome.report
    would = "would be " if options.dry_run else ""
    rows = f" ({report.judged:,} rows)" if report.judged != report.records else ""
    print(
        f"{report.records:,} records{rows} of {report.dataset} were judged again by the rules as they are now."
    )
    print(
        f"{report.released:,} {would}ingested, {report.superseded + report.unchanged:,} are known in a newer version."
    )
    for reason, count in report.reasons.items():
        print(f"{count:,} are still rejected: {reason}")
    selected = f"{report.records:,} records of quarantine.{dataset.name}"
    by_hand.recorder.decided(selected, "judged again", by=options.by, note=options.note)
    by_hand.recorder.replays.append(report)
    by_hand.ended(outcome.gate, changed=report.released > 0, dry_run=options.dry_run)
    if outcome.gate is not None and not outcome.gate.open:
        print(f"The gate is closed, nothing was ingested: {'; '.join(outcome.gate.reasons)}")
        return 2
    return 0


def _discard(options: argparse.Namespace) -> int:
    from headworks.silver.refinement import Refinement
    from headworks.silver.replay import discard

    lake = open_lake(options)
    by_hand = ByHand(lake, "quarantine_discard")
    work, selection = Refinement(lake, by_hand.run_id), _selection(options)
    name = _name_in(lake, options.dataset)
    _check_reasons(lake, name, selection)
    count = discard(
        work,
        name,
        selection,
        by=options.by,
        note=options.note,
        dry_run=options.dry_run,
    )
    print(
        f"{count:,} records {'would be' if options.dry_run else 'are'} discarded; they stay in the quarantine."
    )
    if not options.dry_run:
        by_hand.decided(
            f"{count:,} records of quarantine.{name}", "discarded", by=options.by, note=options.note
        )
    return 0


def _declared() -> dict[str, Dataset]:
    """Return the project's datasets by name; none where no project is named, since a lake can be looked at without."""
    from headworks.project import project

    here = project()
    return {} if here is None else {dataset.name: dataset for dataset in here.datasets}


def _name_in(lake: Lake, name: str) -> str:
    """Return a dataset's name, if it is declared or the lake has a quarantine of it."""
    declared = _declared()
    known = [*declared, *(other for other in lake.datasets("quarantine") if other not in declared)]
    if name not in known:
        near = did_you_mean(name, known)
        raise SettingsError(f"There is no dataset {name!r}.{near}", do=f"use one of {', '.join(known)}.")
    return name


def _dataset(options: argparse.Namespace, lake: Lake) -> Dataset:
    """Return a dataset's declaration; a mirrored table has none, and so no rules that could be judged by again."""
    name, declared = _name_in(lake, options.dataset), _declared()
    if name not in declared:
        raise SettingsError(
            f"{name} is a mirror of a table and has no rules, so its rows cannot be judged again.",
            where=f"quarantine.{name}",
            do="correct the rows in the source, and the next run takes their new version; or discard them here.",
        )
    return declared[name]


def _selection(options: argparse.Namespace) -> Selection:
    from headworks.silver.rejects import Selection

    return Selection(reasons=tuple(options.reason), row_keys=tuple(options.key), runs=tuple(options.run))
