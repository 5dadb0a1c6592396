"""``headworks stream``: the positions of a dataset's streams, and setting one back."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

from headworks.cli.shared import ByHand, Commands, add_lake, look_at_lake, open_lake, print_table, show_json
from headworks.errors import SettingsError

_FEW = 3


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    stream = commands.add_parser("stream", help="positions up to which sources were read")
    actions = stream.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="list the streams of a dataset, or of all")
    show.add_argument("dataset", nargs="?", help="such as shop.orders (default: all)")
    add_lake(show)
    show.add_argument("--json", action="store_true", help="as JSON, positions whole")
    show.set_defaults(command=_show)
    reset = actions.add_parser(
        "reset",
        help="set a stream back, so that the next run reads again: bronze keeps those rows a second time, silver and "
        "gold do not change by it",
    )
    reset.add_argument("stream", help="such as shop.orders")
    reset.add_argument(
        "--position",
        metavar="JSON",
        help="where to continue, in the form that show prints, and not after the present one "
        "(default: from the beginning)",
    )
    add_lake(reset)
    reset.set_defaults(command=_reset)


def _show(options: argparse.Namespace) -> int:
    from headworks.bronze.streams import show_streams

    lake = look_at_lake(options)
    datasets = [options.dataset] if options.dataset else lake.datasets("bronze")
    states = [each for dataset in datasets for each in show_streams(lake, dataset)]
    if options.json:
        show_json([each.model_dump(mode="json") for each in states])
    elif states:
        rows = [
            (each.stream, str(each.sequence), str(each.consumed), _short(each.position)) for each in states
        ]
        print_table(("stream", "landed", "in silver", "position"), rows)
    else:
        print("No stream has landed anything yet.")
    return 0


def _reset(options: argparse.Namespace) -> int:
    from headworks.bronze.landing import Landing
    from headworks.bronze.streams import reset_stream, show_streams

    position = _position(options.position)
    lake, dataset = open_lake(options), options.stream.partition("@")[0]
    before = [each for each in show_streams(lake, dataset) if each.stream == options.stream]
    landing = Landing(lake, dataset, options.stream, "headworks stream reset")
    by_hand = ByHand(lake, "stream_reset")
    state = reset_stream(landing, position)
    print(f"{state.stream} continues {'from the beginning' if position is None else 'at another position'}.")
    print(f"  before  {json.dumps(before[0].position if before else None, ensure_ascii=False)}")
    print(f"  after   {json.dumps(state.position, ensure_ascii=False)}")
    by_hand.decided(f"stream {state.stream}", f"continues from {_short(position)}")
    return 0


def _short(position: Mapping[str, object] | None) -> str:
    """Return a position in one line; of lists and objects in it, which may have thousands of entries, how many."""
    if position is None:
        return "the beginning"
    parts = {
        name: f"{len(value)} entries" if isinstance(value, list | dict) and len(value) > _FEW else value
        for name, value in position.items()
    }
    return json.dumps(parts, ensure_ascii=False)


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
