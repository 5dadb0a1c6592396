"""What the HTTP libraries raise, as errors of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import httpx

from headworks.errors import HeadworksError, SourceUnavailable, StopError

_BROKEN_OFF = (
    httpx.ProtocolError,
    httpx.ReadError,
    aiohttp.ClientPayloadError,
    aiohttp.ServerDisconnectedError,
)
_NO_ANSWER = (
    httpx.HTTPError,
    httpx.InvalidURL,
    aiohttp.ClientError,
    OSError,
    asyncio.IncompleteReadError,
)


@contextmanager
def translated(timeout_s: float) -> Iterator[None]:
    """Turn what the HTTP libraries raise into errors of ours."""
    try:
        yield
    except HeadworksError:
        raise
    except TimeoutError as problem:
        if isinstance(problem, aiohttp.ClientError):
            # The limit on connecting, and not the one on the whole request.
            raise _unreachable(problem) from problem
        raise SourceUnavailable(
            f"The API did not answer in full within {timeout_s:g} s.",
            do="raise the limit timeout_s in the API's block, or ask for smaller pages.",
        ) from problem
    except _BROKEN_OFF as problem:
        raise SourceUnavailable(
            f"The API's answer broke off: {type(problem).__name__}: {problem}."
        ) from problem
    except _NO_ANSWER as problem:
        raise _unreachable(problem) from problem
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AssertionError) as problem:
        raise StopError(
            f"The request cannot be made, or its answer not be read: {type(problem).__name__}: {problem}.",
            do="check address, parameters, headers and credentials for characters that they cannot hold.",
        ) from problem


def _unreachable(problem: Exception) -> SourceUnavailable:
    return SourceUnavailable(
        f"The API does not answer: {type(problem).__name__}: {problem}.",
        do="check that it runs, its address and its port.",
    )
