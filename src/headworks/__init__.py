"""headworks lands data exactly once, refines it, holds back what is bad, and publishes what is good.

The names below are the public interface: what a project is declared with, what a notebook opens, and the errors. Each
is imported when it is first used, so that ``import headworks`` costs nothing. Nothing in this package imports Prefect.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headworks import moved

if TYPE_CHECKING:
    from headworks.bronze.nested import Nested as Nested
    from headworks.errors import CredentialsRefused as CredentialsRefused
    from headworks.errors import GateClosed as GateClosed
    from headworks.errors import HeadworksError as HeadworksError
    from headworks.errors import LakeUnavailable as LakeUnavailable
    from headworks.errors import LakeUnusable as LakeUnusable
    from headworks.errors import ReadIncomplete as ReadIncomplete
    from headworks.errors import SettingsError as SettingsError
    from headworks.errors import SourceUnavailable as SourceUnavailable
    from headworks.gold.curation import GoldTable as GoldTable
    from headworks.gold.products import open_product as open_product
    from headworks.gold.sql import Sql as Sql
    from headworks.names import Window as Window
    from headworks.ops.query import query as query
    from headworks.project import Api as Api
    from headworks.project import Database as Database
    from headworks.project import FileStore as FileStore
    from headworks.project import Product as Product
    from headworks.project import Project as Project
    from headworks.project import Publish as Publish
    from headworks.publish.tables import PublishedTable as PublishedTable
    from headworks.quality.limits import AnomalyLimits as AnomalyLimits
    from headworks.settings import RejectLimits as RejectLimits
    from headworks.silver.dataset import Agreement as Agreement
    from headworks.silver.dataset import Dataset as Dataset
    from headworks.silver.dataset import Reference as Reference
    from headworks.sources.api.resource import Completeness as Completeness
    from headworks.sources.api.resource import Incremental as Incremental
    from headworks.sources.api.resource import Resource as Resource
    from headworks.sources.files.selection import Files as Files
    from headworks.sources.sql.table import Table as Table
    from headworks.storage.store import Lake as Lake
    from headworks.storage.store import open_lake as open_lake

__version__ = "0.2.0"

moved.follow()

_PLACES = {
    "Agreement": "silver.dataset",
    "AnomalyLimits": "quality.limits",
    "Api": "project",
    "Completeness": "sources.api.resource",
    "CredentialsRefused": "errors",
    "Database": "project",
    "Dataset": "silver.dataset",
    "FileStore": "project",
    "Files": "sources.files.selection",
    "GateClosed": "errors",
    "GoldTable": "gold.curation",
    "HeadworksError": "errors",
    "Incremental": "sources.api.resource",
    "Lake": "storage.store",
    "LakeUnavailable": "errors",
    "LakeUnusable": "errors",
    "Nested": "bronze.nested",
    "Product": "project",
    "Project": "project",
    "PublishedTable": "publish.tables",
    "Publish": "project",
    "ReadIncomplete": "errors",
    "Reference": "silver.dataset",
    "RejectLimits": "settings",
    "Resource": "sources.api.resource",
    "SettingsError": "errors",
    "SourceUnavailable": "errors",
    "Sql": "gold.sql",
    "Table": "sources.sql.table",
    "Window": "names",
    "open_lake": "storage.store",
    "open_product": "gold.products",
    "query": "ops.query",
}

__all__ = sorted(_PLACES)  # noqa: PLE0605 - one list of names, which a test compares with the imports above


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted({*globals(), *_PLACES})
