"""Gold to its consumers: the product's row, and the tables in Postgres."""

from __future__ import annotations

from prefect import task

from headworks.gold.products import ProductVersion
from headworks.gold.table import Staged
from headworks.prefect.policy import EFFECT, shielded
from headworks.prefect.steps import publish as steps
from headworks.prefect.steps.extract import Run
from headworks.publish.tables import PublishedTable
from headworks.reports import GateReport, PublishReport, TableRef


@task(name="check-publication", task_run_name="check publication to {database}", **EFFECT)
@shielded
def check_publication(
    run: Run,
    database: str,
    schema_name: str,
    product: str,
    tables: tuple[PublishedTable, ...],
    staged: tuple[Staged, ...],
) -> tuple[GateReport, ...]:
    """Raise what Postgres would refuse of the candidates, and ask its contracts, before the lake gets any of them."""
    return steps.check_publication(run, database, schema_name, product, tables, staged)


@task(name="name-product", task_run_name="name product {product}", **EFFECT)
@shielded
def name_product(run: Run, product: str, tables: tuple[TableRef, ...]) -> ProductVersion:
    """Name the versions of a product's tables in one row, which is what readers open."""
    return steps.name_product(run, product, tables)


@task(name="publish-postgres", task_run_name="publish to {database}", **EFFECT)
@shielded
def publish_tables(
    run: Run,
    database: str,
    schema_name: str,
    product: ProductVersion,
    tables: tuple[PublishedTable, ...],
) -> PublishReport:
    """Make a schema of Postgres show the product, in one transaction, and announce it to whatever depends on it."""
    return steps.publish_tables(run, database, schema_name, product, tables)
