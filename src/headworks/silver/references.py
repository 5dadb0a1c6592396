"""References between datasets: rows whose parents are in silver and agree with them, and rows that have to wait."""

from __future__ import annotations

import polars as pl

from headworks.errors import SettingsError
from headworks.names import window_of
from headworks.quality.rules import REASONS, Verdict, all_among
from headworks.silver.dataset import CURRENT, DELETED, Agreement, Dataset, Reference
from headworks.storage.exact import exactly, same_kind
from headworks.storage.near import among
from headworks.storage.rehearsal import has_unknown, with_changes
from headworks.storage.store import Lake


def split_orphans(lake: Lake, dataset: Dataset, rows: pl.DataFrame) -> Verdict:
    """Divide ``rows`` into those whose parents are all in silver and agree, and those with the reasons why not.

    Raises `SettingsError` where a row is to be held against a parent that its reference does not name alone.
    """
    if not dataset.references or rows.is_empty():
        return Verdict(
            rows,
            rows.head(0).with_columns(pl.lit([], dtype=pl.List(pl.String)).alias(REASONS)),
        )
    marked = rows
    for number, reference in enumerate(dataset.references):
        parents = _in_types_of(rows, _live_parents(lake, dataset, reference, rows), reference)
        marked = marked.join(
            parents.with_columns(pl.lit(True).alias(f"_parent{number}")),
            on=list(reference.columns),
            how="left",
            maintain_order="left",
        )
    missing = [
        pl.when(pl.col(f"_parent{number}").is_null() & ~_refers_to_nothing(dataset, reference)).then(
            pl.lit(reference.reason)
        )
        for number, reference in enumerate(dataset.references)
    ]
    # Without its parent a row has nulls to be held against, which pass: it is reported that the parent is missing,
    # alone.
    apart = [
        pl.when(~one.holds | _compares_no_number(one, marked)).then(pl.lit(one.reason))
        for one in dataset.agreements
    ]
    verdicts = marked.with_columns(pl.concat_list(*missing, *apart).list.drop_nulls().alias(REASONS)).select(
        *rows.columns, REASONS
    )
    linked = pl.col(REASONS).list.len() == 0
    return Verdict(verdicts.filter(linked).drop(REASONS), verdicts.filter(~linked))


def _compares_no_number(agreement: Agreement, rows: pl.DataFrame) -> pl.Expr:
    """Return which rows are held against NaN, or have one: it equals nothing, and Polars takes it for the largest."""
    names = dict.fromkeys(agreement.holds.meta.root_names())
    floats = [pl.col(name).is_nan() for name in names if rows.schema[name].is_float()]
    return pl.any_horizontal(*floats).fill_null(value=False) if floats else pl.lit(False)


def _in_types_of(rows: pl.DataFrame, parents: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """Return parents with keys in the types of the rows that refer to them; one that does not fit has no child."""
    pairs = {name: (parents.schema[name], rows.schema[name]) for name in reference.columns}
    if apart := [
        f"{name} is {there} and its parent's key {here}"
        for name, (here, there) in pairs.items()
        if not same_kind(here, there)
    ]:
        raise SettingsError(
            f"Rows cannot be compared with {reference.parent}: {'; '.join(apart)}.",
            where="",
            do="declare both in the same type.",
        )
    typed = parents.with_columns(exactly(pl.col(name), *both).alias(name) for name, both in pairs.items())
    return typed.drop_nulls(reference.columns)


def _refers_to_nothing(dataset: Dataset, reference: Reference) -> pl.Expr:
    if not dataset.is_optional(reference):
        return pl.lit(value=False)
    return pl.any_horizontal(pl.col(name).is_null() for name in reference.columns)


def parents_elsewhere(lake: Lake, dataset: Dataset, rejected: pl.DataFrame) -> int:
    """Count the rejected rows that lack a parent and nothing else, where it may lie in another window or batch.

    A window has what changed last in its time. Of an order placed in one and shipped in the next, the lines lie in the
    first and the order in the second. A dry run reads parents that it does not land.
    """
    streams = rejected.get_column("_stream").unique()
    windows = [stream for stream in streams if window_of(stream)]
    in_windows = pl.col("_stream").is_in(windows) & all_among(REASONS, dataset.missing_reasons)
    unjudged = [one.reason for one in dataset.references if has_unknown(lake, one.parent)]
    in_batches = all_among(REASONS, unjudged) if unjudged else pl.lit(value=False)
    return rejected.filter(in_windows | in_batches).height


def _no_parents(rows: pl.DataFrame, dataset: Dataset, reference: Reference) -> pl.DataFrame:
    """Return the parents of a dry run that reads the first of them and lands none."""
    compared = {
        f"{reference.parent}.{name}": pl.Null() for name in dataset.compared_columns(reference.parent)
    }
    return pl.DataFrame(schema={**rows.select(reference.columns).schema, **compared})


def _of_children(parents: pl.LazyFrame, reference: Reference, rows: pl.DataFrame) -> pl.LazyFrame:
    """Return the parents that rows refer to, where both have their keys in the same types; else all of them."""
    kinds = parents.collect_schema()
    named = dict(zip(reference.columns, reference.parent_columns, strict=True))
    if any(kinds.get(theirs) != rows.schema[ours] for ours, theirs in named.items()):
        return parents
    keys = rows.select(pl.col(ours).alias(theirs) for ours, theirs in named.items()).drop_nulls().unique()
    return among(parents, keys, list(named.values()))


def of_live_parents(lake: Lake, dataset: Dataset, reference: Reference, rows: pl.DataFrame) -> pl.Series:
    """Return which of some rows refer to a parent that is there, whatever its values."""
    parents = _in_types_of(rows, _live_parents(lake, dataset, reference, rows), reference)
    columns = list(reference.columns)
    found = rows.select(columns).with_row_index("\0place").join(parents, on=columns, how="semi")
    return pl.int_range(rows.height, eager=True).is_in(found.get_column("\0place").implode())


def _live_parents(lake: Lake, dataset: Dataset, reference: Reference, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the keys of a reference's parents as the row names them, with the columns that rows are held against."""
    compared = dataset.compared_columns(reference.parent)
    table = lake.open("silver", reference.parent)
    if table is None and lake.rehearsal is not None:
        return _no_parents(rows, dataset, reference)
    table = table or lake.must_open("silver", reference.parent)
    pairs = zip(reference.parent_columns, reference.columns, strict=True)
    keys = [pl.col(column).alias(name) for column, name in pairs]
    live = with_changes(lake, reference.parent, table.scan()).filter(~pl.col(DELETED))
    live = _of_children(live, reference, rows)
    if not compared:
        return live.select(keys).unique().collect()
    present = live.collect_schema().names()
    if unknown := sorted({*compared} - {*present}):
        raise SettingsError(
            f"{reference.parent} has no column {', '.join(unknown)} to compare with.",
            where=dataset.name,
            do=f"name some of its columns: {', '.join(name for name in present if not name.startswith('_'))}.",
        )
    if CURRENT in present:
        live = live.filter(pl.col(CURRENT))
    named = [pl.col(name).alias(f"{reference.parent}.{name}") for name in compared]
    parents = live.select(*keys, *named).collect()
    if parents.select(reference.columns).is_duplicated().any():
        raise SettingsError(
            f"{', '.join(reference.parent_columns)} is no key of {reference.parent}: which row is meant?",
            where=dataset.name,
            do="refer to a key.",
        )
    return parents
