"""Training: rows with a known outcome, the matrix that an estimator gets, the fit, and the file of what was fitted.

A file is written by skops and named by its content; it is loaded with the types that the model trusts and no others.
What a training is made from names its record, so one that was killed after the fit is found and not made again.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from headworks.errors import (
    EstimatorFailed,
    GateClosed,
    HeadworksError,
    LakeUnusable,
    ObjectLost,
    SettingsError,
)
from headworks.models.features import CUT, OBSERVED_UNTIL, TARGET_AT
from headworks.models.model import Model
from headworks.reports import Report
from headworks.storage.store import Lake

LABEL = "label"
MODELS_FOLDER = "_headworks/models"
"""Where files of models, records of trainings and parts of scores are."""

_BINS, _OUTCOMES = 10, 2
_FEW_VALUES, _FEW_CUTS, _MOSTLY_EXCHANGED = 30, 3, 0.3
_HEAVY, _ROWS_OF_A_BIN = 0.3, 20
_HARMLESS = ("numpy.dtype",)
"""Types that nothing can be done with, and that estimators of scikit-learn hold."""

_LIBRARIES = ("scikit-learn", "lightgbm", "numpy")

Matrix = np.ndarray[Any, np.dtype[np.float64]]


class Asked(Report):
    """What a run asks of a model: the cut that is scored, the horizon, and the seed of all that is drawn."""

    cut: datetime | None = None
    horizon: timedelta
    seed: int = 1


class Trained(Report):
    """A fitted model: its file, what it learned from, and what that looked like."""

    model: str
    file: str = Field(description="SHA-256 of the file's content, which names it.")
    made_from: str = Field(
        description="Names the features, the code, the seed and the libraries it was made from."
    )
    code: int
    seed: int
    horizon_days: float
    columns: tuple[str, ...]
    vocabulary: dict[str, tuple[str, ...]]
    rows: int
    positives: int
    first_cut: datetime
    last_cut: datetime
    holdout: tuple[datetime, ...]
    profile: dict[str, Any]
    libraries: dict[str, str]
    seconds: float


def check_columns(model: Model, frame: pl.DataFrame) -> None:
    """Raise `SettingsError` where the features have not what the model names, or nothing that an estimator can get."""
    missing = [
        name for name in {**dict.fromkeys(model.columns + model.segments)} if name not in frame.columns
    ]
    if missing:
        raise SettingsError(
            f"The features have no column {', '.join(missing)}; they have {', '.join(frame.columns)}.",
            where=f"{model.scope}, {model.features.name}",
            do="correct the model's numbers, categories and segments, or the features.",
        )
    types = frame.schema
    no_number = [
        f"{name} ({types[name]})"
        for name in model.numbers
        if not (types[name].is_numeric() or types[name] in (pl.Boolean, pl.Null))
    ]
    if no_number:
        raise SettingsError(
            f"These are no numbers: {', '.join(no_number)}.",
            where=f"{model.scope}, {model.features.name}",
            do="name texts as categories; of a moment give the time until the cut, such as the days that passed.",
        )
    nested = [
        f"{name} ({types[name]})"
        for name in (*model.categories, *model.segments)
        if types[name].is_nested() or types[name] == pl.Binary
    ]
    if nested:
        raise SettingsError(
            f"These are no categories: {', '.join(nested)}.",
            where=f"{model.scope}, {model.features.name}",
            do="let the features give one text or number of each row.",
        )


@dataclass(frozen=True)
class Split:
    """Rows with a known outcome: those to learn from, and the newest cuts, which no training has seen."""

    train: pl.DataFrame
    holdout: pl.DataFrame


def newest_cut(frame: pl.DataFrame, asked: Asked) -> datetime | None:
    """Return the cut that is scored: the one that was asked for, or the newest one."""
    cuts = frame.get_column(CUT).unique().sort().to_list()
    if asked.cut is not None:
        cuts = [cut for cut in cuts if cut <= asked.cut]
    return cuts[-1] if cuts else None


def split(model: Model, frame: pl.DataFrame, asked: Asked) -> Split:
    """Return the rows whose outcome is known, divided in time.

    An outcome is known when the horizon and the lag have passed, by what was received, and by the cut that is scored.
    Between what is learned from and what is judged by lies a horizon, so that no outcome is in both.
    """
    scored = newest_cut(frame, asked)
    if scored is None:
        return Split(labelled(frame, asked.horizon), labelled(frame, asked.horizon))
    end = pl.col(CUT) + asked.horizon + model.lag
    known = labelled(frame.filter((end <= pl.col(OBSERVED_UNTIL)) & (end <= scored)), asked.horizon)
    cuts = known.get_column(CUT).unique().sort().to_list()
    newest = cuts[-model.bounds.holdout_cuts :]
    holdout = known.filter(pl.col(CUT).is_in(newest))
    before = known.filter(pl.col(CUT) + asked.horizon <= newest[0]) if newest else known
    order = [CUT, *model.key]
    return Split(before.sort(order), holdout.sort(order))


def labelled(frame: pl.DataFrame, horizon: timedelta) -> pl.DataFrame:
    """Return rows with whether the target happened within the horizon after the cut."""
    happened = pl.col(TARGET_AT).is_not_null() & (pl.col(TARGET_AT) <= pl.col(CUT) + horizon)
    return frame.with_columns(happened.fill_null(value=False).alias(LABEL))


def vocabulary(model: Model, rows: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the values of each category, in an order of their own."""
    return {
        name: tuple(rows.get_column(name).cast(pl.String).drop_nulls().unique().sort().to_list())
        for name in model.categories
    }


