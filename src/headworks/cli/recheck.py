"""``headworks recheck``: silver's rows judged by the rules of today."""

from __future__ import annotations

import argparse

from headworks.cli.shared import Commands, add_lake, look_at_lake, print_table, show_json
from headworks.cli.silver import declared_dataset
from headworks.ops.escaping import one_line

_BREAKS = 1


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parser in."""
    parser = commands.add_parser(
        "recheck",
        help="find silver's rows that break the rules and contracts of today",
        description="Judge a dataset's silver by its declaration as it is now. Nothing is changed. Exit code 1 where "
        "rows break a rule or a contract objects.",
    )
    parser.add_argument("dataset", help="such as shop.orders")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_lake(parser)
    parser.set_defaults(command=_recheck)


def _recheck(options: argparse.Namespace) -> int:
    from headworks.silver.recheck import recheck

    dataset = declared_dataset(options.dataset)
    found = recheck(look_at_lake(options), dataset)
    if options.json:
        show_json(found.model_dump(mode="json") | {"holds": found.holds})
        return 0 if found.holds else _BREAKS
    print(f"{found.rows:,} rows of silver.{found.dataset} were judged by the rules as they are now.")
    if found.broken:
        print_table(
            ("rule", "rows", "keys, such as"),
            [(one.rule, f"{one.rows:,}", one_line("; ".join(one.keys))) for one in found.broken],
        )
    for check in found.checks:
        if check.outcome not in {"passed", "warned"}:
            print(one_line(f"contract: {check.name}: {check.outcome} ({check.detail})"))
    if found.holds:
        print("All of them hold.")
        return 0
    print(
        f"They stay in silver and gold until silver is made again: headworks silver rebuild {found.dataset} --dry-run "
        "says what that comes to, and without --dry-run it rejects them. Or correct them at the source."
    )
    return _BREAKS
