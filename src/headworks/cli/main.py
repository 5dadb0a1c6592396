"""The ``headworks`` command: what an operator does by hand."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from headworks.cli import (
    adding,
    alerts,
    anomaly,
    api,
    breaker,
    completion,
    data,
    delivery,
    probe,
    product,
    projects,
    propose,
    quarantine,
    recheck,
    reference,
    running,
    silver,
    state,
    stream,
)
from headworks.cli.shared import NothingWritten, add_lake, look_at_lake
from headworks.errors import HeadworksError, SettingsError, did_you_mean
from headworks.ops.escaping import printable
from headworks.ops.pipes import outlive_readers
from headworks.place import reach_project
from headworks.redaction import redacted_error

USAGE = 64
"""The exit code of a command that is not written as it has to be: 2 is that of a closed gate."""

STACK_ROOT = Path(".headworks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    if arguments is None:
        outlive_readers()
    reach_project()
    if arguments is None and completion.ASKED in os.environ:
        completion.complete(the_parser())
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["deploy"]:
        # It has a parser of its own, and takes long to import.
        from headworks.prefect.deploying.deploy import main as deploy

        return deploy(given[1:])
    try:
        if given[:1] == ["run"]:
            return running.run(given[1:])
        if given and given[0] in running.OWN:
            return running.run_flow_named(given[0], given[1:], f"headworks {given[0]}")
        options = the_parser().parse_args(given)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except NothingWritten as nothing:
        print(nothing)
        return 0
    except HeadworksError as problem:
        print(printable(str(redacted_error(problem))), file=sys.stderr)
        return 1


def _account(options: argparse.Namespace) -> int:
    from headworks.ops.account import account_text, steps_text
    from headworks.ops.ledger import flows_of, last_run

    lake = look_at_lake(options)
    report = last_run(lake, options.flow)
    if report is None:
        known = flows_of(lake)
        raise SettingsError(
            f"No run of {options.flow} is in the ledger.{did_you_mean(options.flow, known)}"
            if options.flow
            else "No run is in the ledger.",
            where=lake.settings.root,
            do=f"name one of {', '.join(known)}." if known else "run something: headworks run",
        )
    if options.json:
        print(report.model_dump_json(indent=2))
    else:
        print(steps_text(report) if options.steps else account_text(report), end="")
    return 0


def _register_blocks(options: argparse.Namespace) -> int:
    from headworks.prefect.deploying.register_blocks import main as register

    return register([*options.names, *(["--file", options.file] if options.file else [])])


def _stack(options: argparse.Namespace) -> int:
    try:
        demo = import_module("deployments.demo")
    except ModuleNotFoundError as problem:
        raise SettingsError(
            "This project has no local stack.",
            where="deployments/demo.py",
            do="run this in the project's folder.",
        ) from problem
    stack = demo.Stack(STACK_ROOT)
    if options.action == "up":
        stack.up()
        code: int = demo.bring(stack)
        if code != 0:
            return code
        stack.wait_served()
    if options.action == "down" and not stack.down():
        print("nothing was running")
    if options.action != "down":
        for name, where in stack.status().items():
            print(f"{name:<16}{where}")
    return 0


_GROUPS: Mapping[str, tuple[str, ...]] = {
    "begin a project": ("init", "add", "check", "upgrade", "completion"),
    "run": ("run", "backfill", "maintenance", "freshness", "deploy", "register-blocks", "stack"),
    "look": ("status", "account", "sql", "show", "recheck", "propose", "alerts", "reference"),
    "decide": ("delivery", "quarantine", "product", "rollback", "anomaly"),
    "repair": ("stream", "breaker", "silver"),
    "APIs": ("probe", "api"),
}
"""The commands by what they are for, as the help shows them."""

_FOOTER = """headworks COMMAND --help says more of each. They work on the lake of the block "lake", or of --lake NAME.
exit codes: 0 done, or good; 1 something is wrong; 2 the gate is closed; 3 another run is at work; 64 the command is not
written like this."""


class Parser(argparse.ArgumentParser):
    """Reads a command; a slip names what is near, and has an exit code that no run has."""

    def error(self, message: str) -> NoReturn:
        """Report a slip, with what was probably meant, and exit."""
        slip = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        names = re.findall(r"[\w-]+", slip[2]) if slip else []
        near = did_you_mean(slip[1], names) if slip else ""
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}.{near} See {self.prog} --help.", file=sys.stderr)
        sys.exit(USAGE)


class _Root(Parser):
    """Shows the commands by what they are for."""

    def format_help(self) -> str:
        """Return the commands in groups."""
        (commands,) = (each for each in self._actions if isinstance(each, argparse._SubParsersAction))
        about = {each.dest: each.help or "" for each in commands._choices_actions}
        grouped = {name for names in _GROUPS.values() for name in names}
        others = tuple(name for name in about if name not in grouped)
        lines = ["usage: headworks COMMAND …", "", self.description or ""]
        for title, names in {**_GROUPS, **({"more": others} if others else {})}.items():
            lines += ["", f"{title}:", *(f"  {name:<17}{about[name]}" for name in names)]
        return "\n".join([*lines, "", _FOOTER, ""])


def the_parser() -> argparse.ArgumentParser:
    """Return what reads the commands."""
    parser = _Root(
        prog="headworks",
        description="Data pipelines that land each row exactly once, and let nothing through unchecked.",
    )
    parser.add_argument("--version", action="version", version=version("headworks"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    account = commands.add_parser(
        "account", help="show the account of the newest run, or of a flow's newest one"
    )
    account.add_argument(
        "flow", nargs="?", default=None, help="such as pipeline (default: whichever ran last)"
    )
    add_lake(account)
    form = account.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--steps", action="store_true", help="what each step took: seconds, rows, memory")
    account.set_defaults(command=_account)

    blocks = commands.add_parser("register-blocks", help="write the flows' blocks to the Prefect server")
    blocks.add_argument("names", nargs="*", metavar="NAME")
    blocks.add_argument("--file", help="a file with the variables")
    blocks.set_defaults(command=_register_blocks)

    commands.add_parser("deploy", help="make a Prefect server as the project says: pools, limits, schedules")
    commands.add_parser("run", help="run a product or a flow of the project")
    for name, what in running.OWN.items():
        commands.add_parser(name, help=what)

    for group in (
        projects,
        adding,
        state,
        data,
        product,
        stream,
        breaker,
        api,
        probe,
        delivery,
        quarantine,
        recheck,
        propose,
        silver,
        anomaly,
        alerts,
        reference,
        completion,
    ):
        group.add(commands)

    stack = commands.add_parser("stack", help="the local stack of the demo")
    stack.add_argument("action", choices=["up", "down", "status"])
    stack.set_defaults(command=_stack)
    return parser


if __name__ == "__main__":
    sys.exit(main())
