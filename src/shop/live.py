"""The command line of the shop's life: found it if need be, then live on.

Only arguments and messages belong here; the work is in `database`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import psycopg

from shop.database import found, live
from shop.errors import ShopError
from shop.world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Live on; the exit code."""
    options = _parser().parse_args(arguments)
    world = World(seed=options.seed)
    try:
        with psycopg.connect(options.dsn) as connection:
            history = found(connection, world)
            lived = live(connection, world, options.days)
    except ShopError as error:
        print(error, file=sys.stderr)
        return 2
    except psycopg.OperationalError as error:
        print(
            f"The shop cannot reach its database: {str(error).splitlines()[0]}. Check --dsn.", file=sys.stderr
        )
        return 2
    if history:
        print(f"founded the shop: {len(history)} days of history, from {history[0]} to {history[-1]}")
    if lived:
        print(f"lived {len(lived)} more days, from {lived[0]} to {lived[-1]}")
    if not history and not lived:
        print("nothing to do")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shop.live", description="Let the shop live on.")
    parser.add_argument("--dsn", required=True, help="the shop's Postgres, as libpq understands it")
    parser.add_argument("--days", type=_days, default=0, help="days to live on, after the history")
    parser.add_argument("--seed", type=int, default=World().seed, help="the world to found")
    return parser


def _days(text: str) -> int:
    days = int(text)
    if days < 0:
        raise ValueError("the shop cannot go back in time")
    return days


if __name__ == "__main__":
    sys.exit(main())