def matrix(columns: Sequence[str], words: Mapping[str, Sequence[str]], rows: pl.DataFrame) -> Matrix:
    """Return what an estimator gets: numbers as they are, categories as the place of their value, -1 where unknown."""
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise SettingsError(
            f"The features have no column {', '.join(missing)}.",
            where="models",
            do="correct the model's numbers and categories, or the features.",
        )
    made = []
    for name in columns:
        column = pl.col(name)
        if name in words:
            places = {value: float(place) for place, value in enumerate(words[name])}
            text = column.cast(pl.String)
            coded = (
                text.replace_strict(places, default=-1.0, return_dtype=pl.Float64) if places else pl.lit(-1.0)
            )
            column = pl.when(text.is_not_null()).then(coded)
        made.append(column.cast(pl.Float64).fill_null(float("nan")).alias(name))
    return np.ascontiguousarray(rows.select(made).to_numpy(), dtype=np.float64)


def without_values(model: Model, rows: pl.DataFrame) -> list[str]:
    """Return the features that are null in every row; NaN is a null, as in what an estimator gets."""
    floats = [name for name in model.numbers if rows.schema[name].is_float()]
    known = rows.select(model.columns).with_columns(pl.col(floats).fill_nan(None))
    return [name for name in model.columns if known.get_column(name).null_count() == rows.height]


def fit(model: Model, parts: Split, asked: Asked) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """Fit a new estimator; returns it with the values of the categories."""
    words = vocabulary(model, parts.train)
    values = matrix(model.columns, words, parts.train)
    labels = parts.train.get_column(LABEL).cast(pl.Int8).to_numpy()
    empty = without_values(model, parts.train)
    hint = f" {', '.join(empty)} had no value in any row that is learned from." if empty else ""
    with _estimating(model.name, hint):
        estimator = model.estimator(asked.seed)
        _quiet_libraries()
        estimator.fit(values, labels)
    return estimator, words


def _quiet_libraries() -> None:
    """Let LightGBM log what it says of each split at the level that it has: nobody can act on it."""
    lightgbm = sys.modules.get("lightgbm")
    if lightgbm is not None:
        lightgbm.register_logger(logging.getLogger("headworks.lightgbm"), "debug", "debug")


@contextmanager
def _estimating(model: str, hint: str = "") -> Iterator[None]:
    """Name the model whose estimator raises: what a library says alone does not."""
    try:
        yield
    except HeadworksError:
        raise
    except Exception as problem:
        raise EstimatorFailed(
            f"The estimator of the model {model or 'without a name'} raised {type(problem).__name__}: {problem}"
            f"{'.' if hint else ''}{hint}",
            where=f"model.{model}",
            do="correct the estimator, or the features that it gets, and run again; nothing was published.",
        ) from problem


def predict(
    estimator: Any,
    columns: Sequence[str],
    words: Mapping[str, Sequence[str]],
    rows: pl.DataFrame,
    model: str = "",
) -> Matrix:
    """Return the chance of the target for each row."""
    return predict_matrix(estimator, matrix(columns, words, rows), model)


