"""pandera's way to the same place, in an environment of its own: the good rows to one file, the others to another."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl
from rules import RULES


def pandera(data: str, out: str) -> None:
    """Validate with a schema of checks on the frame, all of them, and divide the rows by the failure cases."""
    import pandera.polars as pa
    from pandera.errors import SchemaErrors

    rows = pl.read_parquet(Path(data) / "lineitem.parquet")
    checks = [
        pa.Check(lambda data, holds=holds: data.lazyframe.select(holds), name=name)
        for name, holds in RULES.items()
    ]
    columns = {name: pa.Column(dtype, nullable=False) for name, dtype in rows.schema.items()}
    try:
        pa.DataFrameSchema(columns, checks=checks).validate(rows, lazy=True)
        failed: list[int] = []
    except SchemaErrors as problem:
        failed = problem.failure_cases.get_column("index").drop_nulls().unique().to_list()
    bad = pl.Series(failed, dtype=pl.UInt32)
    is_bad = pl.repeat(False, rows.height, eager=True, dtype=pl.Boolean).scatter(bad, True)
    rows.filter(~is_bad).write_parquet(Path(out) / "good.parquet", compression="snappy")
    rows.filter(is_bad).write_parquet(Path(out) / "bad.parquet", compression="snappy")


def main(way: str, data: str, out: str, report: str) -> None:
    """Take one peer's way, and write how long it took."""
    began = time.monotonic()
    {"pandera": pandera}[way](data, out)
    Path(report).write_text(json.dumps({"rows": time.monotonic() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
