"""A client of a served API whose clock is still and whose waits are noted and not waited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from headworks.sources.api.client import ApiClient
from headworks.sources.api.judging import Reply, Rules
from headworks.sources.api.paginate import Ask, Single
from headworks.sources.api.request import Composer
from headworks.sources.api.resource import Resource
from tests.support.clients import api_client

T = TypeVar("T")


@dataclass(frozen=True)
class Opened:
    """A client that asks for one page, from a test that is not asynchronous."""

    api: ApiClient

    def get(self, path: str, parameters: dict[str, str], read: Callable[[bytes], T], **asked: Any) -> T:
        """Ask for a path, and return what ``read`` makes of the body; ``asked`` are further parts of the request."""
        return self.all([path], parameters, read, **asked)[0]

    def all(
        self,
        paths: list[str],
        parameters: dict[str, Any],
        read: Callable[[bytes], T],
        rules: Rules | None = None,
        **asked: Any,
    ) -> list[T]:
        """Ask for several paths at once in one session."""

        async def ask() -> list[T]:
            async with self.api.session() as session:
                requests = [
                    Composer(
                        self.api.settings, Resource(path=path, parameters=parameters, pagination=Single())
                    ).compose(Ask(**asked))
                    for path in paths
                ]

                def accept(reply: Reply) -> T:
                    return read(reply.body)

                fetches = (session.fetch(request, rules or Rules(), accept) for request in requests)
                return list(await asyncio.gather(*fetches))

        return asyncio.run(ask())


Opening = Callable[..., Opened]


@pytest.fixture
def waits() -> list[float]:
    """How long the client would have waited, wait by wait."""
    return []


@pytest.fixture
def opened(waits: list[float]) -> Opening:
    """Open a client of a URL with some limits changed, or with other parts of its own (``parts``)."""

    async def note(seconds: float) -> None:
        waits.append(seconds)

    def opening(url: str, parts: dict[str, Any] | None = None, **changed: Any) -> Opened:
        return Opened(replace(api_client(url, sleep=note, **changed), **(parts or {})))

    return opening
