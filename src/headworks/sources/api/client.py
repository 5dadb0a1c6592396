"""One way to ask an API for a page: with a deadline, with retries for what can heal, and with credentials for one host.

What belongs here: requests, waiting and translation of httpx's errors. What does not: what a page means.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx

from headworks.errors import (
    CredentialsRefused,
    RetryError,
    SourceMissing,
    SourceUnavailable,
    StopError,
)
from headworks.ports import Clock, Sleep, system_clock, system_sleep
from headworks.settings import ApiSettings

T = TypeVar("T")

_BASE_WAIT_S = 0.5
_HEALING = {408, 425, 429, 500, 502, 503, 504}
_REFUSED = {401, 403}
_GONE = {404, 410}


class ApiClient:
    """Asks one API for pages; a context manager that holds the connections.

    Redirects are not followed and every path is joined to the base URL, so that the token never reaches another host.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        clock: Clock = system_clock,
        sleep: Sleep = system_sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings, self._clock, self._sleep, self._jitter = (
            settings,
            clock,
            sleep,
            jitter,
        )
        headers = {"Accept": "application/json", "User-Agent": "headworks"}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        self._client = httpx.Client(
            base_url=settings.base_url,
            headers=headers,
            timeout=settings.timeout_s,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, parameters: dict[str, str], read: Callable[[bytes], T]) -> T:
        """Ask for ``path`` until ``read`` accepts the answer's body, and return what it made of it.

        ``read`` raises `PageUnreadable` for a damaged page, which is then asked for again. Raises the last
        `RetryError` when the attempts are used up or the API asks for a longer wait than is allowed, and `StopError`
        for what no repetition mends.
        """
        for attempt in range(1, self._settings.attempts + 1):
            try:
                return read(self._once(path, parameters))
            except RetryError as problem:
                wait_s = self._wait_s(problem, attempt)
                if attempt == self._settings.attempts or wait_s > self._settings.longest_wait_s:
                    raise
                self._sleep(wait_s)
        raise AssertionError("unreachable: attempts is at least 1")

    def _once(self, path: str, parameters: dict[str, str]) -> bytes:
        where = f"{self._settings.base_url}{path}"
        try:
            response = self._client.get(path, params=parameters)
        except httpx.TransportError as problem:
            raise SourceUnavailable(
                f"The API does not answer: {type(problem).__name__}: {problem}.",
                where=where,
                do="check that it runs, its address and its port.",
            ) from problem
        if response.status_code == httpx.codes.OK:
            return response.content
        raise self._judged(response, where)

    def _judged(self, response: httpx.Response, where: str) -> Exception:
        status = response.status_code
        said = f"The API answered {status} {response.reason_phrase}"
        if status in _REFUSED:
            return CredentialsRefused(f"{said}.", where=where, do="check the token in the API's block.")
        if status in _GONE:
            return SourceMissing(f"{said}.", where=where, do="check the resource's path.")
        if status in _HEALING:
            problem = SourceUnavailable(
                f"{said}.",
                where=where,
                do="nothing, if it heals; else ask the API's owner.",
            )
            problem.wait_s = _asked_wait_s(response.headers.get("Retry-After"), self._clock())
            return problem
        if response.is_redirect:
            return StopError(
                f"{said} and points elsewhere; redirects are not followed, since the token would travel along.",
                where=where,
                do="set the base URL to where the API really is.",
            )
        return StopError(f"{said}.", where=where, do="check the resource's parameters.")

    def _wait_s(self, problem: RetryError, attempt: int) -> float:
        """Return how long to wait: what the API asked for, else exponential backoff with full jitter on its half."""
        asked = getattr(problem, "wait_s", None)
        backoff = _BASE_WAIT_S * 2 ** (attempt - 1) * (0.5 + self._jitter() / 2)
        return float(asked) if asked is not None else backoff


def _asked_wait_s(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, which holds seconds or a date; None where it holds neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (TypeError, ValueError):
        return None
