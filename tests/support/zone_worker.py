"""A process that lands moments, refines them, and makes and audits a gold table of their days.

What it prints is the same in every zone that a machine may be in.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dataframely as dy
import polars as pl

from headworks.bronze.landing import Landing, land
from headworks.gold.curation import GoldTable, audit, curate, stage
from headworks.gold.table import pin
from headworks.settings import LakeSettings
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement, refine
from headworks.storage.store import Lake
from tests.support.sources import Frames

FIRST = datetime(2024, 3, 30, 20, 15, tzinfo=UTC)
"""Some zones change their clocks in the hours after it, and everywhere a day ends."""
ROWS = 48
CONTRACT = """\
dataset: lake/gold/t_days
columns:
- name: day
  checks:
  - missing:
- name: newest
checks:
- failed_rows:
    name: days in UTC
    expression: day <> CAST(newest AS DATE)
- row_count:
    threshold:
      must_be_greater_than: 0
"""


def moments() -> pl.DataFrame:
    """Return moments of two days in UTC, half an hour apart."""
    at = [FIRST + timedelta(minutes=30 * number) for number in range(ROWS)]
    return pl.DataFrame(
        {"id": range(ROWS), "moment": at, "local": [moment.replace(tzinfo=None) for moment in at]},
        schema={"id": pl.Int64(), "moment": pl.Datetime("us", "UTC"), "local": pl.Datetime("us")},
    )


def dataset() -> Dataset:
    """Declare them, with a cursor that must not lie in the future."""
    columns: dict[str, dy.Column] = {
        "id": dy.Int64(nullable=False),
        "moment": dy.Datetime(nullable=False, time_unit="us", time_zone="UTC"),
        "local": dy.Datetime(nullable=False, time_unit="us"),
        "zoned": dy.Datetime(nullable=False, time_unit="us", time_zone="Europe/Berlin"),
    }
    return Dataset(
        name="t.moments",
        key=("id",),
        schema=type("Moments", (dy.Schema,), dict(columns)),
        columns={
            **{name: pl.col(name) for name in ("id", "moment", "local")},
            "zoned": pl.col("moment").dt.convert_time_zone("Europe/Berlin"),
        },
        cursor="moment",
    )


def main(root: Path) -> None:
    """Play it in a lake below a folder, and print what became of it."""
    lake = Lake(LakeSettings(root=str(root / "lake")))
    land(Landing(lake, "t.moments", "t.moments", "run"), Frames([moments()]))
    refined = refine(Refinement(lake, "run"), dataset())
    print(refined.report.accepted, refined.gate is None or refined.gate.open)
    (root / "days.yml").write_text(CONTRACT)
    (root / "days.sql").write_text(
        "SELECT CAST(moment AS DATE) AS day, CAST(date_trunc('day', moment) AS VARCHAR) AS midnight, "
        "hour(moment) AS hour, max(moment) AS newest, max(local) AS local, count(*) AS n FROM t.moments GROUP BY ALL"
    )
    gold = GoldTable.from_sql("t.days", root / "days.sql", ("day", "hour"), root / "days.yml")
    staged = stage(lake, gold, pin(lake, ["t.moments"]))
    judged = audit(lake, gold, staged, "run")
    print(judged is None or judged.open, [] if judged is None else judged.reasons)
    curate(lake, staged, judged)
    for row in lake.must_open("gold", "t.days").scan().sort("day", "hour").collect().iter_rows():
        print(*row)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
