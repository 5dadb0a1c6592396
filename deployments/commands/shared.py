"""What the groups of the command share: finding the lake, and telling rows.

What belongs here: only what several groups use.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headworks.lake.store import Lake

Commands = argparse._SubParsersAction


def add_lake(parser: argparse.ArgumentParser) -> None:
    """Let the lake be chosen by the name of its block."""
    parser.add_argument("--lake", default="lake", help="the block of the lake (default: lake)")


def open_lake(options: argparse.Namespace) -> Lake:
    """Open the chosen lake; without another Prefect server the local stack's is asked for the block."""
    from blocks import lake_settings
    from flows.console import local_stack
    from headworks.lake.store import Lake

    with local_stack():
        return Lake(lake_settings(options.lake))


def tell(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with columns as wide as they must be."""
    table = [header, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
