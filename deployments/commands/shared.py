"""What the groups of the command share: finding the lake, and reporting rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headworks.errors import SettingsError
from headworks.ops.escaping import one_line

if TYPE_CHECKING:
    from headworks.storage.store import Lake


class NothingWritten(Exception):
    """Nothing was ever written to the lake that a command only looks at: no error, and nothing to show."""


Commands = argparse._SubParsersAction


def add_lake(parser: argparse.ArgumentParser) -> None:
    """Let the lake be chosen by the name of its block."""
    parser.add_argument("--lake", default="lake", help="the block of the lake (default: lake)")


def open_lake(options: argparse.Namespace) -> Lake:
    """Open the chosen lake to work on it; creates nothing.

    Without another Prefect server the local stack's is asked for the block. Raises `LakeUnusable` where the lake is not
    on this machine, and `SettingsError` where nothing was written to it.
    """
    lake, source = _located(options)
    if lake is None:
        raise SettingsError(
            f"Nothing was written to the lake at {source} yet, so there is nothing to work on.",
            where=source.partition(", ")[2],
            do="run a flow first, or name another lake with --lake.",
        )
    return lake


def look_at_lake(options: argparse.Namespace) -> Lake:
    """Open the chosen lake to look at it; raises `NothingWritten` where there is nothing to see yet."""
    lake, source = _located(options)
    if lake is None:
        raise NothingWritten(f"Nothing was written to the lake at {source} yet.")
    return lake


def _located(options: argparse.Namespace) -> tuple[Lake | None, str]:
    """Return the chosen lake, or None where nothing was written to it; and its root with what named it."""
    from blocks import located_lake
    from flows.console import check_server, local_stack
    from headworks.storage.presence import is_written
    from headworks.storage.store import Lake

    with local_stack():
        check_server()
        settings, source = located_lake(options.lake)
        lake = Lake(settings)
        return (lake if is_written(lake, source) else None), f"{settings.root}, {source}"


def show_json(value: object) -> None:
    """Print a value as JSON, for programs."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with columns as wide as they must be."""
    rows = [tuple(map(one_line, row)) for row in rows]
    table = [header, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
