"""The hostile API as a source: described, with the right credentials, in time that moves only when somebody waits."""

from __future__ import annotations

from typing import Any

from headworks.sources.api.client import ApiClient
from headworks.sources.api.settings import ApiSettings, Limits
from headworks.sources.api.source import ApiSource
from headworks.testing.access import Keyed, OAuth
from headworks.testing.described import credentials, describe
from headworks.testing.hostile import HostileApi

ATTEMPTS = 5
"""Four waits of 0.5, 1, 2 and 4 seconds outlast an outage of six."""


def source_of(
    api: HostileApi,
    *,
    in_flight: int = 1,
    timeout_s: float = 30.0,
    unlanded_pages: int = 6,
    response_bytes: int = 16 * 2**20,
    **described: Any,
) -> ApiSource:
    """Make the source that reads an API which is being served; ``described`` are other fields of its resource."""
    access = api.access
    kind = access.kind if isinstance(access, Keyed) else "oauth" if isinstance(access, OAuth) else "open"
    limits = Limits(
        in_flight=in_flight, timeout_s=timeout_s, response_bytes=response_bytes, attempts=ATTEMPTS
    )
    settings = ApiSettings(base_url=api.url, auth=credentials(kind, api.url), limits=limits)
    client = ApiClient(settings, clock=api.time.clock, sleep=api.time.sleep_async, chance=lambda: 1.0)
    return ApiSource(client, describe(api.style.name, **described), unlanded_pages=unlanded_pages)
