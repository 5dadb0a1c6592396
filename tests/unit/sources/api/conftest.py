"""A client of a served API whose clock stands still and whose waits are noted and not waited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from headworks.sources.api.client import ApiClient
from tests.support.clients import api_client

Opening = Callable[..., ApiClient]


@pytest.fixture
def waits() -> list[float]:
    """How long the client would have waited, wait by wait."""
    return []


@pytest.fixture
def opened(waits: list[float]) -> Iterator[Opening]:
    """Open a client of a URL with some settings changed; closed after the test."""
    with ExitStack() as stack:
        yield lambda url, **changed: stack.enter_context(api_client(url, sleep=waits.append, **changed))
