"""The block that holds an API's address and credentials."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from headworks.settings import ApiSettings


class ApiCredentials(Block):
    """How to reach an API: its address, its token, and how patiently it is asked."""

    _block_type_name = "Headworks API"
    _block_type_slug = "headworks-api"
    _description = "An API that data is read from."

    base_url: str = Field(
        description="The address that every path is appended to, such as https://api.example.com."
    )
    token: SecretStr | None = Field(
        default=None, description="Bearer token with read rights; none for an open API."
    )
    timeout_s: float = Field(default=30.0, gt=0, description="Longest time of one request, in seconds.")
    attempts: int = Field(
        default=5,
        ge=1,
        description="How often one page is asked for before the run stops.",
    )
    longest_wait_s: float = Field(
        default=60.0,
        gt=0,
        description="The longest Retry-After that is waited out instead of stopping, in seconds.",
    )

    def to_settings(self) -> ApiSettings:
        """Return the engine's settings."""
        return ApiSettings(
            base_url=self.base_url,
            token=self.token,
            timeout_s=self.timeout_s,
            attempts=self.attempts,
            longest_wait_s=self.longest_wait_s,
        )
