"""The demo: the local stack, the deployments, and one run of the sales flow as plain Python, with its account."""

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

import httpx
import psycopg

from deployments.local.stack import POOL, Stack
from headworks.errors import HeadworksError
from headworks.prefect.blocks.profiles import VARIABLE
from headworks.reports import RUN_LINK
from shop.errors import ShopError

ROOT = Path(".headworks")
_PREFECT_FILE = Path(__file__).parents[1] / "prefect.yaml"
_HTTP_S = 30
_DEPLOYMENT = "sales/sales-daily"
_CHOICES_OF_OTHERS = ("PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_API_AUTH_STRING")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is that of the flow."""
    days = _parser().parse_args(arguments).days
    began = time.monotonic()
    # At once, so that a log has the lines in their order.
    stack = Stack(ROOT, say=partial(print, flush=True))
    try:
        print("Starting the local stack: Postgres, the shop's API, a Prefect server, a worker.", flush=True)
        stack.up()
        if days:
            print(stack.live(days), flush=True)
        code = bring(stack)
        if code == 0:
            code = _run("flows.sales", **stack.environment())
        if code == 0:
            stack.wait_served()
            _print_summary(stack, time.monotonic() - began)
    except (HeadworksError, ShopError, psycopg.Error) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    return code


def bring(stack: Stack) -> int:
    """Deploy the flows to a stack's own server, with their blocks, and start the worker that runs them; the exit code.

    Nothing of it starts by itself: the demo's account and the shop's days are a person's.
    """
    print("Deploying the flows, for runs by hand: ", end="", flush=True)
    chosen = ("--pool", POOL, "--by-hand", "--summary", "--prefect-file", str(_PREFECT_FILE))
    code = _run("headworks.prefect.deploying.deploy", *chosen, **stack.environment(), **stack.variables())
    if code == 0:
        stack.serve()
    return code


def _run(module: str, *arguments: str, **chosen: str) -> int:
    """Run a module as a person would by hand, but with the stack's server and no profile, whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if name not in _CHOICES_OF_OTHERS}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], env={**kept, VARIABLE: "", **chosen}, check=False
    ).returncode


def _print_summary(stack: Stack, seconds: float) -> None:
    account = json.loads((stack.root / "account.json").read_text())
    if account["status"] == "unchanged":
        print("\nNothing new was found, so no silver, gold or published table changed.")
    print(f"\nDone in {seconds:.0f} s. What next:")
    for what, how in (
        ("this run in the Prefect UI", account["links"].get(RUN_LINK, stack.ui_url)),
        (f"run {_DEPLOYMENT} there", _page_of_deployment(stack)),
        ("the dashboard", "make dashboard"),
        ("let the shop live three more days", "make demo DAYS=3"),
        ("run the flow by hand", ". .venv/bin/activate && headworks run flows.sales --help"),
        ("stop everything", "make down"),
    ):
        print(f"  {what:<36}{how}")


def _page_of_deployment(stack: Stack) -> str:
    answer = httpx.get(f"{stack.api_url}/deployments/name/{_DEPLOYMENT}", timeout=_HTTP_S)
    found = answer.json() if answer.is_success else {}
    return f"{stack.ui_url}/v2/deployments" + (f"/deployment/{found['id']}" if "id" in found else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.demo", description="Run the demo.")
    parser.add_argument("--days", type=int, default=0, help="let the shop live on for so many days first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
