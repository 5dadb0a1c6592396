"""The hostile API's styles as resources: the few lines in which a user describes each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from headworks.sources.api.auth import ApiKeyAuth, Auth, BasicAuth, BearerAuth, NoAuth, OAuth2Auth
from headworks.sources.api.paginate import (
    Cursor,
    Keyset,
    LinkHeader,
    NextHeader,
    NextUrl,
    Offset,
    PageNumbers,
    Single,
)
from headworks.sources.api.resource import Completeness, Incremental, Resource
from headworks.testing.access import SECRET, TOKEN_PATH, USER

PAGE_SIZE = 5

_QUERY = "query($first: Int, $after: String) { things(first: $first, after: $after) { edges { node } } }"

Describing = Callable[[int], dict[str, Any]]

_STYLES: Mapping[str, Describing] = {
    "page": lambda size: {
        "path": "/page",
        "records": "data.items",
        "pagination": PageNumbers(size=size, pages_field="meta.pages"),
        "completeness": Completeness(total_field="meta.total"),
    },
    "page0": lambda size: {
        "path": "/page0",
        "records": "items",
        "pagination": PageNumbers(size=size, first=0),
    },
    "offset": lambda size: {
        "path": "/offset",
        "records": "items",
        "pagination": Offset(size=size),
        "completeness": Completeness(total_field="total"),
    },
    "cursor": lambda size: {"path": "/cursor", "records": "rows", "pagination": Cursor(size=size)},
    "next_url": lambda size: {
        "path": "/next-url",
        "records": "results",
        "pagination": NextUrl(size_parameter="limit", size=size),
    },
    "next_relative": lambda size: {
        "path": "/next-relative",
        "records": "results",
        "pagination": NextUrl(url_field="links.next", size_parameter="limit", size=size),
    },
    "link": lambda size: {"path": "/link", "pagination": LinkHeader(size_parameter="limit", size=size)},
    "next_header": lambda size: {
        "path": "/next-header",
        "pagination": NextHeader(
            header="X-Next-Cursor", cursor_parameter="cursor", size_parameter="limit", size=size
        ),
    },
    "keyset": lambda size: {
        "path": "/keyset",
        "records": "items",
        "pagination": Keyset(key_parameter="after_id", size=size),
    },
    "graphql": lambda size: {
        "path": "/graphql",
        "method": "POST",
        "body": {"query": _QUERY},
        "records": "data.things.edges[].node",
        "pagination": Cursor(
            cursor_parameter="variables.after",
            cursor_field="data.things.pageInfo.endCursor",
            more_field="data.things.pageInfo.hasNextPage",
            send_in="body",
            size_parameter="variables.first",
            size_in="body",
            size=size,
        ),
    },
    "search": lambda size: {
        "path": "/search",
        "method": "POST",
        "body": {"filter": {"kind": "thing"}},
        "records": "hits",
        "pagination": Cursor(
            cursor_parameter="after",
            cursor_field="after",
            send_in="body",
            size_parameter="size",
            size_in="body",
            size=size,
        ),
    },
    "single": lambda size: {"path": "/single", "records": "items", "pagination": Single()},
}

SINCE = Incremental(parameter="since", field="updated_at")
"""How the styles with a token in the query are asked for what is new."""


def describe(style: str, *, size: int = PAGE_SIZE, **changed: Any) -> Resource:
    """Describe a style of the hostile API as a resource; ``changed`` are other fields of the resource."""
    return Resource(**{"key": ("id",), **_STYLES[style](size), **changed})


def credentials(kind: str, url: str) -> Auth:
    """Return the right credentials for an `Access` of this kind at an address."""
    key, client = SecretStr(f"{SECRET}-key"), SecretStr(f"{SECRET}-client")
    kinds: Mapping[str, Auth] = {
        "open": NoAuth(),
        "bearer": BearerAuth(token=key),
        "basic": BasicAuth(username=USER, password=key),
        "header": ApiKeyAuth(key=key),
        "query": ApiKeyAuth(key=key, name="api_key", send_in="query"),
        "oauth": OAuth2Auth(token_url=f"{url}{TOKEN_PATH}", client_id=USER, client_secret=client),
    }
    return kinds[kind]
