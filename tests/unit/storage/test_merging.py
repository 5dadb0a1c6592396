"""A merge of a few whole numbers as keys names them, and leaves the table as joining with all of its rows does."""

from __future__ import annotations

from pathlib import Path
from random import Random

import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from headworks.errors import HeadworksError
from headworks.storage import delta
from headworks.storage.delta import Table, create_table, open_table


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take these tables for large ones."""
    monkeypatch.setattr(delta, "_MANY_ROWS", 0)


NAMES = ("id", "Row Id", "select", "größe")
SCHEMA: dict[str, pl.DataType] = {
    "text": pl.String(),
    "moment": pl.Datetime("us", "UTC"),
    "price": pl.Decimal(12, 2),
    "list": pl.List(pl.Int64()),
}


def rows(random: Random, name: str, keys: list[int], kind: pl.DataType) -> pl.DataFrame:
    """Return a row for each key, with nulls and values that SQL would take for its own."""
    texts = [random.choice((None, "", "a'b", '"', "x;--", "ß")) for _ in keys]
    moments = pl.Series([random.randrange(10**15) for _ in keys], dtype=pl.Int64)
    prices = pl.Series([random.choice((None, random.randrange(10**6))) for _ in keys], dtype=pl.Int64)
    return pl.DataFrame(
        {
            name: pl.Series(keys, dtype=kind),
            "text": pl.Series(texts, dtype=pl.String),
            "moment": moments.cast(SCHEMA["moment"]),
            "price": prices.cast(SCHEMA["price"]),
            "list": [[random.randrange(3)] * random.randrange(3) for _ in keys],
        },
        schema_overrides=SCHEMA,
    )


def table(root: Path, name: str, kind: pl.DataType) -> Table:
    schema = pl.Schema({name: kind, **SCHEMA})
    return create_table(str(root), "silver.t", None, schema, None, file_size_mb=1, bounds=(name,))


@pytest.mark.parametrize("kind", [pl.Int64(), pl.Int16()], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_merge_by_values_is_a_merge_by_a_join(
    tmp_path: Path, name: str, kind: pl.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(f"merge {name} {kind}")
    named, joined = (table(tmp_path / each, name, kind) for each in ("named", "joined"))
    first = rows(random, name, random.sample(range(-30, 30), 25), kind)
    for each in (named, joined):
        each.append(first.head(15), {"a": 1}, retries=0)
        each.append(first.tail(10), {"a": 2}, retries=0)
    for number in range(4):
        keys = random.sample(range(-40, 40), random.choice((0, 1, 12)))
        changes = rows(random, name, keys, kind)
        there = sorted({*named.scan().collect().get_column(name)} - {*keys})
        goes = random.sample(there, 3) if number % 2 else []
        removed = pl.DataFrame({name: pl.Series(goes, dtype=kind)}) if goes else None
        if changes.is_empty() and removed is None:
            continue
        named.merge(changes, (name,), {"a": 3 + number}, removed)
        with monkeypatch.context() as patch:
            patch.setattr(delta, "_named", lambda *_: None)
            joined.merge(changes, (name,), {"a": 3 + number}, removed)
        ours, theirs = (each.scan().collect().sort(name) for each in (named, joined))
        assert ours.equals(theirs)
        assert ours.schema == theirs.schema
        assert named.transaction("a") == 3 + number
    operations = {entry["operation"] for entry in named._delta.history()}
    assert "MERGE" not in operations


def test_a_merge_by_values_is_refused_where_another_came_first(tmp_path: Path) -> None:
    random, kind = Random("first"), pl.Int64()
    one = table(tmp_path / "t", "id", kind)
    one.append(rows(random, "id", [1, 2, 3], kind), {"a": 1}, retries=0)
    other = open_table(str(tmp_path / "t"), "silver.t", None)
    assert other is not None
    other.merge(rows(random, "id", [2], kind), ("id",), {"a": 2})
    with pytest.raises(CommitFailedError):
        one.merge(rows(random, "id", [3], kind), ("id",), {"a": 2})
    now = open_table(str(tmp_path / "t"), "silver.t", None)
    assert now is not None
    assert now.scan().collect().sort("id").equals(other.scan().collect().sort("id"))


def test_a_key_that_comes_twice_is_refused_as_ever(tmp_path: Path) -> None:
    random, kind = Random("twice"), pl.Int64()
    one = table(tmp_path / "t", "id", kind)
    one.append(rows(random, "id", [1, 2, 3], kind), {"a": 1}, retries=0)
    with pytest.raises(HeadworksError):
        one.merge(rows(random, "id", [2, 2], kind), ("id",), {"a": 2})
    assert one.row_count() == 3


def test_keys_are_in_the_log_only_where_their_files_have_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, kind = Random("log"), pl.Int64()
    one = table(tmp_path / "t", "id", kind)
    for number in range(4):
        keys = list(range(100 * number, 100 * number + 10))
        one.append(rows(random, "id", keys, kind), {"a": number + 1}, retries=0)
    monkeypatch.setattr(delta, "_MANY_ROWS", 20)
    found = []
    for keys in ([101, 102], [50, 350], [5, 101, 301]):
        one.merge(rows(random, "id", keys, kind), ("id",), {"a": 9})
        found.append(one._delta.history(1)[0]["operation"])
    assert found == ["MERGE", "MERGE", "WRITE"]


def test_only_files_that_can_have_one_of_the_keys_are_written_again(tmp_path: Path) -> None:
    random, kind = Random("files"), pl.Int64()
    one = table(tmp_path / "t", "id", kind)
    for number in range(4):
        keys = list(range(10 * number, 10 * number + 10))
        one.append(rows(random, "id", keys, kind), {"a": number + 1}, retries=0)
    before = {*one.files()}
    one.merge(rows(random, "id", [12, 17, 40], kind), ("id",), {"a": 9})
    assert len(before - {*one.files()}) == 1
    assert one.row_count() == 41
