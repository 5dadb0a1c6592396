"""The budget of requests that all runs of all containers share: a rate limit on the Prefect server."""

from __future__ import annotations

import math

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import rate_limit

from headworks.ports import RateBudget
from headworks.prefect.blocks.profiles import Profile
from headworks.prefect.blocks.resolve import variables
from headworks.sources.api.settings import ApiSettings

_BURST_S = 2.0
"""So many seconds' worth of requests may be made at once after a quiet time."""


class PrefectBudget:
    """A budget on the server. Many requests are leased at once, since each lease is a question to the server."""

    def __init__(self, name: str, requests_per_s: float) -> None:
        self._name, self._rate = name, requests_per_s
        self._limit = max(1, math.ceil(requests_per_s * _BURST_S))
        self._made = False

    def lease(self, most: int) -> int:
        """Wait until at least one request may be made, and return how many may be made now, ``most`` at most."""
        if not self._made:
            # From code, so that nobody has to make it by hand before the first run.
            with get_client(sync_client=True) as client:
                client.upsert_global_concurrency_limit_by_name(self._name, self._limit, self._rate)
            self._made = True
        leased = max(1, min(most, self._limit))
        rate_limit(self._name, occupy=leased, strict=True)
        return leased


def shared_budget(api: str, settings: ApiSettings) -> RateBudget | None:
    """Return the budget that all runs share for the API of a block, or None where its block sets none."""
    rate = settings.limits.requests_per_s
    return PrefectBudget(budget_name(api), rate) if rate else None


def budget_name(api: str) -> str:
    """Return the name of an API's budget on the server, apart for each profile."""
    return f"headworks-{Profile.of(variables()).name(api)}"
