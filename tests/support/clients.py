"""Clients of a served API as the engine's tests use them: a fixed clock, no jitter, and no real waiting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from headworks.ports import AsyncSleep
from headworks.sources.api.auth import BearerAuth, NoAuth
from headworks.sources.api.client import ApiClient
from headworks.sources.api.settings import ApiSettings, Limits

NOW = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)
TOKEN = "tkn-6f1b-never-shown"


async def no_wait(seconds: float) -> None:
    """Continue at once."""


def api_settings(url: str, *, token: str | None = TOKEN, **limits: Any) -> ApiSettings:
    """Make the settings of an API with the token of the tests; ``limits`` are how hard it may be asked."""
    auth = BearerAuth(token=SecretStr(token)) if token else NoAuth()
    return ApiSettings(base_url=url, auth=auth, limits=Limits(**{"timeout_s": 10, **limits}))


def api_client(
    url: str, *, sleep: AsyncSleep = no_wait, token: str | None = TOKEN, now: datetime = NOW, **limits: Any
) -> ApiClient:
    """Make a client whose clock is still and whose waits are as long as they can be."""
    settings = api_settings(url, token=token, **limits)
    return ApiClient(settings, clock=lambda: now, sleep=sleep, chance=lambda: 1.0)
