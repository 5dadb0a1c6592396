"""``headworks init``, ``headworks upgrade`` and ``headworks check``: a project as files."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from headworks.cli.shared import Commands, print_table

if TYPE_CHECKING:
    from headworks.scaffold import Outcome


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    init = commands.add_parser(
        "init",
        help="make a new project",
        description="Make a new project in a folder of its name: flows, tasks, blocks, deployments, an example product "
        "that runs on this machine alone, tests, a CI workflow.",
    )
    init.add_argument("name", help="such as acme: the folder, and the package src/acme")
    init.add_argument("--into", type=Path, metavar="FOLDER", help="another folder than that of the name")
    init.set_defaults(command=_init)
    upgrade = commands.add_parser(
        "upgrade",
        help="bring the project's files and its lake to this version of headworks",
        description="Merge what headworks changed in the files that init made; what you changed is kept, and "
        "conflicts are named. Then the lake's format is checked.",
    )
    upgrade.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    upgrade.add_argument("--lake", default="lake", help="the block of the lake (default: lake)")
    upgrade.add_argument("--files-only", action="store_true", help="leave the lake alone")
    upgrade.set_defaults(command=_upgrade)
    check = commands.add_parser(
        "check",
        help="check the project: its declarations, its deployments, what is deprecated",
        description="Check the project's declarations against one another, the flows and products that prefect.yaml "
        "names, and what of the project uses a name that is going away. Exit code 1 where something is wrong.",
    )
    check.set_defaults(command=_check)


def _init(options: argparse.Namespace) -> int:
    from headworks.scaffold import init

    folder: Path = options.into or Path(options.name)
    made = init(options.name, folder)
    print(f"{len(made)} files in {folder}. What next:\n")
    for command, why in (
        (f"cd {folder}", ""),
        ("make test", "the declarations, and a pipeline on embedded parts"),
        ("make demo", "the example product on this machine"),
        ("headworks add files …", "the first source of your own; also: add table, add api"),
    ):
        print(f"    {command:<28}{why}".rstrip())
    return 0


def _upgrade(options: argparse.Namespace) -> int:
    from headworks.scaffold import upgrade

    folder = Path.cwd()
    outcomes = upgrade(folder, dry_run=options.dry_run)
    shown = [one for one in outcomes if one.change != "unchanged"]
    print_table(("file", "change", ""), [(one.path, one.change, one.note) for one in shown])
    print(_summary(outcomes, dry_run=options.dry_run))
    code = 1 if any(one.change == "conflict" for one in outcomes) else 0
    if not options.files_only:
        from headworks.cli.lakes import upgrade_lake

        code = max(code, upgrade_lake(options))
    return code


def _summary(outcomes: list[Outcome], *, dry_run: bool) -> str:
    counts = Counter(one.change for one in outcomes)
    text = ", ".join(f"{count} {change}" for change, count in sorted(counts.items()))
    return f"{'Would be: ' if dry_run else ''}{text}."


def _check(options: argparse.Namespace) -> int:
    from headworks.checking import check

    findings = check(Path.cwd())
    print_table(
        ("what", "where", "finding"),
        [(one.severity, one.where, one.text) for one in findings] or [("ok", "", "nothing was found")],
    )
    return 1 if any(one.severity == "wrong" for one in findings) else 0
