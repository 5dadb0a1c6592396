"""The API source passes the conformance suite, under each way of paging that can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from types import MappingProxyType
from typing import Any

import pytest

from headworks.testing.access import SECRET, Keyed
from headworks.testing.described import SINCE
from headworks.testing.faults.security import Refuses
from headworks.testing.hostile import HostileApi, hostile
from headworks.testing.reading import source_of
from headworks.testing.styles import STYLES
from headworks.testing.suite import Failing, Making, SourceBehaviour, SourceSuite
from headworks.testing.truth import make_rows

QUIET_S = 20
ROWS = 43


class ApiSuite(SourceSuite):
    """The suite over nine pages of five records, two pages a batch."""

    style = "cursor"
    described: Mapping[str, Any] = MappingProxyType({})
    behaviour = SourceBehaviour(volatile=("_page", "_url"))

    @pytest.fixture
    def api(self) -> Iterator[HostileApi]:
        """An API that is well."""
        with hostile(HostileApi(STYLES[self.style], make_rows(ROWS, 1), access=Keyed())) as api:
            yield api

    @pytest.fixture
    def make_source(self, api: HostileApi) -> Making:
        """Make the source in batches of two pages."""
        return lambda: source_of(api, unlanded_pages=4, **self.described)

    @pytest.fixture
    def connections(self, api: HostileApi) -> Callable[[], int]:
        """Count the connections that the server sees, once none is about to end."""

        def count() -> int:
            assert api.server is not None
            deadline = time.monotonic() + QUIET_S
            while api.server.open_connections and time.monotonic() < deadline:
                time.sleep(0.01)
            return api.server.open_connections

        return count

    @pytest.fixture
    def failing(self) -> Iterator[Failing]:
        """A source whose credentials are refused."""
        api = HostileApi(STYLES[self.style], make_rows(ROWS, 1), Refuses(Random(1), 401), Keyed("query"))
        with hostile(api):
            yield Failing(source_of(api), [SECRET])


class TestCursor(ApiSuite):
    """A token in the body."""


class TestCursorSince(ApiSuite):
    """A token in the body, and only what is new."""

    described = MappingProxyType({"incremental": SINCE})
    behaviour = SourceBehaviour(volatile=("_page", "_url"))


class TestKeyset(ApiSuite):
    """After the last record's key."""

    style = "keyset"


class TestLinkHeader(ApiSuite):
    """A Link header."""

    style = "link"


class TestGraphQL(ApiSuite):
    """A cursor in a POST body."""

    style = "graphql"


class TestOffset(ApiSuite):
    """Offsets, where a resumed reading goes back by a page and recognises what it knows."""

    style = "offset"
