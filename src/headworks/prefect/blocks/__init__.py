"""Prefect blocks: credentials and locations in, plain settings of the engine out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headworks.prefect.blocks.alerts import AlertChannel
from headworks.prefect.blocks.api import ApiCredentials
from headworks.prefect.blocks.files import FileLocation
from headworks.prefect.blocks.lake import LakeLocation
from headworks.prefect.blocks.resolve import (
    alert_channels,
    api_settings,
    files_settings,
    lake_settings,
    load_database,
    located_lake,
)

# The connector's library takes long to import, and a run that reads no database needs none.
if TYPE_CHECKING:
    from headworks.prefect.blocks.database import database_connector, database_settings


def __getattr__(name: str) -> Any:
    if name in {"database_connector", "database_settings"}:
        return getattr(import_module("headworks.prefect.blocks.database"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AlertChannel",
    "ApiCredentials",
    "FileLocation",
    "LakeLocation",
    "alert_channels",
    "api_settings",
    "database_connector",
    "database_settings",
    "files_settings",
    "lake_settings",
    "load_database",
    "located_lake",
]
