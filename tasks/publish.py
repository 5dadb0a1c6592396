"""Gold to its consumers: the product's row, and the tables in Postgres."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.events import emit_event

from blocks import load_database
from headworks.errors import SourceUnavailable
from headworks.gold.products import ProductVersion, publish_product
from headworks.gold.table import Staged
from headworks.publish.postgres import PublishedTable, publish_postgres, refuse_unpublishable
from headworks.reports import PublishReport, TableRef
from tasks.extract import Run
from tasks.policy import EFFECT, shielded

PUBLISHED = "headworks.product.published"
"""The event of a new publication; its resource is ``headworks.product.<name>``."""


@task(name="check-publication", task_run_name="check publication to {database}", **EFFECT)
@shielded
def check_publication(
    run: Run,
    database: str,
    schema_name: str,
    product: str,
    tables: tuple[PublishedTable, ...],
    staged: tuple[Staged, ...],
) -> None:
    """Raise what Postgres would refuse of the candidates, before any of them is committed to the lake.

    A database that does not answer decides nothing: the product moves in the lake, and Postgres follows with this
    run or the next one.
    """
    try:
        refuse_unpublishable(
            run.open_lake(), load_database(database, postgres=True), schema_name, product, tables, staged
        )
    except SourceUnavailable as problem:
        get_run_logger().warning(
            "%s: whether it takes the publication is not known yet: %s", database, problem
        )


@task(name="name-product", task_run_name="name product {product}", **EFFECT)
@shielded
def name_product(run: Run, product: str, tables: tuple[TableRef, ...]) -> ProductVersion:
    """Name the versions of a product's tables in one row, which is what readers open."""
    version = publish_product(run.open_lake(), product, tables, run.run_id)
    get_run_logger().info(
        "%s: publication %d, %s",
        product,
        version.sequence,
        "new" if version.changed else "as before",
    )
    return version


@task(name="publish-postgres", task_run_name="publish to {database}", **EFFECT)
@shielded
def publish_tables(
    run: Run,
    database: str,
    schema_name: str,
    product: ProductVersion,
    tables: tuple[PublishedTable, ...],
) -> PublishReport:
    """Make a schema of Postgres show the product, in one transaction, and say so to whatever depends on it."""
    report = publish_postgres(
        run.open_lake(), load_database(database, postgres=True), schema_name, product, tables
    )
    for warning in report.warnings:
        get_run_logger().warning(warning)
    for gate in report.gates:
        if not gate.open:
            get_run_logger().error("%s: gate closed: %s", gate.scope, "; ".join(gate.reasons))
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
