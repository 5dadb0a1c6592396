"""The CRM as a project: where it reads from, what it keeps, what it publishes, and the flows that do so."""

from __future__ import annotations

from crm import churn
from crm.datasets import SOURCES
from headworks.project import Api, Product, Project, Publish

CHURN = Product(
    churn.PRODUCT,
    (churn.FEATURES,),
    publish=Publish("analytics-database", churn.SCHEMA, churn.PUBLISHED),
    owner="customer success",
    models=(churn.MODEL,),
)

CRM = Project(
    name="crm",
    sources=tuple(Api("crm-api", resource, into=dataset.name) for dataset, resource in SOURCES),
    datasets=tuple(dataset for dataset, _ in SOURCES),
    products=(CHURN,),
    flows={
        "churn": "flows.churn:churn",
        "pipeline": "flows.pipeline:pipeline",
    },
)
