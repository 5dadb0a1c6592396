"""One NUL in a text of the source: a rule keeps its row out of silver, and all others are published, day after day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.declared import read_dataset
from headworks.errors import PublicationRefused
from headworks.silver.dataset import Dataset
from headworks.silver.refinement import Refinement, refine
from headworks.silver.rejects import open_rejects
from headworks.sources.base import Batch
from headworks.storage.store import Lake
from tests.integration.test_publish_targets import Place, place

__all__ = ["place"]

NAME = "t.names"
DECLARED = """
dataset: t.names
key: [id]
cursor: at
source: {{files: {{block: b, files: {{format: parquet}}}}}}
columns:
  id: {{type: Int64, required: true}}
  name: {name}
  at: {{type: Int64}}
"""
NO_NUL = r"""{type: String, pattern: "[^\\x00]*"}"""


def declared(folder: Path, name: str) -> Dataset:
    """Return the dataset with this declaration of the names."""
    path = folder / "names.yml"
    path.write_text(DECLARED.format(name=name))
    return read_dataset(path)


class Day:
    """Yields one more day of rows."""

    schema = pl.Schema({"id": pl.Int64(), "name": pl.String(), "at": pl.Int64()})

    def __init__(self, number: int, rows: list[tuple[int, str | None]]) -> None:
        self.number = number
        self.frame = pl.DataFrame([(*row, number) for row in rows], schema=self.schema, orient="row")

    def read(self, position: Any, until: Any) -> Any:
        """Yield the day unless it was read."""
        if position is None or position["n"] < self.number:
            yield Batch(self.frame, {"n": self.number}, read=self.frame.height)


def take(lake: Lake, dataset: Dataset, number: int, rows: list[tuple[int, str | None]]) -> pl.DataFrame:
    """Land and refine a day; returns what gold would be made of."""
    land(Landing(lake, NAME, NAME, f"run {number}"), Day(number, rows))
    outcome = refine(Refinement(lake, f"run {number}"), dataset)
    assert outcome.gate is not None
    assert outcome.gate.open, outcome.gate
    alive = lake.must_open("silver", NAME).scan().filter(~pl.col("_deleted"))
    return alive.select("id", pl.col("name").alias("v")).collect()


def waiting(lake: Lake) -> list[str]:
    """Return the keys of the rejected rows that nobody has decided about."""
    rows = open_rejects(lake, NAME, lake.open("silver", NAME)).collect()
    assert all(reasons.to_list() == ["malformed_name"] for reasons in rows.get_column("reasons"))
    return sorted(rows.get_column("key"))


def test_a_rule_keeps_a_text_with_a_nul_out_and_the_others_are_published(
    place: Place, tmp_path: Path
) -> None:
    """Its row waits under its key, new ones are published past it, and it comes once the source has corrected it."""
    dataset = declared(tmp_path, NO_NUL)
    many: list[tuple[int, str | None]] = [(number, "two\nlines, é") for number in range(10, 110)]
    for number, (rows, published, left) in enumerate(
        [
            ([*many, (1, "a"), (2, "b\0c"), (3, None)], {1: "a", 3: None}, ["2"]),
            ([*many, (4, "d")], {1: "a", 3: None, 4: "d"}, ["2"]),
            ([*many, (1, "a\0")], {1: "a", 3: None, 4: "d"}, ["1", "2"]),
            ([*many, (1, "e"), (2, "bc")], {1: "e", 2: "bc", 3: None, 4: "d"}, []),
        ],
        start=1,
    ):
        place.publishes(take(place.lake, dataset, number, rows))
        assert {key: v for key, v in place.rows() if key < 10} == published
        assert len(place.rows()) == len(published) + 100
        assert waiting(place.lake) == left


def test_without_a_rule_the_publication_is_refused_and_says_which_rule_keeps_such_rows_out(
    place: Place, tmp_path: Path
) -> None:
    """The rule that it names, once declared, leaves the row where it is until the source has corrected it."""
    frame = take(place.lake, declared(tmp_path, "{type: String}"), 1, [(1, "a"), (2, "b\0c")])
    with pytest.raises(PublicationRefused) as caught:
        place.publishes(frame)
    assert "id=2" in caught.value.what
    assert NO_NUL.removeprefix("{type: String, ").removesuffix("}") in caught.value.do
