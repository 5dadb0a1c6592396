"""Clients of a served API as the engine's tests use them: a fixed clock, no jitter, and no real waiting.

What belongs here: making them, and a token that can be looked for. What does not: serving.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from headworks.ports import Sleep
from headworks.settings import ApiSettings
from headworks.sources.api.client import ApiClient

NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
TOKEN = "tkn-6f1b-never-shown"


def no_wait(seconds: float) -> None:
    """Go on at once."""


def api_client(url: str, *, sleep: Sleep = no_wait, **changed: Any) -> ApiClient:
    """Make a client with the token of the tests; ``changed`` are other settings of the API."""
    settings = ApiSettings(**{"base_url": url, "token": SecretStr(TOKEN), "timeout_s": 10, **changed})
    return ApiClient(settings, clock=lambda: NOW, sleep=sleep, jitter=lambda: 1.0)
