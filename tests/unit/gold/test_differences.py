"""What differs between two versions of gold is found batch by batch, and is what comparing all rows finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from headworks.gold.differences import NotKnown, differences

KEYS: dict[str, tuple[pl.Schema, Any]] = {
    "numbers": (pl.Schema({"k": pl.Int64()}), lambda n: (n - 40,)),
    "texts": (pl.Schema({"k": pl.String()}), lambda n: (f"{'é' * (n % 3)}{n}",)),
    "two": (pl.Schema({"k": pl.String(), "l": pl.Int32()}), lambda n: (f"{n % 5}", n)),
    "three": (
        pl.Schema({"k": pl.Date(), "l": pl.Boolean(), "m": pl.Decimal(12, 2)}),
        lambda n: (date(2026, 1, 1 + n % 7), n % 2 == 0, Decimal(n) / 4),
    ),
    "moments": (
        pl.Schema({"k": pl.Datetime("us", "UTC"), "l": pl.Binary()}),
        lambda n: (datetime(2026, 1, 1 + n % 3, tzinfo=UTC), bytes([n % 256, 255 - n % 256])),
    ),
}
VALUES = pl.Schema({"v": pl.Float64(), "w": pl.List(pl.String()), "x": pl.Struct({"y": pl.Int64()})})
ODD: list[tuple[Any, ...]] = [
    (None, None, None),
    (float("nan"), [], {"y": None}),
    (0.0, [None], {"y": 1}),
    (float("inf"), ["a", None], None),
    (1.5, ["a", "b"], {"y": 2}),
]


def cut(frame: pl.DataFrame, random: Random) -> Iterator[pl.DataFrame]:
    """Yield the rows of a frame in pieces of any size, empty ones among them."""
    at = 0
    while at < frame.height:
        size = random.choice((0, 1, 2, 7, 30, 200))
        yield frame.slice(at, size)
        at += size


def version(numbers: set[int], changed: set[int], kind: str, random: Random) -> pl.DataFrame:
    schema, key = KEYS[kind]
    rows = [(*key(n), *ODD[(n + (n in changed)) % len(ODD)]) for n in numbers]
    random.shuffle(rows)
    frame = pl.DataFrame(rows, schema=pl.Schema({**schema, **VALUES}), orient="row")
    return frame.sort(list(schema))


@pytest.mark.parametrize("kind", KEYS)
def test_what_differs_is_what_comparing_all_rows_finds(kind: str) -> None:
    """However the rows are divided, whatever the key, and whatever came, went or changed."""
    random = Random(f"differences {kind}")
    key = list(KEYS[kind][0])
    for _ in range(40):
        size = random.choice((0, 1, 5, 60, 300))
        numbers = {random.randrange(400) for _ in range(size)}
        some = random.choice((0.0, 0.01, 0.3, 1.0))
        gone = {n for n in numbers if random.random() < some / 2}
        came = {random.randrange(400) for _ in range(round(size * some))}
        changed = {n for n in numbers if random.random() < some}
        before, after = (
            version(numbers, set(), kind, random),
            version((numbers - gone) | came, changed, kind, random),
        )
        found = differences(cut(before, random), cut(after, random), after.schema, key)
        old, new = ({row[: len(key)]: repr(row) for row in each.iter_rows()} for each in (before, after))
        assert {row: repr(found.came.row(n)) for n, row in enumerate(found.came.select(key).iter_rows())} == {
            row: text for row, text in new.items() if old.get(row) != text
        }
        assert sorted(map(repr, found.gone.iter_rows())) == sorted(
            repr(row) for row, text in old.items() if new.get(row) != text
        )
        assert found.rows == after.height
        made = pl.concat([before.join(found.gone, on=key, how="anti"), found.came]).sort(key)
        assert made.equals(after)


ROWS = pl.DataFrame({"k": [1, 2, 3], "v": [1, 2, 3]})
NOT_IN_ORDER: dict[str, tuple[pl.DataFrame, list[str]]] = {
    "another order": (ROWS.reverse(), ["k"]),
    "a key twice": (pl.concat([ROWS, ROWS.tail(1)]), ["k"]),
    "a key without a value": (pl.DataFrame({"k": [None, 2, 3], "v": [1, 2, 3]}), ["k"]),
    "the last key without a value": (pl.DataFrame({"k": [1, 2, None], "v": [1, 2, 3]}), ["k"]),
    "one row without a key": (pl.DataFrame({"k": [None], "v": [1]}, schema=ROWS.schema), ["k"]),
    "a key of floats": (pl.DataFrame({"k": [1.0, 2.0], "v": [1, 2]}), ["k"]),
    "a key of lists": (pl.DataFrame({"k": [[1], [2]], "v": [1, 2]}), ["k"]),
    "no such column": (ROWS, ["other"]),
}


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("which", NOT_IN_ORDER)
def test_nothing_is_said_of_rows_without_an_order(which: str, size: int) -> None:
    """Whichever of both it is, and also where a batch ends between the two rows."""
    frame, key = NOT_IN_ORDER[which]
    none = frame.clear()
    for before, after in ((frame, none), (none, frame), (frame, frame.head(1)), (frame, frame)):
        old, new = ([each.slice(at, size) for at in range(0, each.height, size)] for each in (before, after))
        with pytest.raises(NotKnown):
            differences(old, new, frame.schema, key)


def test_most_rows_are_not_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headworks.gold.differences.MOST", 2)
    with pytest.raises(NotKnown, match="most rows differ"):
        differences([ROWS], [ROWS.with_columns(v=pl.lit(9))], ROWS.schema, ["k"])


def test_rows_that_differ_keep_no_batch_in_memory() -> None:
    """Of a batch one row differs, and its texts lie in the memory of all the others'."""

    def batches(word: str) -> Iterator[pl.DataFrame]:
        for start in range(0, 20_000, 1_000):
            texts = [f"{number} is a text that is long enough" * 4 for number in range(start, start + 1_000)]
            texts[7] += word
            numbers = pa.array(range(start, start + 1_000))
            yield pl.DataFrame(pa.table({"id": numbers, "text": pa.array(texts, pa.string_view())}))

    schema = pl.Schema({"id": pl.Int64(), "text": pl.String()})
    before = pa.total_allocated_bytes()
    found = differences(batches("a"), batches("b"), schema, ("id",))
    assert found.came.height == 20
    assert pa.total_allocated_bytes() - before < 500_000
