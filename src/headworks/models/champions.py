"""Champions: the models that were promoted, in a gold table that the product names with the scores that they gave.

Which one is the champion is what the product's row says: it names one version of this table, of which the last row is
the champion, and one version of the scores. So a reader never sees scores of one model and another one as champion, and
a rollback of the product brings back both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from headworks.bronze.consumed import id_number
from headworks.errors import LakeRefused, LakeUnusable
from headworks.gold.products import ProductVersion, read_product, rollbacks
from headworks.gold.table import Staged, staged_uri, write_staged
from headworks.models.card import card
from headworks.models.features import CUT
from headworks.models.judging import Measured
from headworks.models.measures import Numbers
from headworks.models.model import Model
from headworks.models.training import MODELS_FOLDER, Matrix, Trained, load, matrix, predict_matrix
from headworks.reports import CheckReport, Report, TableRef
from headworks.storage.store import Lake
from headworks.storage.translating import reading

PART_ROWS = 20_000
"""How many rows are scored at once; a part that was scored is kept until all are."""

_REASONS = 3

SCHEMA = pl.Schema(
    {
        "sequence": pl.Int64(),
        "model": pl.String(),
        "promoted_at": pl.Datetime("us", "UTC"),
        "run_id": pl.String(),
        "horizon_days": pl.Float64(),
        "metric": pl.String(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "calibration_error": pl.Float64(),
        "lift": pl.Float64(),
        "rows": pl.Int64(),
        "positives": pl.Int64(),
        "first_cut": pl.Datetime("us", "UTC"),
        "last_cut": pl.Datetime("us", "UTC"),
        "features_table": pl.String(),
        "features_version": pl.Int64(),
        "code": pl.Int64(),
        "seed": pl.Int64(),
        "trained": pl.String(),
        "measured": pl.String(),
        "checks": pl.String(),
        "card": pl.String(),
    }
)
"""One row for each model that was promoted."""


class Champion(Report):
    """A promoted model: its number, what it is, how good it was when it was promoted, and what it learned from."""

    sequence: int
    trained: Trained
    measured: Measured
    features: TableRef
    promoted_at: datetime
    run_id: str
    checks: tuple[CheckReport, ...] = ()
    importance: dict[str, float] = Field(default_factory=dict)


class Champions(Report):
    """The champions of a product as it is published, the newest last, and the table that the next one goes to."""

    known: tuple[Champion, ...] = ()
    table: TableRef | None = Field(default=None, description="The version that the product names.")
    base_version: int = Field(default=-1, description="The table's newest version when this was read.")
    last_sequence: int = 0
    rolled_back: int = Field(
        default=0, description="How often the product had been rolled back when this was read."
    )

    @property
    def newest(self) -> Champion | None:
        """The champion."""
        return self.known[-1] if self.known else None

    @property
    def promises(self) -> tuple[float, ...]:
        """With which metric each was promoted, the newest last."""
        return tuple(one.measured.value for one in self.known)


def read_champions(
    lake: Lake, product: str, model: Model, version: ProductVersion | None = None
) -> Champions:
    """Return the champions that the product names, or named in a publication; none where none was published yet."""
    version = read_product(lake, product) if version is None else version
    table = lake.open("gold", model.champions)
    if table is None:
        return Champions()
    with reading(table.name):
        last = table.scan().select(pl.col("sequence").max()).collect().item()
    base = Champions(
        base_version=table.version, last_sequence=last or 0, rolled_back=rollbacks(lake).get(product, 0)
    )
    reference = None if version is None else _named(version, model.champions)
    if reference is None:
        return base
    named = lake.must_open("gold", model.champions, reference.version)
    with reading(named.name):
        rows = named.scan().sort("sequence").collect()
    known = tuple(_champion(row) for row in rows.iter_rows(named=True))
    return base.model_copy(update={"known": known, "table": reference})


def _named(version: ProductVersion, dataset: str) -> TableRef | None:
    return next((table for table in version.tables if table.table == f"gold.{dataset}"), None)


def _champion(row: dict[str, Any]) -> Champion:
    kept = json.loads(row["measured"])
    return Champion(
        sequence=row["sequence"],
        trained=Trained.model_validate_json(row["trained"]),
        measured=Measured.model_validate(kept["measured"]),
        importance=kept["importance"],
        features=TableRef.model_validate(kept["features"]),
        promoted_at=row["promoted_at"],
        run_id=row["run_id"],
        checks=tuple(CheckReport.model_validate(one) for one in json.loads(row["checks"])),
    )


def champion_rows(model: Model, champions: Sequence[Champion]) -> pl.DataFrame:
    """Return champions as rows of their table."""
    return pl.DataFrame([_row(model, one) for one in champions], schema=SCHEMA)


def _row(model: Model, one: Champion) -> dict[str, Any]:
    trained, good = one.trained, one.measured
    kept = {
        "measured": good.model_dump(mode="json"),
        "importance": one.importance,
        "features": one.features.model_dump(mode="json"),
    }
    return {
        "sequence": one.sequence,
        "model": trained.file,
        "promoted_at": one.promoted_at,
        "run_id": one.run_id,
        "horizon_days": trained.horizon_days,
        "metric": good.metric,
        "value": good.value,
        "low": good.low,
        "high": good.high,
        "calibration_error": good.calibration_error,
        "lift": good.lift,
        "rows": trained.rows,
        "positives": trained.positives,
        "first_cut": trained.first_cut,
        "last_cut": trained.last_cut,
        "features_table": one.features.id,
        "features_version": one.features.version,
        "code": trained.code,
        "seed": trained.seed,
        "trained": trained.model_dump_json(),
        "measured": json.dumps(kept),
        "checks": json.dumps([check.model_dump(mode="json") for check in one.checks]),
        "card": card(
            model,
            trained,
            good,
            one.importance,
            one.checks,
            one.sequence,
            one.promoted_at,
            one.run_id,
            one.features,
        ),
    }


def score(
    lake: Lake,
    model: Model,
    champion: Champion,
    rows: pl.DataFrame,
    features: TableRef,
    part_rows: int = PART_ROWS,
) -> pl.DataFrame:
    """Return a prediction for each row, with what speaks for it, its features and where they are from.

    It is made by parts, each of which is kept under what it is made from; so a killed run's parts are not made again.
    """
    ordered = rows.sort([CUT, *model.key])
    estimator = load(lake, model, champion.trained.file, f"champion {champion.sequence}")
    parts = []
    paths = []
    for number, start in enumerate(range(0, max(1, ordered.height), part_rows)):
        piece = ordered.slice(start, part_rows)
        path = f"{MODELS_FOLDER}/{model.name}/parts/{_made_from(champion, features, piece)}-{number}.parquet"
        paths.append(path)
        part = _kept(lake, path)
        if part is None:
            part = _scored(model, champion, estimator, piece, features)
            table = part.to_arrow()
            lake.put_rows(path, table.schema, [table])
        parts.append(part)
    made = pl.concat(parts).sort("score", descending=True, maintain_order=True)
    ranked = made.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("rank"))
    tenth = ((pl.col("rank") - 1) * 10 // pl.len() + 1).cast(pl.Int64).alias("tenth")
    return ranked.with_columns(tenth).sort(model.key)


def forget_parts(lake: Lake, model: Model) -> None:
    """Remove the parts of scores: what they came to is in the table."""
    for kept in lake.list_objects(f"{MODELS_FOLDER}/{model.name}/parts"):
        lake.remove_object(kept.path)


def _kept(lake: Lake, path: str) -> pl.DataFrame | None:
    if not any(one.path == path for one in lake.list_objects(path.rpartition("/")[0])):
        return None
    try:
        with reading(path):
            return lake.get_rows(path).collect()
    except LakeRefused:
        raise
    except LakeUnusable:
        # A part that is damaged is made again, as one that is lost.
        return None


def _made_from(champion: Champion, features: TableRef, piece: pl.DataFrame) -> str:
    first = piece.select(CUT).row(0) if piece.height else ("",)
    return f"{id_number(f'{champion.sequence} {champion.trained.file} {features} {first} {piece.height}'):x}"


def _scored(
    model: Model, champion: Champion, estimator: Any, piece: pl.DataFrame, features: TableRef
) -> pl.DataFrame:
    trained = champion.trained
    values = matrix(trained.columns, trained.vocabulary, piece)
    chances = predict_matrix(estimator, values, trained.model)
    kept = [json.dumps(row, default=str) for row in piece.select(trained.columns).iter_rows(named=True)]
    return piece.select(*model.key, CUT).with_columns(
        pl.Series("score", chances, dtype=pl.Float64),
        pl.Series("reasons", list(_reasons(trained, estimator, values, chances, piece)), dtype=pl.String),
        pl.lit(champion.sequence, dtype=pl.Int64).alias("champion"),
        pl.lit(trained.file).alias("model"),
        pl.Series("features", kept, dtype=pl.String),
        pl.lit(features.id).alias("features_table"),
        pl.lit(features.version, dtype=pl.Int64).alias("features_version"),
    )


def _reasons(
    trained: Trained, estimator: Any, values: Matrix, chances: Numbers, piece: pl.DataFrame
) -> Iterator[str]:
    """Yield for each row the features that raise its score most: by how much it falls where one of them is typical.

    It needs nothing of the estimator but its predictions, so it is the same for all of them. Effects are in log-odds.
    """
    odds = _log_odds(chances)
    effects = []
    typical = [_typical(trained, name) for name in trained.columns]
    for place, usual in enumerate(typical):
        changed = values.copy()
        changed[:, place] = usual[0]
        effects.append(odds - _log_odds(predict_matrix(estimator, changed, trained.model)))
    shown = piece.select(trained.columns).rows()
    for row, of_row in enumerate(np.asarray(effects).T if len(chances) else []):
        best = [place for place in np.argsort(-of_row, kind="stable")[:_REASONS] if of_row[place] > 0]
        yield json.dumps(
            [
                {
                    "feature": trained.columns[place],
                    "value": shown[row][place],
                    "typical": typical[place][1],
                    "effect": round(float(of_row[place]), 4),
                }
                for place in best
            ],
            default=str,
        )


def _typical(trained: Trained, name: str) -> tuple[float, Any]:
    """Return a feature's typical value as the estimator gets it, and as people read it."""
    if name in trained.profile["numbers"]:
        median = trained.profile["numbers"][name]["median"]
        return (float("nan"), None) if median is None else (float(median), median)
    counts = trained.profile["categories"][name]["counts"]
    most = max(sorted(counts), key=lambda value: counts[value]) if counts else None
    words = trained.vocabulary.get(name, ())
    return (float(words.index(most)) if most in words else -1.0), most


def _log_odds(chances: Numbers) -> Numbers:
    held = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(held / (1 - held)), dtype=np.float64)


def stage_rows(
    lake: Lake,
    dataset: str,
    frame: pl.DataFrame,
    key: Sequence[str],
    code: int,
    made_from: int,
    base_version: int | None = None,
) -> Staged:
    """Stage rows for a gold table that no transform makes; with ``base_version`` the table must still be at it."""
    table = lake.open("gold", dataset) or lake.ensure("gold", dataset, frame.schema)
    base = table.version if base_version is None or base_version < 0 else base_version
    with reading(table.name):
        there = table.scan().collect()
    ordered = frame.sort(key)
    candidate = f"{made_from:x}-{code:x}-{base}"
    write_staged(lake, dataset, candidate, ordered)
    return Staged(
        dataset=dataset,
        staging_id=candidate,
        base_version=base,
        inputs={"model": made_from},
        code=code,
        rows=ordered.height,
        fresh=True,
        changed=not (there.schema == ordered.schema and there.sort(key).equals(ordered)),
    )


def staged_place(lake: Lake, staged: Staged) -> str:
    """Return where a candidate lies."""
    return staged_uri(lake, staged.dataset, staged.staging_id)
