"""Settings of an API: where it is, who we are to it, and how hard it may be asked."""

from __future__ import annotations

from pydantic import Field, field_validator

from headworks.settings import Settings
from headworks.sources.api.auth import Auth, NoAuth

_MEGABYTE = 1024 * 1024


class Limits(Settings):
    """How hard an API may be asked, and how patiently."""

    requests_per_s: float | None = Field(
        default=None,
        gt=0,
        description="Budget of requests in a second, shared by all runs; none: as fast as it answers.",
    )
    in_flight: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Requests at the same time, where pages can be asked for out of order.",
    )
    connect_timeout_s: float = Field(default=10.0, gt=0, description="Longest time to connect, in seconds.")
    timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="Longest time of one request, from asking to the last byte, in seconds.",
    )
    response_bytes: int = Field(
        default=64 * _MEGABYTE, ge=1024, description="Largest answer once decompressed, in bytes."
    )
    file_bytes: int = Field(
        default=20 * 1024 * _MEGABYTE,
        ge=1024,
        description="Largest file of an export once decompressed, in bytes; CSV and NDJSON are kept on disk meanwhile.",
    )
    attempts: int = Field(
        default=3, ge=1, description="How often one page is asked for before the run stops."
    )
    backoff_s: float = Field(
        default=0.5,
        ge=0,
        description="Longest wait before the second attempt, in seconds; doubled for each further one.",
    )
    shortest_wait_s: float = Field(
        default=0.0, ge=0, description="Shortest wait when the API asks for one, in seconds."
    )
    longest_wait_s: float = Field(
        default=60.0,
        gt=0,
        description="The longest wait asked for by the API that is waited out instead of stopping, in seconds.",
    )


class BreakerLimits(Settings):
    """When an API's circuit breaker opens, and for how long."""

    failures: int = Field(
        default=10, ge=1, description="Requests that fail one after another, in all runs, before it opens."
    )
    open_s: float = Field(
        default=60.0, gt=0, description="How long it stays open at first, in seconds; doubled each time."
    )
    longest_open_s: float = Field(
        default=900.0, gt=0, description="The longest time that it stays open, in seconds."
    )


class ApiSettings(Settings):
    """How to reach an API, and how hard it may be asked."""

    base_url: str = Field(description="The address that every path is appended to.")
    auth: Auth = Field(default_factory=NoAuth, description="Who we are to the API.")
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of every request, such as an API version; no secrets."
    )
    limits: Limits = Field(default_factory=Limits, description="How hard it may be asked, and how patiently.")
    breaker: BreakerLimits = Field(
        default_factory=BreakerLimits, description="When the circuit breaker opens, and for how long."
    )
    rewrite_links: bool = Field(
        default=False,
        description="Next pages are asked for at the base URL, whichever host the API names: for one behind a proxy "
        "that does not know its own address.",
    )
    verify_tls: bool | str = Field(
        default=True, description="Whether certificates are checked; a path is a bundle of authorities."
    )

    @field_validator("base_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("an API's base_url begins with http:// or https://")
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("an API's base_url holds no user and password; use auth of kind basic")
        return url.rstrip("/")
