"""The demo: the local stack, the blocks, and one run of the sales flow as plain Python, ending with its account.

What belongs here: the order of these, and what is told at the end. What does not: any of the parts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psycopg

from deployments.local.stack import Stack
from headworks.errors import HeadworksError
from headworks.project import this_project
from headworks.reports import RUN_LINK
from shop.errors import ShopError

ROOT = Path(".headworks")
_CHOICES_OF_OTHERS = ("PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_API_AUTH_STRING")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is that of the flow."""
    days = _parser().parse_args(arguments).days
    began = time.monotonic()
    # At once, so that a log has the lines in their order.
    stack = Stack(ROOT, say=partial(print, flush=True))
    try:
        print("Starting the local stack: Postgres, the shop's API, a Prefect server.", flush=True)
        stack.up()
        if days:
            print(stack.live(days), flush=True)
    except (HeadworksError, ShopError, psycopg.Error) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    code = _run(
        "deployments.register_blocks", *this_project().blocks(), **stack.environment(), **stack.variables()
    )
    if code == 0:
        code = _run("flows.sales", **stack.environment())
    if code == 0:
        _tell(stack, time.monotonic() - began)
    return code


def _run(module: str, *arguments: str, **chosen: str) -> int:
    """Run a module as a person would by hand, but with the stack's server, whatever else is configured here."""
    kept = {name: value for name, value in os.environ.items() if name not in _CHOICES_OF_OTHERS}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], env={**kept, **chosen}, check=False
    ).returncode


def _tell(stack: Stack, seconds: float) -> None:
    account = json.loads((stack.root / "account.json").read_text())
    if account["status"] == "unchanged":
        print("\nNothing new was found, so no silver, gold or published table changed.")
    print(f"\nDone in {seconds:.0f} s. What next:")
    for what, how in (
        ("this run in the Prefect UI", account["links"].get(RUN_LINK, stack.ui_url)),
        ("the dashboard", "make dashboard"),
        ("let the shop live three more days", "make demo DAYS=3"),
        ("run the flow by hand", ". .venv/bin/activate && python -m flows.sales --help"),
        ("stop everything", "make down"),
    ):
        print(f"  {what:<36}{how}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.demo", description="Run the demo.")
    parser.add_argument("--days", type=int, default=0, help="let the shop live on for so many days first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