def predict_matrix(estimator: Any, values: Matrix, model: str = "") -> Matrix:
    """Return the chance of the target for each row of a matrix.

    Raises `EstimatorFailed`, which names the model, where the estimator raises or gives another shape.
    """
    if not len(values):
        return np.zeros(0)
    with _estimating(model):
        chances = np.asarray(estimator.predict_proba(values), dtype=np.float64)
    if chances.shape != (len(values), 2):
        raise EstimatorFailed(
            f"The estimator of the model {model or 'without a name'} gave an array of {chances.shape} for "
            f"{len(values)} rows, where a chance of each of the two outcomes is wanted: {(len(values), 2)}.",
            where=f"model.{model}",
            do="let predict_proba give both, also where one outcome alone was learned from; nothing was published.",
        )
    return chances[:, 1]


def train(lake: Lake, model: Model, frame: pl.DataFrame, asked: Asked, made_from: str) -> Trained:
    """Fit a model and keep its file, unless just that was done already; returns what it is.

    ``made_from`` names the features. Raises `GateClosed` where there is nothing to learn from.
    """
    name = _record_name(model, asked, made_from, newest_cut(frame, asked))
    path = f"{_folder(model)}/trained/{name}.json"
    try:
        there = Trained.model_validate(lake.get_object(path))
        data = lake.get_bytes(file_path(model, there.file))
    except (ObjectLost, ValueError):
        # A record that is damaged is made again, as one that is lost.
        data = None
    # Nor is a file believed that is not what its name says: it is made again under its name.
    if data is not None and is_named(data, there.file):
        # Young again: a file that nothing names may be collected when it is older than any run.
        lake.put_bytes(file_path(model, there.file), data)
        return there
    parts = split(model, frame, asked)
    if parts.train.get_column(LABEL).n_unique() < _OUTCOMES:
        raise GateClosed(
            f"Of {parts.train.height} rows to learn from the outcome is known, and not both outcomes are among them.",
            where=model.scope,
            do="wait until more horizons have passed since the first delivery, or look into the outcomes.",
        )
    began = time.perf_counter()
    estimator, words = fit(model, parts, asked)
    seconds = time.perf_counter() - began
    data = dumped(estimator)
    digest = hashlib.sha256(data).hexdigest()
    trained = described(model, frame, asked, parts, words).model_copy(
        update={
            "file": digest,
            "made_from": name,
            "code": model.code(),
            "libraries": _library_versions(),
            "seconds": round(seconds, 3),
        }
    )
    # The file first: a record without its file would be taken for a training that is done.
    lake.put_bytes(file_path(model, digest), data)
    lake.put_object(path, trained.model_dump(mode="json"))
    return trained


def described(
    model: Model, frame: pl.DataFrame, asked: Asked, parts: Split, words: dict[str, tuple[str, ...]]
) -> Trained:
    """Return what a fitted model learned from, without the file and what that was made by."""
    cuts = parts.train.get_column(CUT).unique().sort().to_list()
    return Trained(
        model=model.name,
        file="",
        made_from="",
        code=0,
        seed=asked.seed,
        horizon_days=asked.horizon / timedelta(days=1),
        columns=model.columns,
        vocabulary=words,
        rows=parts.train.height,
        positives=int(parts.train.get_column(LABEL).sum()),
        first_cut=cuts[0],
        last_cut=cuts[-1],
        holdout=tuple(parts.holdout.get_column(CUT).unique().sort().to_list()),
        profile=profile(model, frame, asked, parts),
        libraries={},
        seconds=0.0,
    )


def dumped(estimator: Any) -> bytes:
    """Return an estimator as a file that is the same for the same estimator, in any process.

    skops names parts by their addresses in memory and stamps the archive with the time; both are taken out.
    """
    from skops import io as skops_io

    places: dict[int, int] = {}
    given = zipfile.ZipFile(io.BytesIO(skops_io.dumps(estimator)))
    schema = json.loads(given.read("schema.json"))
    files: dict[str, str] = {}
    _renumbered(schema, places, files)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in sorted(files.items(), key=lambda pair: pair[1]):
            archive.writestr(zipfile.ZipInfo(new), given.read(old), zipfile.ZIP_DEFLATED)
        archive.writestr(
            zipfile.ZipInfo("schema.json"), json.dumps(schema, sort_keys=True), zipfile.ZIP_DEFLATED
        )
    return made.getvalue()


