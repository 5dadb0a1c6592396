"""Weeks of the CRM in minutes: each week is ingested with the clock of its Monday, as a run of that day would have.

What a model may know is decided by when bronze received something. So a demo and a test cannot make a past up: they
have to receive it week by week.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from crm.datasets import SOURCES
from crm.project import CHURN
from crm.serve import Crm
from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import ResourceIngest
from headworks.gold.curation import audit, curate, stage
from headworks.gold.products import ProductVersion, publish_product, rollbacks
from headworks.gold.table import commit_gold, pin
from headworks.models.learning import (
    Accepted,
    FeatureRef,
    Lesson,
    Scored,
    Verdict,
    asked_of,
    judge,
    prepare,
    score_newest,
    train_model,
)
from headworks.prefect.local.serving import serving
from headworks.project import Product
from headworks.reports import GateReport, TableRef
from headworks.silver.refinement import refine
from headworks.silver.work import Refinement
from headworks.sources.api.auth import OAuth2Auth
from headworks.sources.api.client import ApiClient
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.source import ApiSource
from headworks.storage.store import Lake

RUNS_AT = timedelta(hours=5)
"""When on its Monday a week is ingested."""

CLIENT = ("headworks", "only-for-demos")


@dataclass
class Moving:
    """A clock that is set."""

    now: datetime

    def __call__(self) -> datetime:
        """Return the moment that it was set to."""
        return self.now


@contextmanager
def live_crm(crm: Crm) -> Iterator[ApiClient]:
    """Serve a CRM, and give a client of it."""
    name, secret = crm.client
    with serving(crm.app()) as url:
        settings = ApiSettings(
            base_url=url,
            auth=OAuth2Auth(token_url=f"{url}/oauth/token", client_id=name, client_secret=SecretStr(secret)),
        )
        yield ApiClient(settings, name="crm-api")


def ingest_week(
    lake: Lake, client: ApiClient, clock: Callable[[], datetime], run_id: str
) -> list[GateReport]:
    """Land and refine what is new in the CRM; returns the decisions of the gates."""
    land_week(lake, client, clock, run_id)
    return refine_week(lake, clock, run_id)


def land_week(lake: Lake, client: ApiClient, clock: Callable[[], datetime], run_id: str) -> None:
    """Land what is new in the CRM."""
    for dataset, resource in SOURCES:
        ingest(
            IngestRequest(lake, dataset.name, run_id, clock=clock),
            ResourceIngest(ApiSource(client, resource)),
        )


def refine_week(lake: Lake, clock: Callable[[], datetime], run_id: str) -> list[GateReport]:
    """Refine what was landed; returns the decisions of the gates."""
    gates = []
    for dataset, _ in SOURCES:
        outcome = refine(Refinement(lake, run_id, clock), dataset)
        if outcome.gate is not None:
            gates.append(outcome.gate)
    return gates


def ingest_weeks(
    lake: Lake, crm: Crm, clock: Moving, moments: Sequence[datetime], run_id: str
) -> list[GateReport]:
    """Land what is new at each of some moments, and refine all of it at the last one; quicker than week by week."""
    with live_crm(crm) as client:
        for moment in moments:
            clock.now = moment
            land_week(lake, client, clock, run_id)
    return refine_week(lake, clock, run_id)


@dataclass(frozen=True)
class Learned:
    """What a week's learning came to."""

    gates: tuple[GateReport, ...]
    verdict: Verdict | None = None
    scored: Scored | None = None
    product: ProductVersion | None = None

    @property
    def reasons(self) -> list[str]:
        """Why something was refused."""
        return [reason for gate in self.gates for reason in gate.reasons]


def learn_week(
    lake: Lake,
    clock: Callable[[], datetime],
    run_id: str,
    *,
    seed: int = 1,
    accepted: Accepted | None = None,
    of: Product = CHURN,
) -> Learned:
    """Make features, train, judge, score and name the product, as the flow does it without Prefect."""
    (model,), (table,) = of.models, of.tables
    rolled_back = rollbacks(lake).get(of.name, 0)
    pins = pin(lake, list(of.inputs))
    staged = stage(lake, table, pins)
    gate = audit(lake, table, staged, run_id, clock)
    if gate is not None and not gate.open:
        return Learned((gate,))
    features = FeatureRef(table=curate(lake, staged, gate).table)
    asked = asked_of(model, cut=None, horizon_days=None, seed=seed, dry_run=False)
    lesson = Lesson(of.name, model, features, asked, pins, accepted or Accepted())
    data = prepare(lake, lesson, clock)
    if not data.open:
        return Learned((data,))
    trained = train_model(lake, lesson)
    verdict = judge(lake, lesson, trained, data, run_id, clock)
    if verdict.champion is None:
        return Learned((verdict.gate,), verdict)
    scored = score_newest(lake, lesson, verdict)
    if not scored.gate.open:
        return Learned((verdict.gate, scored.gate), verdict, scored)
    references: list[TableRef] = [features.table, commit_gold(lake, scored.scores)]
    if scored.champions is not None:
        references.append(commit_gold(lake, scored.champions))
    elif verdict.champions.table is not None:
        references.append(verdict.champions.table)
    product = publish_product(lake, of.name, references, run_id, clock, rolled_back)
    return Learned((verdict.gate, scored.gate), verdict, scored, product)
