"""Gold to its consumers: the product's row, and the tables in Postgres."""

from __future__ import annotations

from prefect import get_run_logger
from prefect.events import emit_event

from headworks.errors import SourceUnavailable
from headworks.gold.products import ProductVersion, publish_product
from headworks.gold.table import Staged
from headworks.prefect.blocks import load_database
from headworks.prefect.steps.extract import Run
from headworks.publish.tables import PublishedTable
from headworks.reports import GateReport, PublishReport, TableRef

PUBLISHED = "headworks.product.published"
"""The event of a new publication; its resource is ``headworks.product.<name>``."""


def check_publication(
    run: Run,
    database: str,
    schema_name: str,
    product: str,
    tables: tuple[PublishedTable, ...],
    staged: tuple[Staged, ...],
) -> tuple[GateReport, ...]:
    """Raise what Postgres would refuse of the candidates, before any of them is committed to the lake.

    Returns what the contracts of its tables say of them, where these have any. A database that does not answer decides
    nothing: the product moves in the lake, and Postgres follows with this run or the next one.
    """
    from headworks.publish.postgres import refuse_unpublishable

    try:
        return refuse_unpublishable(
            run.open_lake(),
            load_database(database, postgres=True),
            schema_name,
            product,
            tables,
            staged,
            run.run_id,
            dry_run=run.dry_run,
        )
    except SourceUnavailable as problem:
        get_run_logger().warning(
            "%s: whether it takes the publication is not known yet: %s", database, problem
        )
        return ()


def name_product(run: Run, product: str, tables: tuple[TableRef, ...]) -> ProductVersion:
    """Name the versions of a product's tables in one row, which is what readers open."""
    # What a person took back while the run was at work is not brought back by it.
    rolled_back = None if run.rolled_back is None else run.rolled_back.get(product, 0)
    version = publish_product(run.open_lake(), product, tables, run.run_id, rolled_back=rolled_back)
    get_run_logger().info(
        "%s: publication %d, %s",
        product,
        version.sequence,
        "new" if version.changed else "as before",
    )
    return version


def publish_tables(
    run: Run,
    database: str,
    schema_name: str,
    product: ProductVersion,
    tables: tuple[PublishedTable, ...],
) -> PublishReport:
    """Make a schema of Postgres show the product, in one transaction, and say so to whatever depends on it."""
    from headworks.publish.postgres import publish_postgres

    report = publish_postgres(
        run.open_lake(), load_database(database, postgres=True), schema_name, product, tables, run.run_id
    )
    for warning in report.warnings:
        get_run_logger().warning(warning)
    for gate in report.gates:
        if not gate.open:
            get_run_logger().error("%s: gate closed: %s", gate.scope, "; ".join(gate.reasons))
    for table in report.tables:
        if table.compared:
            get_run_logger().info("%s: all rows were compared, since %s", table.table, table.compared)
    get_run_logger().info(
        "%s: publication %d, %d rows written, %d removed",
        report.target,
        report.sequence,
        sum(table.inserted for table in report.tables),
        sum(table.removed for table in report.tables),
    )
    # Either: a run that was killed between the two steps is finished by the next one.
    if product.changed or report.changed:
        _announce(run, product, report.target)
    return report


def _announce(run: Run, product: ProductVersion, target: str) -> None:
    """Emit the event that deployments can be triggered by; reported again where the publication is tried again."""
    emit_event(
        PUBLISHED,
        resource={
            "prefect.resource.id": f"headworks.product.{product.product}",
            "prefect.resource.name": product.product,
            "headworks.lake": run.lake,
        },
        payload={"sequence": product.sequence, "run_id": run.run_id, "target": target},
    )
