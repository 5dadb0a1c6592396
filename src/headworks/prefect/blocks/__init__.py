"""Prefect blocks: credentials and locations in, plain settings of the engine out."""

from __future__ import annotations

from headworks.prefect.blocks.alerts import AlertChannel
from headworks.prefect.blocks.api import ApiCredentials
from headworks.prefect.blocks.database import database_connector, database_settings
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
