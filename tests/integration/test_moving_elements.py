"""Elements whose key does not say whose they are, and elements of older arrays that are let in later."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.bronze.landing import Landing, land
from headworks.bronze.nested import Nested
from headworks.errors import SettingsError
from headworks.silver.dataset import Dataset, Reference
from headworks.silver.expressions import whole_number
from headworks.silver.refinement import Refinement, refine
from headworks.silver.replay import replay
from headworks.storage.store import Lake
from tests.integration.test_nested import ANY, LINES, ORDERS, landed, line, lines, order, refined
from tests.support.sources import Frames

LOOSE = replace(LINES, key=("sku",))


class AnyLine(dy.Schema):
    """A line of which nothing is asked."""

    order_id = dy.Int64(nullable=False)
    place = dy.Int64(nullable=False)
    version = dy.Int64(nullable=False)
    sku = dy.String(nullable=False)
    quantity = dy.Int64(nullable=False)


class SkuSchema(dy.Schema):
    """What lines may be of."""

    sku = dy.String(nullable=False)


SKUS = Dataset(
    name="t.skus",
    key=("sku",),
    schema=SkuSchema,
    fields=("sku",),
    columns={"sku": pl.col("sku")},
    limits=ANY,
)


def found(lake: Lake) -> dict[str, int]:
    return {sku: number for number, _, sku, _ in lines(lake)}


@pytest.mark.parametrize("part_rows", [1_000, 2])
@pytest.mark.parametrize("cursor", ["version", None])
@pytest.mark.parametrize("seed", range(4))
def test_an_element_belongs_to_the_parent_of_its_newest_version_and_ends_with_that_ones_array(
    lake: Lake, seed: int, cursor: str | None, part_rows: int
) -> None:
    """Random arrays of three orders over six runs, many late, against an oracle that knows every array that came."""
    random = Random(f"{seed}{cursor}")
    orders, dataset = replace(ORDERS, cursor=cursor), replace(LOOSE, cursor=cursor)
    loads: list[list[str]] = []
    arrays: list[tuple[int, int, list[str]]] = []
    for _ in range(6):
        for _ in range(random.randint(1, 2)):
            load = []
            for _ in range(random.randint(1, 3)):
                number, version = random.randint(1, 3), random.randint(1, 12)
                skus = random.sample("abcd", random.choice((0, 1, 2, 3)))
                arrays.append((number, version if cursor else 0, skus))
                load.append(order(number, version, *(line(sku, 1) for sku in skus)))
            loads.append(load)
        landed(lake, *loads)
        for one in (orders, dataset):
            outcome = refine(Refinement(lake, "run", part_rows=part_rows), one)
            assert outcome.gate is None or outcome.gate.open, outcome.gate
        assert found(lake) == wanted(arrays)


def wanted(arrays: list[tuple[int, int, list[str]]]) -> dict[str, int]:
    """Return in whose newest array each element is, unless a newer array of another order had it since."""
    placed = [(version, came, number, skus) for came, (number, version, skus) in enumerate(arrays)]
    newest = {number: max(one[:2] for one in placed if one[2] == number) for _, _, number, _ in placed}
    last = {sku: max(one for one in placed if sku in one[3]) for _, _, _, skus in placed for sku in skus}
    return {sku: one[2] for sku, one in last.items() if newest[one[2]] == one[:2]}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("key", [("order_id", "place"), ("sku",)])
@pytest.mark.parametrize("cursor", ["version", None])
@pytest.mark.parametrize("way", ["waited", "rejected"])
def test_an_element_that_was_kept_back_is_not_raised_where_a_newer_array_lacks_it(
    lake: Lake, way: str, cursor: str | None, key: tuple[str, ...]
) -> None:
    """Its parent comes, or its rule changes, after a newer array; over three further runs it stays away."""
    to_skus = (Reference(("sku",), "t.skus", ("sku",), "no_sku"),)
    dataset = replace(
        LINES,
        key=key,
        cursor=cursor,
        references=(*LINES.references, *to_skus) if way == "waited" else LINES.references,
    )
    orders = replace(ORDERS, cursor=cursor)
    with_skus(lake, "a")
    loads = [[order(1, 3, line("a", 1), line("b", 1 if way == "waited" else 0))], [order(1, 6, line("a", 1))]]
    for count in (1, 2):
        landed(lake, *loads[:count])
        refined(lake, orders, dataset)
        assert found(lake) == {"a": 1}
    with_skus(lake, "a", "b")
    if way == "rejected":
        dataset = replace(dataset, schema=AnyLine)
        report = replay(Refinement(lake, "run"), dataset, by="ada", note="none is asked for").report
        assert (report.judged, report.released, report.superseded) == (1, 0, 1)
    for _ in range(2):
        refined(lake, dataset)
        assert found(lake) == {"a": 1}
    landed(lake, *loads, [order(1, 9, line("a", 1), line("b", 1))])
    refined(lake, orders, dataset)
    assert found(lake) == {"a": 1, "b": 1}


def with_skus(lake: Lake, *skus: str) -> None:
    frames = [pl.DataFrame({"record": [json.dumps({"sku": sku}).encode()]}) for sku in skus]
    land(Landing(lake, "t.skus", "t.skus", "run"), Frames(frames))
    refined(lake, SKUS)


def test_a_key_that_does_not_say_whose_a_row_is_is_refused_where_its_end_could_not_be_known() -> None:
    for keeps in ("first", "history"):
        with pytest.raises(SettingsError, match="add order_id to the key"):
            replace(LOOSE, keeps=keeps)

    class Located(AnyLine):
        country = dy.String(nullable=True)

    given = Nested("t.orders", "lines", {**dict(LOOSE.nested.given), "country": "country"}, index="place")  # type: ignore[union-attr]
    more: dict[str, Any] = {
        "schema": Located,
        "nested": given,
        "columns": {**LOOSE.columns, "country": pl.col("country")},
    }
    more["fields"] = (*LOOSE.fields, "country")
    with pytest.raises(SettingsError, match="of order_id, country it is not known"):
        replace(LOOSE, **more, references=())
    assert replace(LOOSE, **more).owner == ("order_id",)
    assert replace(LOOSE, **more, references=(), key=("order_id", "sku")).owner == ("order_id",)


class LotSchema(dy.Schema):
    """A lot of which a line was taken."""

    order_id = dy.Int64(nullable=False)
    line = dy.String(nullable=False)
    lot = dy.String(nullable=False)
    version = dy.Int64(nullable=False)
    n = dy.Int64(nullable=False)


BY_SKU = replace(LINES, key=("order_id", "sku"))
LOTS = Dataset(
    name="t.lots",
    key=("order_id", "line", "lot"),
    schema=LotSchema,
    fields=("order_id", "line", "lot", "version", "n"),
    columns={
        **{name: whole_number(name) for name in ("order_id", "version", "n")},
        **{name: pl.col(name) for name in ("line", "lot")},
    },
    cursor="version",
    nested=Nested("t.lines", "lots", {"order_id": "order_id", "line": "sku", "version": "version"}),
    limits=ANY,
)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("part_rows", [1_000, 2])
@pytest.mark.parametrize("seed", range(4))
def test_elements_of_elements_are_those_of_the_newest_record(lake: Lake, seed: int, part_rows: int) -> None:
    """Orders, their lines, and the lines' lots, in any order and often empty, over five runs."""
    random = Random(seed)
    loads: list[list[str]] = []
    newest: dict[int, tuple[int, int, dict[str, dict[str, int]]]] = {}
    came = 0
    for _ in range(5):
        for _ in range(random.randint(1, 2)):
            load = []
            for _ in range(random.randint(1, 2)):
                number, version = random.randint(1, 2), random.randint(1, 12)
                came += 1
                skus = random.sample("abc", random.randint(0, 2))
                of = {
                    sku: {lot: random.randint(1, 99) for lot in random.sample("xyz", random.randint(0, 2))}
                    for sku in skus
                }
                newest[number] = max(
                    newest.get(number, (0, 0, {})), (version, came, of), key=lambda one: one[:2]
                )
                given = [
                    {**line(sku, 1), "lots": [{"lot": lot, "n": n} for lot, n in lots.items()]}
                    for sku, lots in of.items()
                ]
                load.append(order(number, version, *given))
            loads.append(load)
        landed(lake, *loads)
        for one in (ORDERS, BY_SKU, LOTS):
            outcome = refine(Refinement(lake, "run", part_rows=part_rows), one)
            assert outcome.gate is None or outcome.gate.open, outcome.gate
        want = {
            (o, sku, lot, n)
            for o, (_, _, of) in newest.items()
            for sku, lots in of.items()
            for lot, n in lots.items()
        }
        table = lake.open("silver", "t.lots")
        rows = table.scan().filter(~pl.col("_deleted")) if table is not None else None
        assert rows is None or {*rows.select("order_id", "line", "lot", "n").collect().rows()} == want
