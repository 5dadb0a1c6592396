"""What Prefect finds of headworks by itself: the types of its blocks (entry point ``prefect.collections``)."""

from __future__ import annotations

from headworks.prefect.blocks.alerts import AlertChannel
from headworks.prefect.blocks.api import ApiCredentials
from headworks.prefect.blocks.files import FileLocation
from headworks.prefect.blocks.lake import LakeLocation

__all__ = ["AlertChannel", "ApiCredentials", "FileLocation", "LakeLocation"]
