"""Looks at an API's first answer, proposes a resource, and tries the proposal on two pages.

A proposal is for a person, with reasons; a run never guesses. What belongs here: asking and trying. What does
not: guessing (``proposal.py``), printing (``deployments/commands/probe.py``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from itertools import islice
from urllib.parse import parse_qsl, urlsplit

from headworks.errors import HeadworksError, StopError
from headworks.sources.api.bridge import iterate
from headworks.sources.api.client import ApiClient
from headworks.sources.api.judging import Reply, Rules
from headworks.sources.api.paginate import Ask
from headworks.sources.api.proposal import Proposal, propose
from headworks.sources.api.reading import Landed, Reading
from headworks.sources.api.records import value_of
from headworks.sources.api.request import Composer, Request
from headworks.sources.api.resource import Resource
from headworks.sources.api.standing import Standing
from headworks.sources.api.unlanded import Unlanded

_TRIED = 2
"""Pages that a proposal is tried on."""


def probe(api: ApiClient, path: str, parameters: Mapping[str, str]) -> Proposal:
    """Ask for a path, propose a resource, and try the proposal on the first two pages.

    Raises `StopError` where the answer is no JSON or holds nothing that could be records, and what the client raises.
    """
    first = Request("GET", f"{api.settings.base_url}/{path.lstrip('/')}", shown=path)
    made = Resource.model_validate(
        {"path": path, "parameters": dict(parameters), "pagination": {"kind": "single"}}
    )
    reply = _ask(api, made, first)
    body = value_of(reply.text())
    if body is None:
        raise StopError("The answer is not JSON.", where=path, do="check the address.")
    proposal = propose(body, reply.headers, path, parameters)
    _try(api, proposal)
    return proposal


def _ask(api: ApiClient, resource: Resource, request: Request) -> Reply:
    """Ask once, through the same client that reads."""

    async def ask() -> AsyncGenerator[Reply, None]:
        asked = Composer(api.settings, resource).compose(Ask())
        async with api.session() as session:
            yield await session.fetch(asked, Rules(), lambda reply: reply)

    (reply,) = list(iterate(ask, name=f"headworks probe {request.shown}"))
    return reply


def _try(api: ApiClient, proposal: Proposal) -> None:
    """Read two pages as proposed, and say what came of it."""
    resource = Resource.model_validate(proposal.resource)

    def pages() -> AsyncGenerator[Landed, None]:
        return Reading(api, resource, Standing(), api.clock(), Unlanded(_TRIED)).pages()

    try:
        with closing(iterate(pages, name=f"headworks probe {resource.path}")) as reading:
            seen = list(islice(reading, _TRIED))
    except HeadworksError as problem:
        proposal.because(f"tried: two pages could not be read like this: {problem.what}")
        return
    counts = " and ".join(str(page.read) for page in seen)
    fresh = len(seen[1].records) if len(seen) > 1 else 0
    said = f"tried: {len(seen)} pages were read like this, with {counts} records"
    proposal.because(f"{said}, {fresh} of the second page new" if len(seen) > 1 else said)


def split_url(url: str) -> tuple[str, str, dict[str, str]]:
    """Return the origin, the path and the query parameters of an address."""
    found = urlsplit(url)
    return (
        f"{found.scheme}://{found.netloc}",
        found.path or "/",
        dict(parse_qsl(found.query, keep_blank_values=True)),
    )
