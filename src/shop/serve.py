"""Running the shop's API as a program: ``python -m shop.api``. The application itself is in `api`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

import psycopg
from pydantic import SecretStr

from headworks.errors import HeadworksError
from headworks.prefect.local.serving import AppServer, bind, url_of
from shop.api import make_app
from shop.errors import ShopError
from shop.limits import Faults, Limits
from shop.store import Store

_DSN_VARIABLE = "SHOP_API_DSN"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until asked to stop by SIGTERM or SIGINT; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except (ShopError, HeadworksError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _serve(options: argparse.Namespace) -> None:
    token = os.environ.get(options.token_env, "")
    if not token:
        raise ShopError(f"The shop's API needs its token: set the environment variable {options.token_env}.")
    dsn = SecretStr(options.dsn or os.environ.get(_DSN_VARIABLE, ""))
    if not dsn.get_secret_value():
        raise ShopError(f"The shop's API needs its database: give --dsn, or set {_DSN_VARIABLE}.")
    _check_database(dsn)
    limits = Limits(burst=options.burst, per_second=options.per_second)
    faults = None if options.faults is None else Faults(seed=options.faults)
    with bind(options.host, options.port) as listener:
        url = url_of(listener)
        server = AppServer(
            make_app(dsn, SecretStr(token), limits, faults), lambda: _say(f"listening on {url}")
        )
        # uvicorn stops on a signal and then raises it again: being asked to stop is no failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        server.run(sockets=[listener])


def _check_database(dsn: SecretStr) -> None:
    store = Store(dsn)
    try:
        store.products(0, 1)
    except psycopg.Error as error:
        raise ShopError(
            f"The shop's API cannot read the catalogue: {str(error).splitlines()[0]}. "
            "Check --dsn, and that the shop was founded there: python -m shop.live --dsn … --days 0"
        ) from error
    finally:
        store.close()


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shop.api", description="Serve the shop's catalogue.")
    parser.add_argument(
        "--dsn", help=f"the shop's Postgres, as libpq understands it; {_DSN_VARIABLE} keeps it out of sight"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (the default)")
    parser.add_argument(
        "--token-env", default="SHOP_API_TOKEN", help="the environment variable with the token"
    )
    parser.add_argument("--burst", type=int, default=Limits().burst, help="requests let through at once")
    parser.add_argument(
        "--per-second", type=float, default=Limits().per_second, help="requests let through a second"
    )
    parser.add_argument("--faults", type=int, metavar="SEED", help="break some answers, seeded")
    return parser
