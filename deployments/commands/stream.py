"""``headworks stream``: where a dataset's streams stand, and setting one back.

What belongs here: arguments and messages. What does not: the work (``headworks.lake.streams``).
"""

from __future__ import annotations

import argparse
import json

from deployments.commands.shared import Commands, add_lake, open_lake, tell
from headworks.errors import SettingsError


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    stream = commands.add_parser("stream", help="where the reading of a source stands")
    actions = stream.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="list the streams of a dataset, or of all")
    show.add_argument("dataset", nargs="?", help="such as shop.orders (default: all)")
    add_lake(show)
    show.set_defaults(command=_show)
    reset = actions.add_parser(
        "reset",
        help="set a stream back, so that the next run reads again; nothing in the lake is doubled by it",
    )
    reset.add_argument("stream", help="such as shop.orders")
    reset.add_argument("--position", metavar="JSON", help="where to go on (default: from the beginning)")
    add_lake(reset)
    reset.set_defaults(command=_reset)


def _show(options: argparse.Namespace) -> int:
    from headworks.lake.streams import show_streams

    lake = open_lake(options)
    datasets = [options.dataset] if options.dataset else lake.datasets("bronze")
    rows = [
        (each.stream, str(each.sequence), str(each.consumed), json.dumps(each.position))
        for dataset in datasets
        for each in show_streams(lake, dataset)
    ]
    tell(("stream", "landed", "in silver", "position"), rows)
    return 0


def _reset(options: argparse.Namespace) -> int:
    from headworks.lake.landing import Landing
    from headworks.lake.streams import reset_stream

    position = _position(options.position)
    dataset = options.stream.partition("@")[0]
    landing = Landing(open_lake(options), dataset, options.stream, "headworks stream reset")
    state = reset_stream(landing, position)
    print(f"{state.stream} goes on {'from the beginning' if position is None else f'at {options.position}'}.")
    return 0


def _position(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    try:
        position = json.loads(text)
    except ValueError:
        position = None
    if not isinstance(position, dict):
        raise SettingsError(
            f"{text!r} is not a position.",
            where="--position",
            do="write a JSON object as headworks stream show prints it.",
        )
    return position
