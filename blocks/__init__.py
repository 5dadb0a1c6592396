"""Prefect blocks: credentials and locations in, plain settings of the engine out."""

from __future__ import annotations

from blocks.alerts import AlertChannel
from blocks.api import ApiCredentials
from blocks.database import database_connector, database_settings
from blocks.files import FileLocation
from blocks.lake import LakeLocation
from blocks.resolve import (
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
