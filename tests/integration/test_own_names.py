"""A source's columns by any name are kept apart from our own, or refused by name: nothing is lost or misread."""

from __future__ import annotations

import json
from typing import Any

import dataframely as dy
import polars as pl
import pyarrow as pa
import pytest

from headworks.bronze.landing import Landing, land
from headworks.errors import SettingsError
from headworks.gold.table import pin, pinned_inputs
from headworks.names import OWN_IN_BRONZE, OWN_IN_SILVER
from headworks.settings import RejectLimits
from headworks.silver.dataset import Dataset
from headworks.silver.mirror import mirror
from headworks.silver.quarantine import rejected_rows
from headworks.silver.refinement import Refinement, refine
from headworks.sources.files.header import check_names
from headworks.sources.sql.columns import Column, schema_of
from headworks.storage.store import Lake
from tests.support.sources import Frames

NAME = "t.things"


def landed(lake: Lake, frame: pl.DataFrame) -> None:
    land(Landing(lake, NAME, NAME, "run"), Frames([frame]))


def test_columns_that_begin_with_an_underscore_reach_gold(lake: Lake) -> None:
    """As a document store's ``_id`` does; a rejected row has it in its record, too."""
    frame = pl.DataFrame({"_id": ["a", None], "_page": [1, 2], "v": [1, 2]})
    landed(lake, frame)
    dataset = mirror(NAME, ("_id",), frame.schema, None)
    refine(Refinement(lake, "run"), dataset)
    inputs = pinned_inputs(lake, pin(lake, [NAME]), (NAME,))
    assert inputs[NAME].collect().to_dicts() == [{"_id": "a", "_page": 1, "v": 1}]
    kept = rejected_rows(lake, NAME, lake.open("silver", NAME))
    assert kept is not None
    assert json.loads(kept.collect().get_column("record").item()) == {"_id": None, "_page": 2, "v": 2}


@pytest.mark.parametrize("field", sorted(OWN_IN_BRONZE | OWN_IN_SILVER))
def test_a_field_by_the_name_of_a_column_of_ours_is_read_and_means_nothing_to_us(
    lake: Lake, field: str
) -> None:
    schema: dict[str, Any] = {"id": dy.String(nullable=False), "theirs": dy.String(nullable=False)}
    dataset = Dataset(
        name=NAME,
        key=("id",),
        schema=type("Thing", (dy.Schema,), schema),
        fields=("id", field),
        columns={"id": pl.col("id"), "theirs": pl.col(field)},
        limits=RejectLimits(share=1.0),
    )
    records = [json.dumps({"id": str(number), field: True}).encode() for number in range(3)]
    landed(lake, pl.DataFrame({"record": records}))
    assert refine(Refinement(lake, "run"), dataset).report.inserted == 3
    rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
    assert rows.get_column("theirs").to_list() == ["true"] * 3


@pytest.mark.parametrize("name", sorted(OWN_IN_BRONZE | OWN_IN_SILVER))
def test_a_table_or_a_file_with_a_column_of_ours_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        schema_of([Column(name, "bool", "bool", pl.Boolean(), pa.bool_())], "refuse")
    with pytest.raises(Exception, match=name):
        check_names(["id", name.upper(), name])


def test_a_mark_that_is_no_truth_value_makes_no_tombstone(lake: Lake) -> None:
    frame = pl.DataFrame({"id": [1, 2], "_deleted": ["no", "yes"]})
    landed(lake, frame)
    refine(Refinement(lake, "run"), mirror(NAME, ("id",), frame.drop("_deleted").schema, None))
    rows = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted")).collect()
    assert sorted(rows.get_column("id")) == [1, 2]
