"""``headworks breaker``: which APIs have an open circuit breaker, and asking one again."""

from __future__ import annotations

import argparse

from headworks.cli.shared import ByHand, Commands, add_lake, look_at_lake, open_lake, print_table, show_json
from headworks.errors import SettingsError
from headworks.ports import system_clock

_COLUMNS = ("api", "state", "failures", "closed_until", "reason")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    breaker = commands.add_parser("breaker", help="the breakers of APIs that failed too often")
    actions = breaker.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="list the breakers that were ever kept")
    add_lake(show)
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(command=_show)
    reset = actions.add_parser("reset", help="let the API of a block be asked again at once")
    reset.add_argument("api", help="the block of the API")
    add_lake(reset)
    reset.set_defaults(command=_reset)


def _show(options: argparse.Namespace) -> int:
    from headworks.ops.breakers import LakeBreakers
    from headworks.sources.api.breaker import read_breaker

    store, now = LakeBreakers(look_at_lake(options)), system_clock()
    rows = []
    for name in store.names():
        found = read_breaker(store, name)
        until = f"{found.closed_until:%Y-%m-%d %H:%M:%S}" if found.closed_until else ""
        rows.append((name, found.state(now), str(found.failures), until, found.reason))
    if options.json:
        show_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
    elif rows:
        print_table(("api", "state", "failures", "no request before (UTC)", "last failure"), rows)
    else:
        print("No API has failed so often that a breaker was kept.")
    return 0


def _reset(options: argparse.Namespace) -> int:
    from headworks.ops.breakers import LakeBreakers

    lake = open_lake(options)
    by_hand, store = ByHand(lake, "breaker_reset"), LakeBreakers(lake)
    if not store.reset(options.api):
        raise SettingsError(
            f"No breaker of {options.api} is kept.",
            where="headworks breaker show",
            do="check the block's name.",
        )
    print(f"The breaker of {options.api} is closed; the next run asks again.")
    by_hand.decided(f"the circuit breaker of {options.api}", "closed")
    return 0
