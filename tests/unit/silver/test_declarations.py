"""A slip in a declaration is an error at import: the unknown name, and those that there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from headworks.errors import NameRefused, SettingsError
from headworks.gold.curation import GoldTable
from headworks.silver.dataset import Agreement, Dataset, Reference, refuse_unknown_datasets


class Schema(dy.Schema):
    """A row with a rule of its own."""

    id = dy.Int64(nullable=False)
    v = dy.Int64(nullable=True, min=0)

    @dy.rule()
    def small(cls) -> pl.Expr:
        return pl.col("v") < 100


GOOD = Dataset(
    name="t.good",
    key=("id",),
    schema=Schema,
    columns={"id": pl.col("id"), "v": pl.col("v")},
    cursor="v",
    references=(Reference(("v",), "t.parents", ("id",), "orphan"),),
    warnings=("small",),
    reason_texts={
        "small": "less than a hundred",
        "orphan": "without its parent",
        "v|unreadable": "no number",
    },
)


def gold(folder: Path, **changed: Any) -> GoldTable:
    contract = folder / "there.yml"
    contract.write_text("dataset: lake/gold/t_g\ncolumns: []\n")
    declared: dict[str, Any] = {
        "name": "t.g",
        "inputs": ("t.s",),
        "transform": lambda inputs: inputs["t.s"],
        "key": ("id",),
        "contract": contract,
    }
    return GoldTable(**{**declared, **changed})


SLIPS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "cursor": (lambda _: replace(GOOD, cursor="updated"), "updated", "id, v"),
    "a rule in warnings": (lambda _: replace(GOOD, warnings=("smal",)), "smal", "small"),
    "a reason in reason_texts": (lambda _: replace(GOOD, reason_texts={"orphans": "x"}), "orphans", "orphan"),
    "a column of a reference": (
        lambda _: replace(
            GOOD, references=(Reference(("w",), "t.parents", ("id",), "orphan"),), reason_texts={}
        ),
        "w",
        "id, v",
    ),
    "a reference with fewer columns than the key": (
        lambda _: replace(
            GOOD, references=(Reference(("v",), "t.parents", ("id", "at"), "orphan"),), reason_texts={}
        ),
        "1 columns here and 2 of t.parents",
        "as many columns",
    ),
    "an agreement with another dataset": (
        lambda _: replace(GOOD, agreements=(Agreement("far", pl.col("v") < pl.col("t.other.v")),)),
        "t.other.v",
        "<dataset>.<column>",
    ),
    "a contract of batches": (
        lambda folder: replace(GOOD, contract=folder / "gone.yml"),
        "gone.yml",
        "there.yml",
    ),
    "a contract of the table": (
        lambda folder: replace(GOOD, table_contract=folder / "gone.yml"),
        "gone.yml",
        "there.yml",
    ),
    "a contract of gold": (
        lambda folder: gold(folder, contract=folder / "gone.yml"),
        "gone.yml",
        "there.yml",
    ),
    "a folder of contracts": (
        lambda folder: gold(folder, contract=folder / "none" / "gone.yml"),
        "gone.yml",
        "none",
    ),
    "gold without a key": (lambda folder: gold(folder, key=()), "key", "key"),
    "gold with a column twice in its key": (lambda folder: gold(folder, key=("id", "id")), "key", "key"),
    "gold of nothing": (lambda folder: gold(folder, inputs=()), "inputs", "inputs"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_an_error_at_declaration_with_what_there_is(tmp_path: Path, slip: str) -> None:
    gold(tmp_path)
    make, named, known = SLIPS[slip]
    with pytest.raises(SettingsError) as caught:
        make(tmp_path)
    assert named in caught.value.what
    assert known in caught.value.do
    assert caught.value.where in {"t.good", "t.g"}


@pytest.mark.parametrize("name", ["T.Parents", "t parents", "", "t..p"])
def test_names_of_other_datasets_follow_the_grammar(name: str) -> None:
    reference = Reference(("v",), name, ("id",), "orphan")
    for named in ({"references": (reference,)}, {"contract_sees": (name,)}):
        with pytest.raises(NameRefused):
            replace(GOOD, **named)


def test_a_dataset_that_nobody_declared_is_no_parent_and_cannot_be_seen() -> None:
    parents = replace(GOOD, name="t.parents", references=(), reason_texts={})
    refuse_unknown_datasets({one.name: one for one in (GOOD, parents)})
    for slipped in (
        replace(GOOD, references=(Reference(("v",), "t.parent", ("id",), "orphan"),)),
        replace(GOOD, contract_sees=("t.parent",)),
    ):
        with pytest.raises(SettingsError, match=r"not declared: t\.parent\.") as caught:
            refuse_unknown_datasets({one.name: one for one in (slipped, parents)})
        assert caught.value.where == "t.good"
        assert "t.parents" in caught.value.do


def of_rule(holds: Callable[[pl.Expr], pl.Expr]) -> type[dy.Schema]:
    class Held(Schema):
        @dy.rule()
        def is_small(cls) -> pl.Expr:
            return holds(pl.col("v"))

    return Held


@pytest.mark.parametrize(
    "holds",
    [
        lambda value: value == pl.lit(None),
        lambda value: ~(value > pl.lit(None, dtype=pl.Int64)),
        lambda value: pl.lit(None) <= value,
        lambda value: (value > 0) & value.ne(None),
    ],
)
@pytest.mark.filterwarnings("ignore:Comparisons with None")
def test_a_rule_that_compares_with_null_is_refused(holds: Callable[[pl.Expr], pl.Expr]) -> None:
    """It would be null for each row, and null passes: so it is no rule at all, which the declaration says."""
    with pytest.raises(SettingsError, match=r"would pass: is_small\.") as caught:
        replace(GOOD, schema=of_rule(holds))
    assert "is_null()" in caught.value.do


@pytest.mark.parametrize(
    "holds",
    [
        lambda value: value.eq_missing(None),
        lambda value: value.is_in([1, None]),
        lambda value: pl.when(value > 3).then(None).otherwise(True),
        lambda value: pl.lit("null") != value.cast(pl.String),
    ],
)
def test_a_rule_that_null_can_break_is_declared(holds: Callable[[pl.Expr], pl.Expr]) -> None:
    """Only a comparison with null itself is refused."""
    schema = of_rule(holds)
    assert replace(GOOD, schema=schema).schema is schema