def _renumbered(part: Any, places: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(part, list):
        for each in part:
            _renumbered(each, places, files)
    elif isinstance(part, dict):
        if isinstance(number := part.get("__id__"), int):
            part["__id__"] = places.setdefault(number, len(places) + 1)
        if isinstance(file := part.get("file"), str) and "__loader__" in part:
            suffix = file.rpartition(".")[2]
            part["file"] = files.setdefault(file, f"{len(files) + 1:04d}.{suffix}")
        for value in part.values():
            _renumbered(value, places, files)


def load(lake: Lake, model: Model, file: str, which: str) -> Any:
    """Load the estimator of a file by its name; ``which`` says in errors which one of the model it is.

    Raises `ObjectLost` where it is not there or its content is not what its name says, and `LakeUnusable` where it
    holds a type that the model does not trust, or the libraries cannot read it.
    """
    data = lake.get_bytes(file_path(model, file))
    return loaded(data, file, model.trusted, f"{which} of the model {model.name}")


def loaded(data: bytes, file: str, trusted: Sequence[str], of: str = "a model") -> Any:
    """Return the estimator of a file's content, if it is the content that the name says and of trusted types alone.

    ``of`` says in errors which model's file it is.
    """
    from skops import io as skops_io

    where = f"{of}, {file[:12]}.skops"
    if not is_named(data, file):
        raise ObjectLost(
            f"The content of the file of {of} is not what its name says.",
            where=where,
            do="restore the file, or train again; nothing was loaded.",
        )
    allowed = [*_HARMLESS, *trusted]
    strange = sorted({*skops_io.get_untrusted_types(data=data)} - {*allowed})
    if strange:
        raise LakeUnusable(
            f"The file of {of} holds types that the model does not trust: {', '.join(strange)}.",
            where=where,
            do=f"if they are what its estimator consists of, add {', '.join(map(repr, strange))} to trusted of the "
            "Model and run again; if not, train again. Nothing was loaded.",
        )
    try:
        return skops_io.loads(data, trusted=allowed)
    except Exception as problem:
        raise LakeUnusable(
            f"The file of {of} cannot be read by the libraries that are installed: {type(problem).__name__}: {problem}",
            where=where,
            do="install the versions that its card names, or train again. Nothing was loaded.",
        ) from problem


def is_named(data: bytes, file: str) -> bool:
    """Return whether the content of a file is what its name says."""
    return hashlib.sha256(data).hexdigest() == file


def made_again(lake: Lake, model: Model, trained: Trained, frame: pl.DataFrame) -> bool:
    """Put the file of a model again, from the features that it learned from, if that gives the very same bytes."""
    if trained.code != model.code() or trained.libraries != _library_versions():
        return False
    asked = Asked(horizon=timedelta(days=trained.horizon_days), seed=trained.seed)
    parts = split(model, frame, asked)
    if parts.train.get_column(LABEL).n_unique() < _OUTCOMES:
        return False
    estimator, _ = fit(model, parts, asked)
    data = dumped(estimator)
    if not is_named(data, trained.file):
        return False
    lake.put_bytes(file_path(model, trained.file), data)
    return True


def profile(model: Model, frame: pl.DataFrame, asked: Asked, parts: Split) -> dict[str, Any]:
    """Return what later data is held against: how each feature was distributed when the model was made.

    That is over the newest cuts before the scored one, and not over all that was learned from: a company grows, and
    its customers become older.
    """
    scored = newest_cut(frame, asked)
    cuts = [cut for cut in frame.get_column(CUT).unique().sort().to_list() if scored is None or cut <= scored]
    newest = frame.filter(pl.col(CUT).is_in(cuts[-3:]))
    return {
        "rows": newest.height / max(1, newest.get_column(CUT).n_unique()),
        "share": float(parts.train.get_column(LABEL).mean() or 0.0),  # type: ignore[arg-type]
        **feature_profiles(frame, cuts, model.numbers, model.categories),
    }


def feature_profiles(
    frame: pl.DataFrame, cuts: Sequence[Any], numbers: Sequence[str], categories: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return how features were distributed over the newest of some cuts."""
    recent = frame.filter(pl.col(CUT).is_in(cuts[-8:]))
    return {
        "numbers": {
            name: {**number_profile(recent.get_column(name)), "medians": _shared(recent, name)}
            for name in numbers
        },
        "categories": {name: category_profile(recent.get_column(name)) for name in categories},
    }


def _shared(rows: pl.DataFrame, name: str) -> list[float] | None:
    """Return the median at each cut of a feature that many rows share, such as one of their carrier; None of another.

    At one cut it has few values, and at the next one others, so that its distribution over rows says nothing.
    """
    # As in what the estimator gets, no number is a null: NaN is unlike itself and would be another value at each cut.
    rows = rows.select(CUT, pl.col(name).cast(pl.Float64).fill_nan(None))
    by_cut = rows.group_by(CUT).agg(
        pl.col(name).n_unique().alias("different"), pl.col(name).median().alias("median")
    )
    at_a_cut = max(by_cut.get_column("different").to_list(), default=0)
    if by_cut.height < _FEW_CUTS or at_a_cut > _FEW_VALUES:
        return None
    if rows.get_column(name).n_unique() < 3 * at_a_cut and _exchanged(rows, name) < _MOSTLY_EXCHANGED:
        return None
    return [float(value) for value in by_cut.sort(CUT).get_column("median").drop_nulls()]


def _exchanged(rows: pl.DataFrame, name: str) -> float:
    """Return which share of the rows has another value at the next cut, as usual: one of what belongs to rows has few.

    It is the total variation between the distributions of cuts that follow each other.
    """
    shares = (
        rows.group_by(CUT, pl.col(name).alias("value"))
        .len()
        .with_columns(pl.col("len") / pl.col("len").sum().over(CUT))
    )
    by_cut = {
        cut[0]: dict(part.select("value", "len").iter_rows())
        for cut, part in shares.partition_by(CUT, as_dict=True).items()
    }
    ordered = [by_cut[cut] for cut in sorted(by_cut)]
    changed = [
        sum(abs(one.get(value, 0.0) - other.get(value, 0.0)) for value in {*one, *other}) / 2
        for one, other in itertools.pairwise(ordered)
    ]
    return float(np.median(changed))


def number_profile(values: pl.Series, edges: Sequence[float] | None = None) -> dict[str, Any]:
    """Return how numbers are distributed over bins, made of their own quantiles where none are given.

    Where none are given, also what the outer bins do not show: the lowest and the highest value, and where one value is
    in much of the rows, such as zero, how the rest is distributed.
    """
    numbers = values.cast(pl.Float64).fill_nan(None)
    there = numbers.drop_nulls().to_numpy()
    own = {} if edges is not None else _outer(there)
    edges = _edges(there) if edges is None else edges
    return {
        "edges": list(edges),
        "counts": _counted(there, edges),
        "nulls": numbers.null_count() / max(1, numbers.len()),
        "rows": numbers.len(),
        "median": float(np.median(there)) if len(there) else None,
        **own,
    }


def _edges(there: Matrix, bins: int = _BINS) -> list[float]:
    """Return the ends of bins with as many rows each; where the lowest value fills one, another lies below it."""
    if not len(there):
        return []
    cuts = [float(cut) for cut in np.unique(np.quantile(there, np.linspace(0, 1, bins + 1)[1:-1]))]
    lowest = float(there.min())
    return [float(np.nextafter(lowest, -np.inf)), *cuts] if cuts and cuts[0] <= lowest else cuts


def _counted(there: Matrix, edges: Sequence[float]) -> list[int]:
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), there, side="left")
    return [int(count) for count in np.bincount(places, minlength=len(edges) + 1)]


def _outer(there: Matrix) -> dict[str, Any]:
    if not len(there):
        return {"low": None, "high": None, "rest": None}
    values, counts = np.unique(there, return_counts=True)
    heaviest = float(values[np.argmax(counts)])
    rest = there[there != heaviest]
    heavy = counts.max() >= _HEAVY * len(there) and len(rest)
    edges = _edges(rest, min(_BINS, max(2, len(rest) // _ROWS_OF_A_BIN))) if heavy else []
    return {
        "low": float(values[0]),
        "high": float(values[-1]),
        "rest": {"without": heaviest, "edges": edges, "counts": _counted(rest, edges)} if heavy else None,
    }


def category_profile(values: pl.Series) -> dict[str, Any]:
    """Return how often each value comes."""
    texts = values.cast(pl.String)
    counted = texts.drop_nulls().value_counts().sort(values.name)
    return {
        "counts": dict(counted.iter_rows()),
        "nulls": texts.null_count() / max(1, texts.len()),
        "rows": texts.len(),
    }


def _record_name(model: Model, asked: Asked, made_from: str, scored: datetime | None) -> str:
    versions = list(_library_versions().values())
    parts = [made_from, model.code(), asked.seed, asked.horizon / timedelta(days=1), str(scored), versions]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=10).hexdigest()


def _library_versions() -> dict[str, str]:
    try:
        return {library: metadata.version(library) for library in _LIBRARIES}
    except metadata.PackageNotFoundError as problem:
        raise SettingsError(
            f"Models need {problem.name}, which is not installed.",
            where="models",
            do="pip install 'headworks[models]'.",
        ) from problem


def _folder(model: Model) -> str:
    return f"{MODELS_FOLDER}/{model.name}"


def file_path(model: Model, digest: str) -> str:
    """Return where the file of a model is."""
    return f"{_folder(model)}/{digest}.skops"
