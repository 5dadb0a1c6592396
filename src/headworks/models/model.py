"""How a model is declared: features, target, horizon, estimator, metric and bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl

from headworks.errors import SettingsError
from headworks.gold.code import fingerprint
from headworks.gold.curation import GoldTable
from headworks.names import check_dataset
from headworks.silver.dataset import check_contract

Metric = Literal["roc_auc", "average_precision"]

LIGHTGBM = (
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.basic.Booster",
    "collections.OrderedDict",
)
"""The types that a file of a LightGBM model consists of, apart from those that skops trusts anyway."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Bounds:
    """The limits of a model's gate.

    Data: the rows of the newest cut may be fewer or more than those that the champion learned from by ``rows_change``,
    a feature may have more nulls by ``nulls`` and may have moved by ``feature_drift`` (PSI), few of its values may lie
    further outside the champion's than ``feature_beyond`` times the distance from its lowest to its highest, entities
    may be less like themselves at the cut before by ``alike`` than in the weeks before, and the newest cut may be
    ``age`` old. Training: at least ``rows`` rows, ``positives`` of each class, a share of the target
    within ``class_share`` that differs from the champion's by ``class_change`` at most (a factor), in ``train_s``
    seconds.

    Quality, on the newest ``holdout_cuts`` cuts whose outcome is known: the metric is at least ``least`` and at most
    ``most`` (what is too good knows the target); the challenger is worse than the champion by at most ``worse_by``
    with ``confidence``, by a bootstrap of ``draws`` over entities; predictions are off by ``calibration`` at most; in
    no segment of at least ``segment_rows`` rows is the challenger worse by ``segment_worse_by``; and the scores of the
    newest cut have moved by ``prediction_drift`` (PSI) at most.

    Example:
        >>> Bounds(rows=2_000, least=0.65).most
        0.985
    """

    rows: int = 500
    positives: int = 30
    class_share: tuple[float, float] = (0.002, 0.6)
    class_change: float = 3.0
    train_s: float = 900.0
    least: float = 0.6
    most: float = 0.985
    worse_by: float = 0.05
    calibration: float = 0.03
    segment_rows: int = 200
    segment_worse_by: float = 0.15
    feature_drift: float = 0.25
    feature_beyond: float = 0.5
    alike: float = 0.1
    prediction_drift: float = 0.3
    rows_change: float = 0.3
    nulls: float = 0.1
    age: timedelta = timedelta(days=10)
    holdout_cuts: int = 4
    confidence: float = 0.95
    draws: int = 300


@dataclass(frozen=True)
class Registry:
    """A registered model of MLflow that shows each champion as a version, and the one that scores by an alias.

    Without ``address`` the server is that of ``MLFLOW_TRACKING_URI``.
    """

    name: str
    address: str = ""
    alias: str = "champion"


@dataclass(frozen=True)
class Model:
    """Declares a model that is made, judged and published as part of a product.

    ``features`` is a gold table with a point in time (`headworks.models.features.feature_table`); it must be one of the
    product's tables. ``numbers`` and ``categories`` name the columns that the estimator gets, in this order;
    ``categories`` come as the number of their value in the training rows, unknown ones as -1, and nulls as NaN.

    The target is that the outcome happens within ``horizon`` after the cut. A row's label is known once the horizon
    and ``lag`` have passed, by what was received.

    ``estimator`` makes an untrained estimator with scikit-learn's interface (``fit``, ``predict_proba``) from a seed;
    ``trusted`` are the types that a file of it may consist of, apart from those that skops trusts: nothing else is
    ever loaded. ``segments`` are columns in whose values the model is judged apart.

    ``registry`` shows champions in MLflow too, after they were published.

    Scores go to the gold table ``scores`` and champions to ``champions``; ``contract`` must hold for the scores.

    Args:
        name: one lower-case word.
        estimator: see below; called with the seed.
        contract: the file with the checks of the scores.
        metric: what challenger and champion are compared by.
        bounds: the limits of the model's gate.
        about: what the model is for, on its card.
        scores_name: another gold table for the scores than ``<name>.scores``.
        champions_name: another one for the champions than ``<name>.champions``.

    Raises `SettingsError` for a name, features or times that cannot be.

    Example:
        >>> def newest(known):
        ...     return known.rows("crm.accounts").select("account_id", "seats")
        >>> def left(known):
        ...     return known.rows("crm.ends").select("account_id", at="ended_at")
        >>> class Row(dy.Schema):
        ...     account_id = dy.Int64(nullable=False)
        >>> def rows_of(name):
        ...     return Dataset(name, key=("account_id",), schema=Row, columns={"account_id": pl.col("account_id")})
        >>> features = feature_table(
        ...     "accounts.features",
        ...     (rows_of("crm.accounts"), rows_of("crm.ends")),
        ...     newest,
        ...     left,
        ...     key=("account_id",),
        ...     contract=contract,
        ... )
        >>> Model(
        ...     "leaving",
        ...     features,
        ...     numbers=("seats",),
        ...     horizon=timedelta(days=60),
        ...     estimator=lambda seed: None,
        ...     contract=contract,
        ... ).columns
        ('seats',)
    """

    name: str
    features: GoldTable
    numbers: tuple[str, ...]
    horizon: timedelta
    estimator: Callable[[int], Any]
    contract: Path
    categories: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    metric: Metric = "roc_auc"
    bounds: Bounds = field(default_factory=Bounds)
    lag: timedelta = timedelta(0)
    trusted: tuple[str, ...] = LIGHTGBM
    about: str = ""
    scores_name: str | None = None
    champions_name: str | None = None
    registry: Registry | None = None

    def __post_init__(self) -> None:
        """Check the declaration, so that a slip shows at import and not in the night."""
        if not _NAME.fullmatch(self.name):
            raise SettingsError(
                f"{self.name!r} is not a model's name.", where="models", do="use one lower-case word."
            )
        if not self.columns or len({*self.columns}) != len(self.columns):
            raise SettingsError(
                "A model needs features, each once.",
                where=self.name,
                do="name them as numbers or categories.",
            )
        if self.horizon <= timedelta(0) or self.lag < timedelta(0):
            raise SettingsError(
                "A horizon lies after its cut.",
                where=self.name,
                do="give a horizon above 0, and a lag from 0 on.",
            )
        if "cut" not in self.features.key or not self.features.receipts:
            raise SettingsError(
                f"{self.features.name} has no point in time.",
                where=self.name,
                do="declare it with feature_table, or give it receipts and a key with the column cut.",
            )
        check_contract(self.contract, self.scores)
        for name in (self.scores, self.champions):
            check_dataset(name)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the estimator gets, in their order."""
        return (*self.numbers, *self.categories)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name an entity."""
        return tuple(name for name in self.features.key if name != "cut")

    @property
    def scores(self) -> str:
        """The gold table of predictions."""
        return self.scores_name or f"{self.name}.scores"

    @property
    def champions(self) -> str:
        """The gold table of promoted models, the newest last."""
        return self.champions_name or f"{self.name}.champions"

    @property
    def tables(self) -> tuple[str, ...]:
        """The gold tables that the model adds to its product."""
        return (self.scores, self.champions)

    @property
    def scope(self) -> str:
        """What its gate's decisions are about."""
        return f"model.{self.name}"

    def code(self) -> int:
        """Return a number of 62 bits that changes with what the model is made by."""
        return fingerprint(
            self.estimator, self.columns, self.horizon, self.lag, self.bounds.holdout_cuts, pl.__version__
        )
