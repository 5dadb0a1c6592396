"""The blocks of this project: those of headworks, and any of its own.

``prefect block register -m blocks`` makes their types known to a server; `headworks register-blocks` does so, too.
"""

from __future__ import annotations

from headworks.prefect.blocks import AlertChannel, ApiCredentials, FileLocation, LakeLocation

__all__ = ["AlertChannel", "ApiCredentials", "FileLocation", "LakeLocation"]
