"""A sample of all pairs of types, through bronze, both ways of silver, gold and Postgres, over four runs each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from headworks.bronze import stamping
from headworks.settings import DatabaseSettings
from headworks.storage import delta
from headworks.storage.exact import in_types
from tests.conftest import PostgresServer
from tests.drift.campaign import NESTED, PAIRS, run, sample
from tests.drift.chain import output

CHOSEN = [
    (pl.Decimal(10, 2), pl.Decimal(14, 4)),
    (pl.Float32(), pl.Float64()),
    (pl.Int64(), pl.Float64()),
    (pl.UInt32(), pl.Decimal(10, 2)),
    (NESTED[3], NESTED[2]),
]


@pytest.fixture
def database(postgres: PostgresServer) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(postgres.new_database()))


@pytest.mark.sampled(5)
@pytest.mark.parametrize("pair", [*CHOSEN, *sample(7, 5)], ids=lambda pair: f"{pair[0]} then {pair[1]}")
def test_every_value_is_the_same_in_each_layer_or_its_column_is_refused(
    tmp_path: Path, database: DatabaseSettings, pair: tuple[pl.DataType, pl.DataType]
) -> None:
    stories = run(tmp_path, [pair], 1, database)
    assert not output(stories), output(stories)


def test_a_cast_that_changes_values_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The campaign can fail: each of the casts that Polars makes without a word is seen."""

    def cast(frame: pl.DataFrame, types: Any, *texts: str) -> pl.DataFrame:
        return frame.with_columns(
            pl.col(name).cast(types[name], strict=False) for name in frame.columns if name in types
        )

    assert in_types is not cast
    monkeypatch.setattr(stamping, "in_types", cast)
    monkeypatch.setattr(delta, "in_types", cast)
    monkeypatch.setattr("headworks.bronze.landing.check", lambda *arguments: None)
    pairs = [
        (pl.Int64(), pl.Float64()),
        (pl.Decimal(10, 2), pl.Decimal(38, 38)),
        (pl.Date(), pl.Datetime("us")),
    ]
    stories = run(tmp_path, pairs, 1, None)
    assert all(story.wrong for story in stories), output(stories)


def test_all_pairs_are_many() -> None:
    assert len(PAIRS) == len(set(map(str, PAIRS))) >= 700
