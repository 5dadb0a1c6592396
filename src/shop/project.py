"""The shop as a project: where it reads from, what it keeps, what it publishes, and the flows that do so."""

from __future__ import annotations

from headworks.project import Api, Database, Product, Project, Publish
from headworks.sources.sql.table import Table
from shop import datasets, gold

SALES = Product(
    gold.PRODUCT,
    gold.TABLES,
    publish=Publish("analytics-database", gold.SCHEMA, gold.PUBLISHED),
    owner="the sales team",
)

SHOP = Project(
    name="shop",
    sources=(
        *(
            Database(
                "shop-database",
                Table(schema_name=table.schema_name, name=table.table, cursor=table.cursor),
                into=dataset.name,
            )
            for dataset, table in datasets.TABLES
        ),
        *(Api("shop-api", resource, into=dataset.name) for dataset, resource in datasets.RESOURCES),
    ),
    datasets=tuple(dataset for rank in datasets.IN_ORDER for dataset in rank),
    products=(SALES,),
    other_blocks={"receipts-files": "files"},
    flows={
        "sales": "flows.sales:sales",
        "pipeline": "flows.pipeline:pipeline",
        "ingest_api": "flows.ingest_api:ingest_api",
        "ingest_database": "flows.ingest_database:ingest_database",
        "ingest_files": "flows.ingest_files:ingest_files",
    },
)
