"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from headworks.ops.escaping import one_line


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with columns as wide as they must be."""
    rows = [tuple(map(one_line, row)) for row in rows]
    table = [header, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
