"""Each style of the hostile API and its description belong together: the paginators lead through it, with no client."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from headworks.sources.api.paginate.base import Page, Paginator, State
from headworks.sources.api.paths import parts
from headworks.sources.api.resource import Resource
from headworks.testing.described import describe
from headworks.testing.hostile import HostileApi
from headworks.testing.styles import STYLES
from headworks.testing.truth import make_rows
from headworks.testing.wire import Asked, Reply


class Unserved(HostileApi):
    """An API that is asked without a socket."""

    @property
    def url(self) -> str:
        """An address that nobody calls."""
        return "http://things.test"


def asked_for(resource: Resource, paginator: Paginator, state: State) -> Asked:
    """Return the request for the page at a state."""
    ask = paginator.ask(state)
    body = json.loads(json.dumps(resource.body or {}))
    for path, value in ask.body.items():
        *way, last = parts(path)
        inner = body
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = value
    path, query = resource.path, dict(ask.query)
    if ask.url:
        address, _, text = ask.url.removeprefix("http://things.test").partition("?")
        path, query = address, dict(pair.split("=", 1) for pair in text.split("&"))
    content = json.dumps(body).encode() if resource.method == "POST" else b""
    return Asked(1, 0.0, resource.method, f"{path}?{urlencode(query)}".partition("?")[0], query, {}, content)


def at(content: object, path: str) -> object:
    """Return what is at a path of the body, None where there is nothing."""
    for step in parts(path) if path else ():
        if step == "[]":
            continue
        content = content.get(step) if isinstance(content, dict) else None
    return content


def page_of(resource: Resource, paginator: Paginator, reply: Reply) -> tuple[Page, list[int]]:
    """Return what an answer says of the scan, and its keys."""
    content = json.loads(reply.body)
    way = resource.records.partition("[]")[0].rstrip(".") if resource.records else ""
    listed = at(content, way)
    assert isinstance(listed, list)
    records = [element.get("node", element) for element in listed]
    total = at(content, resource.completeness.total_field) if resource.completeness.total_field else None
    page = Page(
        records=len(records),
        fresh=len(records),
        fields={path: at(content, path) for path in paginator.fields},
        headers={name.lower(): value for name, value in reply.headers.items()},
        last={path: records[-1][path] for path in paginator.record_fields} if records else {},
        total=total if isinstance(total, int) else None,
    )
    return page, [record["id"] for record in records]


@pytest.mark.parametrize("rows", [0, 1, 5, 23])
@pytest.mark.parametrize("style", STYLES)
def test_the_description_of_a_style_leads_once_through_its_rows(style: str, rows: int) -> None:
    api, resource = Unserved(STYLES[style], make_rows(rows, 1)), describe(style)
    paginator, keys = resource.pagination, []
    state: State | None = paginator.begin()
    for _ in range(20):
        assert state is not None
        reply = api.answer(asked_for(resource, paginator, state))
        assert reply.status == 200, reply
        page, found = page_of(resource, paginator, reply)
        keys += found
        state = paginator.after(state, page).state
        if state is None:
            break
    assert state is None, "the scan does not end"
    assert keys == [row.key for row in api.rows]
