"""``headworks sql`` and ``headworks show``: the data itself, as it is now."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from headworks.cli.shared import Commands, add_lake, look_at_lake, print_table
from headworks.ops.escaping import one_line

if TYPE_CHECKING:
    import polars as pl

_SHOWN, _WIDTH = 20, 40


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Put the parsers in."""
    sql = commands.add_parser(
        "sql",
        help="run a SELECT over silver, gold and quarantine",
        description="Run a SELECT over the lake: silver.shop.orders, gold.sales.daily, quarantine.shop.orders, or a "
        "dataset alone. Without a query the tables that there are, are listed.",
    )
    sql.add_argument(
        "query", nargs="?", help='such as: "SELECT country, count(*) FROM shop.customers GROUP BY 1"'
    )
    _add_output(sql)
    sql.set_defaults(command=_sql)
    show = commands.add_parser("show", help="show rows of a dataset")
    show.add_argument("dataset", help="such as shop.orders, gold.sales.daily or quarantine.shop.orders")
    show.add_argument(
        "--where", metavar="SQL", help="only rows for which this holds, such as \"country = 'DE'\""
    )
    show.add_argument("--limit", type=int, default=_SHOWN, help=f"how many (default: {_SHOWN})")
    _add_output(show)
    show.set_defaults(command=_show)


def _add_output(parser: argparse.ArgumentParser) -> None:
    add_lake(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object a row, values whole")
    output.add_argument("--csv", action="store_true", help="as CSV, values whole")


def _sql(options: argparse.Namespace) -> int:
    from headworks.ops.query import query, tables

    lake = look_at_lake(options)
    if options.query is None:
        print("\n".join(tables(lake)))
        return 0
    _print(query(lake, options.query), options)
    return 0


def _show(options: argparse.Namespace) -> int:
    from headworks.ops.query import query

    where = f" WHERE {options.where}" if options.where else ""
    # In quotes, so that a dataset may have any number of words.
    layer, separator, rest = options.dataset.partition(".")
    named = f'"{options.dataset}"'
    if separator and layer in {"silver", "gold", "quarantine", "bronze"}:
        named = f'"{layer}"."{rest}"'
    _print(query(look_at_lake(options), f"SELECT * FROM {named}{where} LIMIT {options.limit:d}"), options)
    return 0


def _print(rows: pl.DataFrame, options: argparse.Namespace) -> None:
    if options.json:
        print(rows.write_ndjson(), end="")
        return
    if options.csv:
        from headworks.ops.escaping import spreadsheet

        print(spreadsheet(_flat(rows)).write_csv(), end="")
        return
    from headworks.storage.exact import in_calendar

    cells = [tuple(map(_cell, row)) for row in in_calendar(rows).iter_rows()]
    print_table([one_line(name) for name in rows.columns], cells)
    print(f"{rows.height:,} {'row' if rows.height == 1 else 'rows'}")


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows whose nested and binary values are JSON texts, which a sheet can hold."""
    import polars as pl

    from headworks.storage.exact import in_calendar

    rows = in_calendar(rows)
    odd = [name for name, dtype in rows.schema.items() if dtype.is_nested() or dtype == pl.Binary()]
    as_text = {name: [_json(value) for value in rows.get_column(name).to_list()] for name in odd}
    return rows.with_columns(pl.Series(name, texts, dtype=pl.String()) for name, texts in as_text.items())


def _json(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return json.dumps(value, default=str, ensure_ascii=False)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
