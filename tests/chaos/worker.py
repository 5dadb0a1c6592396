"""A process that takes one pass through the engine and says where it is, to be killed anywhere on the way.

It imports everything first, then waits for one line on its standard input, the mode; so the next worker warms up
while one is at work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import cast

# The engine imports Soda late; a worker has it before it says anything, or its first gate would take a second.
import soda_core.contracts  # noqa: F401
import soda_duckdb.common.data_sources.duckdb_data_source  # noqa: F401
from pydantic import SecretStr

from headworks.bronze.ingest import Ingest, IngestRequest, Mode, ingest
from headworks.bronze.readers import ResourceIngest, TableIngest
from headworks.gold.curation import audit, curate, stage
from headworks.gold.products import publish_product
from headworks.gold.table import pin
from headworks.publish.postgres import publish_postgres
from headworks.reports import GateReport, LandingReport
from headworks.settings import DatabaseSettings, LakeSettings
from headworks.silver.refinement import Refinement, refine
from headworks.sources.api.auth import BearerAuth
from headworks.sources.api.client import ApiClient
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.source import ApiSource
from headworks.sources.sql.postgres import PostgresTable
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake
from shop import datasets, gold
from tests.chaos.breaking import BREAKS, break_engine
from tests.chaos.marking import Voice, mark_engine
from tests.chaos.steps import DONE, Place, landed

BATCH_ROWS = 60
"""Small, so that a pass has several batches to be killed between."""


@dataclass(frozen=True)
class Pass:
    """What one pass works with."""

    lake: Lake
    database: DatabaseSettings
    api: ApiClient
    run_id: str
    mode: Mode
    seed: str
    voice: Voice


def main(arguments: Sequence[str] | None = None) -> int:
    """Wait for the mode, take one pass, and return the exit code."""
    options = _parser().parse_args(arguments)
    voice = Voice(options.hold)
    mark_engine(voice)
    if options.break_:
        break_engine(options.break_, voice)
    mode = sys.stdin.readline().strip()
    if not mode:
        return 0
    settings = ApiSettings(base_url=options.api, auth=BearerAuth(token=SecretStr(options.token)))
    take(
        Pass(
            Lake(LakeSettings(root=options.lake)),
            DatabaseSettings(url=SecretStr(options.dsn)),
            ApiClient(settings),
            options.run_id,
            cast(Mode, mode),
            options.seed,
            voice,
        )
    )
    voice.say(DONE)
    return 0


def take(work: Pass) -> None:
    """Take everything from the sources to the consumers, once."""
    for extract in _extracts(work):
        extract()
    for independent in datasets.IN_ORDER:
        for dataset in independent:
            with work.voice.within(Place("silver", "step", dataset.name)):
                _require_open(refine(Refinement(work.lake, work.run_id), dataset).gate)
    pins = pin(work.lake, list(gold.INPUTS))
    audited = []
    for table in gold.TABLES:
        with work.voice.within(Place("gold", "step", table.name)):
            staged = stage(work.lake, table, pins)
            audited.append((staged, _require_open(audit(work.lake, table, staged))))
    curated = []
    for staged, gate in audited:
        with work.voice.within(Place("gold", "step", staged.dataset)):
            curated.append(curate(work.lake, staged, gate).table)
    with work.voice.within(Place("products", "step", gold.PRODUCT)):
        product = publish_product(work.lake, gold.PRODUCT, curated, work.run_id)
    with work.voice.within(Place("postgres", "step", gold.PRODUCT)):
        publish_postgres(work.lake, work.database, gold.SCHEMA, product, gold.PUBLISHED)


def _extracts(work: Pass) -> list[Callable[[], None]]:
    """Return the taking-in of each source, in an order of chance: none depends on another."""
    tables: dict[str, Ingest] = {
        dataset.name: TableIngest(
            PostgresTable(
                work.database,
                Table(
                    schema_name=table.schema_name,
                    name=table.table,
                    cursor=table.cursor,
                    batch_rows=BATCH_ROWS,
                ),
            )
        )
        for dataset, table in datasets.TABLES
    }
    resources: dict[str, Ingest] = {
        dataset.name: ResourceIngest(ApiSource(work.api, resource, unlanded_pages=2))
        for dataset, resource in datasets.RESOURCES
    }

    def extract(name: str) -> None:
        request = IngestRequest(work.lake, name, work.run_id, work.mode)
        with work.voice.within(Place("bronze", "step", name)):
            ingest(request, {**tables, **resources}[name], lambda report: _acknowledge(work, report))

    names = sorted({**tables, **resources})
    Random(work.seed).shuffle(names)
    return [partial(extract, name) for name in names]


def _acknowledge(work: Pass, report: LandingReport) -> None:
    work.voice.say(landed(report.stream, report.last_sequence))


def _require_open(gate: GateReport | None) -> GateReport | None:
    if gate is not None and not gate.open:
        raise SystemExit(f"The gate of {gate.scope} is closed: {'; '.join(gate.reasons)}")
    return gate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.worker", description=__doc__)
    parser.add_argument("--lake", required=True, help="the lake's folder")
    parser.add_argument("--dsn", required=True, help="the Postgres of the shop and of the publication")
    parser.add_argument("--api", required=True, help="the address of the shop's API")
    parser.add_argument("--token", required=True, help="the API's token, made up for this campaign")
    parser.add_argument("--run-id", default="chaos")
    parser.add_argument("--seed", default="0", help="decides the order in which the sources are read")
    parser.add_argument("--hold", metavar="LINE", help="stop at this marker line and wait to be killed")
    parser.add_argument("--break", dest="break_", choices=BREAKS, help="make the engine wrong on purpose")
    return parser


if __name__ == "__main__":
    sys.exit(main())
