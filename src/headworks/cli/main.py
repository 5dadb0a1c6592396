"""The ``headworks`` command: what an operator does by hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from headworks.cli import (
    adding,
    anomaly,
    api,
    breaker,
    data,
    delivery,
    probe,
    product,
    projects,
    quarantine,
    recheck,
    silver,
    state,
    stream,
)
from headworks.cli.shared import NothingWritten, add_lake, look_at_lake
from headworks.errors import HeadworksError, SettingsError
from headworks.ops.escaping import printable
from headworks.place import reach_project
from headworks.redaction import redacted_error

STACK_ROOT = Path(".headworks")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    reach_project()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["deploy"]:
        # It has a parser of its own, and takes long to import.
        from headworks.prefect.deploying.deploy import main as deploy

        return deploy(given[1:])
    if given[:1] == ["run"]:
        return _run(given[1:])
    options = _parser().parse_args(given)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except NothingWritten as nothing:
        print(nothing)
        return 0
    except HeadworksError as problem:
        print(printable(str(redacted_error(problem))), file=sys.stderr)
        return 1


def _run(given: Sequence[str]) -> int:
    """Run a product: the first argument names it, all others are those of the flow ``pipeline``."""
    # It has a parser of its own too, and imports Prefect.
    from headworks.prefect.console import run_as_program
    from headworks.project import this_project

    try:
        pipeline = this_project().load_flow("pipeline")
    except HeadworksError as problem:
        print(printable(str(redacted_error(problem))), file=sys.stderr)
        return 1
    named = [] if not given or given[0].startswith("-") else ["--param", f"product={json.dumps(given[0])}"]
    return run_as_program(pipeline, [*named, *given[len(named) // 2 :]])


def _account(options: argparse.Namespace) -> int:
    from headworks.ops.account import account_text
    from headworks.ops.ledger import last_run

    lake = look_at_lake(options)
    report = last_run(lake, options.flow)
    if report is None:
        raise SettingsError(
            f"No run of {options.flow} is in the ledger.",
            where=lake.settings.root,
            do=f"run it: python -m flows.{options.flow}",
        )
    print(report.model_dump_json(indent=2) if options.json else account_text(report))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headworks", description="Operate headworks.")
    parser.add_argument("--version", action="version", version=version("headworks"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    account = commands.add_parser("account", help="show the account of a flow's newest run")
    account.add_argument("flow", nargs="?", default="sales")
    add_lake(account)
    account.add_argument("--json", action="store_true", help="as JSON")
    account.set_defaults(command=_account)

    blocks = commands.add_parser("register-blocks", help="write the flows' blocks to the Prefect server")
    blocks.add_argument("names", nargs="*", metavar="NAME")
    blocks.add_argument("--file", help="a file with the variables")
    blocks.set_defaults(command=_register_blocks)

    commands.add_parser("deploy", help="make a Prefect server as the checkout says")
    commands.add_parser(
        "run", help="run a product of the project: headworks run PRODUCT, then options of a flow"
    )

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
        silver,
        anomaly,
    ):
        group.add(commands)

    stack = commands.add_parser("stack", help="the local stack of the demo")
    stack.add_argument("action", choices=["up", "down", "status"])
    stack.set_defaults(command=_stack)
    return parser


if __name__ == "__main__":
    sys.exit(main())
