"""``headworks delivery``: what each run delivered, shown, let through, left out or taken back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from headworks.cli.shared import ByHand, Commands, add_lake, look_at_lake, open_lake, print_table, show_json
from headworks.errors import SettingsError, did_you_mean
from headworks.ops.escaping import one_line

if TYPE_CHECKING:
    from headworks.quality.deliveries import Delivery
    from headworks.silver.dataset import Dataset
    from headworks.silver.decisions import Action, Decided
    from headworks.storage.store import Lake

_SHOWN = 30
_ROWS = 5
_WIDTH = 160
_ACTIONS = ("release", "discard", "undo")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    delivery = commands.add_parser("delivery", help="what each run delivered, and what is decided about it")
    actions = delivery.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser("list", help="list deliveries, the newest last")
    listed.add_argument("--dataset", default="", help="of one dataset, such as shop.orders")
    listed.add_argument("--state", default="", help="in one state, such as held")
    listed.add_argument("--limit", type=int, default=_SHOWN, help=f"how many (default: {_SHOWN})")
    listed.add_argument("--json", action="store_true", help="as JSON")
    add_lake(listed)
    listed.set_defaults(command=_list)

    shown = actions.add_parser(
        "show", help="show what is unusual about one, and what a decision would change; nothing is changed"
    )
    shown.add_argument("delivery", help="its id, or how it begins")
    shown.add_argument("--rows", type=int, default=_ROWS, help=f"how many rows (default: {_ROWS})")
    shown.add_argument("--json", action="store_true", help="as JSON")
    add_lake(shown)
    shown.set_defaults(command=_show)

    released = _deciding(actions, "release", "let a held one through, whatever held it")
    released.add_argument(
        "--despite-contract", action="store_true", help="also where the contract does not hold"
    )
    released.add_argument(
        "--as-baseline",
        action="store_true",
        help="later deliveries are compared with it: this is what the table looks like; also for one that silver has",
    )
    _deciding(actions, "discard", "leave a held one out, or take back one that silver has")
    _deciding(actions, "undo", "take the last decision about one back")


def _deciding(actions: Commands[argparse.ArgumentParser], name: str, what: str) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=what)
    parser.add_argument("delivery", help="its id, or how it begins")
    parser.add_argument("--by", required=True, help="who decides")
    parser.add_argument("--note", required=True, help="why")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_lake(parser)
    parser.set_defaults(command=_decide, action=name)
    return parser


def _list(options: argparse.Namespace) -> int:
    from headworks.gold.holding import made_holds
    from headworks.quality.deliveries import STATES, deliveries

    if options.state and options.state not in STATES:
        near = did_you_mean(options.state, STATES)
        raise SettingsError(
            f"There is no state {options.state!r}.{near}", do=f"use one of {', '.join(STATES)}."
        )
    lake = look_at_lake(options)
    known = (*deliveries(lake, options.dataset), *(() if options.dataset else made_holds(lake)))
    if options.dataset and not known and options.dataset not in lake.datasets("bronze"):
        raise SettingsError(
            f"There is no dataset {options.dataset!r}.{did_you_mean(options.dataset, lake.datasets('bronze'))}",
            do=f"use one of {', '.join(lake.datasets('bronze'))}.",
        )
    found = [one for one in known if options.state in {"", one.state}]
    shown = found[-options.limit :] if options.limit > 0 else []
    if options.json:
        show_json([one.model_dump(mode="json") for one in shown])
        return 0
    if not shown:
        print("There is no such delivery.")
        return 0
    print_table(
        ("delivery", "dataset", "state", "rows", "landed", "since", "why"),
        [
            (
                one.id,
                one.dataset,
                one.state,
                f"{one.rows:,}",
                f"{one.landed_at:%Y-%m-%d %H:%M}" if one.landed_at else "",
                f"{one.at:%Y-%m-%d %H:%M}" if one.at else "",
                _why(one)[:_WIDTH],
            )
            for one in shown
        ],
    )
    if len(found) > len(shown):
        print(f"{len(shown)} of {len(found):,} shown; --limit shows more")
    return 0


def _why(one: Delivery) -> str:
    if one.by:
        return f"{one.by}: {one.note}"
    return one.note or "; ".join(f"{check.name}: {check.detail or check.outcome}" for check in one.checks)


def _show(options: argparse.Namespace) -> int:
    from headworks.gold.holding import find_any, is_of_silver
    from headworks.quality.deliveries import history

    lake = look_at_lake(options)
    one = find_any(lake, options.delivery)
    rows = _rows(lake, one, options.rows)
    would = {} if not is_of_silver(one) else {each: _would(lake, one, each) for each in _possible(one)}
    if options.json:
        show_json(
            {
                "delivery": one.model_dump(mode="json"),
                "history": [each.model_dump(mode="json") for each in history(lake, one.id, one.dataset)],
                "rows": rows,
                "would": would,
            }
        )
        return 0
    print(f"Delivery {one.id} of {one.dataset} is {one.state}: {one.rows:,} rows")
    print(f"  landed {one.landed_at or 'at an unknown time'} by {', '.join(one.runs) or 'an unknown run'}")
    for span in one.spans:
        print(f"  stream {span.stream}, sequences {span.after + 1} to {span.upto}")
    for suspect in one.suspects:
        print(f"  suspected, since it came after the last good commit: {suspect}")
    for check in one.checks:
        numbers = f" (found {check.value:g}, usual {check.expected:g})" if _has_numbers(check) else ""
        print(one_line(f"  {check.kind}: {check.name}: {check.detail or check.outcome}{numbers}"))
    for each in history(lake, one.id, one.dataset):
        by = f" by {each.by}: {each.note}" if each.by else ""
        print(one_line(f"  {each.at:%Y-%m-%d %H:%M} {each.state}{by}" if each.at else f"  {each.state}{by}"))
    for row in rows:
        print(one_line(f"  {row}")[:_WIDTH])
    for action, text in would.items():
        print(f"{action}: {text}")
        print(f'  headworks delivery {action} {one.id} --by YOU --note "why"')
    return 0


def _has_numbers(check: Any) -> bool:
    return check.value is not None and check.expected is not None


def _possible(one: Delivery) -> tuple[Action, ...]:
    if one.state == "held":
        return ("release", "discard")
    if one.state in {"accepted", "released"}:
        return ("discard", "undo") if one.state == "released" else ("discard",)
    return ("undo",) if one.state in {"discarded", "superseded"} else ()


def _would(lake: Lake, one: Delivery, action: Action) -> str:
    """Return what a decision would change, or why that cannot be said."""
    from headworks.errors import HeadworksError
    from headworks.silver.decisions import decide
    from headworks.silver.refinement import Refinement

    try:
        dataset = _dataset(one.dataset)
        work = Refinement(lake, "show")
        decided = decide(work, dataset, one.id, action, by="show", note="a look", dry_run=True)
    except HeadworksError as problem:
        return f"not possible: {problem}"
    return _changes(decided, dataset, dry_run=True)


def _changes(decided: Decided, dataset: Dataset, *, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    text = (
        f"of silver.{dataset.name} {decided.inserted:,} rows {would}inserted, {decided.updated:,} {would}updated, "
        f"{decided.removed:,} {would}removed"
    )
    rejected = decided.report.rejected
    text += f", {rejected:,} {would}rejected" if rejected else ""
    products = _products(dataset.name)
    changed = decided.inserted + decided.updated + decided.removed
    if products and changed:
        text += f"; the next run makes {', '.join(products)} again"
    if decided.gate is not None and not decided.gate.open:
        text += f". The gate stays closed: {'; '.join(decided.gate.reasons)}"
    return text


def _decide(options: argparse.Namespace) -> int:
    from headworks.gold.holding import find_any, is_of_silver
    from headworks.silver.decisions import decide
    from headworks.silver.refinement import Refinement
    from headworks.silver.replay import check_signed

    check_signed(options.by, options.note, f"delivery {options.delivery}")
    lake = open_lake(options)
    one = find_any(lake, options.delivery)
    if not is_of_silver(one):
        return _decide_gold(options, lake, one)
    dataset = _dataset(one.dataset)
    by_hand = ByHand(lake, f"delivery_{options.action}")
    decided = decide(
        Refinement(lake, by_hand.run_id),
        dataset,
        one.id,
        options.action,
        by=options.by,
        note=options.note,
        despite_contract=getattr(options, "despite_contract", False),
        as_baseline=getattr(options, "as_baseline", False),
        dry_run=options.dry_run,
    )
    closed = decided.gate is not None and not decided.gate.open
    if not decided.already:
        by_hand.recorder.decided(
            f"delivery {decided.delivery.id} of {dataset.name}",
            "held as before" if closed else decided.delivery.state,
            by=options.by,
            note=options.note,
        )
        by_hand.recorder.refinements.append(decided.report)
    if options.json:
        if not decided.already:
            by_hand.ended(decided.gate, changed=_changed(decided), dry_run=options.dry_run, quiet=True)
        show_json(decided.model_dump(mode="json"))
        return 2 if closed else 0
    after = decided.delivery
    if getattr(options, "as_baseline", False) and not options.dry_run and after.is_in_silver:
        print(
            "Later deliveries are compared with it."
            if decided.vouched
            else "It left no profile, so nothing can be compared with it."
        )
    if decided.already:
        print(f"Delivery {after.id} was {after.state} already, by {after.by or 'nobody'}; nothing was done.")
        return 0
    stays = options.dry_run or closed
    print(
        f"Delivery {after.id} of {after.dataset} {'would be' if stays and not closed else 'is'} {after.state}."
    )
    print(_changes(decided, dataset, dry_run=stays))
    by_hand.ended(decided.gate, changed=_changed(decided), dry_run=options.dry_run)
    return 2 if closed else 0


def _changed(decided: Decided) -> bool:
    return bool(decided.inserted + decided.updated + decided.removed)


def _decide_gold(options: argparse.Namespace, lake: Lake, one: Delivery) -> int:
    """Decide about a gold table that is held."""
    from headworks.gold.holding import decide_gold
    from headworks.ports import system_clock

    by_hand = ByHand(lake, f"delivery_{options.action}")
    done = decide_gold(
        lake,
        one,
        options.action,
        by=options.by,
        note=options.note,
        run_id=by_hand.run_id,
        moment=system_clock(),
        dry_run=options.dry_run,
    )
    # It was decided before, by whoever the release names.
    already = done.run_id != by_hand.run_id
    if options.json:
        show_json(done.model_dump(mode="json"))
    elif options.dry_run:
        print(f"{done.dataset} would be {done.state}.")
    elif already:
        print(f"{done.dataset} was {done.state} already, by {done.by or 'nobody'}; nothing was done.")
    elif done.state == "released":
        print(f"{done.dataset} is released: the next run makes it, and what held it is no objection then.")
    else:
        print(f"{done.dataset} is {done.state} again: no run makes it until somebody decides.")
    if not options.dry_run and not already:
        about = f"delivery {done.id} of {done.dataset}"
        by_hand.decided(about, done.state, by=options.by, note=options.note, quiet=options.json)
    return 0


def _rows(lake: Lake, one: Delivery, count: int) -> list[dict[str, Any]]:
    """Return some rows of a delivery as they were received."""
    from headworks.quality.deliveries import rows_in
    from headworks.storage.translating import collected

    bronze = None if one.suspects or not one.spans else lake.open("bronze", one.dataset)
    if bronze is None or count <= 0:
        return []
    rows = collected(bronze.scan().filter(rows_in(one.spans)).head(count), bronze.name)
    kept = [name for name in rows.columns if not name.startswith("_")]
    return [
        {name: _readable(value) for name, value in row.items()}
        for row in rows.select(kept).iter_rows(named=True)
    ]


def _readable(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _dataset(name: str) -> Dataset:
    from headworks.project import this_project

    return this_project().dataset(name)


def _products(dataset: str) -> list[str]:
    from headworks.project import project

    here = project()
    return [] if here is None else [product.name for product in here.products_of(dataset)]
