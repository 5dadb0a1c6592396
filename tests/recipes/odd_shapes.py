"""Small servers of shapes that no recipe has, and of answers that are not enough for knowing how they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.served import Answer, Asked

_SIZE = 10
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Shape:
    """One server: how it is asked, and how it answers for the records that it has."""

    name: str
    asked: str
    make: Callable[[Asked, list[dict[str, Any]]], Any]
    body: dict[str, Any] | None = None
    knowable: bool = True

    def record(self, number: int) -> dict[str, Any]:
        """Make a record."""
        return {
            "id": f"r{number:05d}",
            "resourceType": "Patient",
            "updated_at": f"2026-01-01T00:{number % 60:02d}:00Z",
        }

    def answer(self, asked: Asked, rows: list[dict[str, Any]]) -> Answer:
        """Answer a request; one that is not understood is refused."""
        try:
            made = self.make(asked, rows)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError):
            return Answer(b'{"message":"what is that?"}', status=400, headers=_JSON)
        if isinstance(made, Answer):
            return made
        return Answer(json.dumps(made).encode(), headers=_JSON)


Rows = list[dict[str, Any]]


def _number(asked: Asked, name: str, default: int) -> int:
    return int(asked.query.get(name, default))


def _after(asked: Asked, rows: Rows, name: str, size: int) -> tuple[Rows, str | None]:
    key = asked.query.get(name)
    keys = [row["id"] for row in rows]
    start = keys.index(key) + 1 if key else 0
    part = rows[start : start + size]
    return part, part[-1]["id"] if start + size < len(rows) else None


def _address(asked: Asked, **changed: Any) -> str:
    query = "&".join(f"{name}={value}" for name, value in {**asked.query, **changed}.items())
    return f"http://{asked.headers['host']}{asked.path}?{query}"


def _odata(asked: Asked, rows: Rows) -> Any:
    size = _number(asked, "$top", _SIZE)
    part, token = _after(asked, rows, "$skiptoken", size)
    found: dict[str, Any] = {"@odata.context": "$metadata#People", "@odata.count": len(rows), "value": part}
    return {**found, "@odata.nextLink": _address(asked, **{"$skiptoken": token})} if token else found


def _odata_by_skip(asked: Asked, rows: Rows) -> Any:
    start, size = _number(asked, "$skip", 0), _number(asked, "$top", _SIZE)
    return {
        "@odata.context": "$metadata#People",
        "@odata.count": len(rows),
        "value": rows[start : start + size],
    }


def _odata2(asked: Asked, rows: Rows) -> Any:
    part, token = _after(asked, rows, "$skiptoken", _SIZE)
    return {"d": {"results": part, **({"__next": _address(asked, **{"$skiptoken": token})} if token else {})}}


def _fhir(asked: Asked, rows: Rows) -> Any:
    size = _number(asked, "_count", _SIZE)
    part, token = _after(asked, rows, "_cursor", size)
    links = [{"relation": "self", "url": _address(asked)}]
    links += [{"relation": "next", "url": _address(asked, _cursor=token)}] if token else []
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": links,
        "entry": [{"resource": row} for row in part],
    }


def _stac(asked: Asked, rows: Rows) -> Any:
    part, token = _after(asked, rows, "token", _number(asked, "limit", _SIZE))
    links = [{"rel": "self", "href": _address(asked)}, {"rel": "root", "href": "http://127.0.0.1/"}]
    links += [{"rel": "next", "href": _address(asked, token=token)}] if token else []
    return {"type": "FeatureCollection", "features": part, "links": links}


def _json_api(asked: Asked, rows: Rows) -> Any:
    part, token = _after(asked, rows, "page[after]", _number(asked, "page[size]", _SIZE))
    data = [{"type": "things", "id": row["id"], "attributes": row} for row in part]
    included = [{"type": "people", "id": str(number)} for number in range(30)]
    return {
        "data": data,
        "included": included,
        "links": {"next": {"href": _address(asked, **{"page[after]": token})} if token else None},
    }


def _json_api_numbers(asked: Asked, rows: Rows) -> Any:
    page, size = _number(asked, "page[number]", 1), _number(asked, "page[size]", _SIZE)
    data = [
        {"type": "things", "id": row["id"], "attributes": row}
        for row in rows[(page - 1) * size : page * size]
    ]
    return {"data": data, "meta": {"page": {"total": len(rows)}}}


def _scim(asked: Asked, rows: Rows, *, cursors: bool) -> Any:
    size = _number(asked, "count", _SIZE)
    found: dict[str, Any] = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": len(rows),
    }
    if cursors and "cursor" in asked.query:
        part, token = _after(asked, rows, "cursor", size)
        return {
            **found,
            "itemsPerPage": len(part),
            "Resources": part,
            **({"nextCursor": token} if token else {}),
        }
    start = _number(asked, "startIndex", 1)
    part = rows[start - 1 : start - 1 + size]
    return {**found, "startIndex": start, "itemsPerPage": len(part), "Resources": part}


def _cursor(asked: Asked, rows: Rows) -> Any:
    part, token = _after(asked, rows, "after", _number(asked, "limit", _SIZE))
    return {"total": len(rows), "data": part, "paging": {"next": {"after": token}} if token else {}}


def _pages(asked: Asked, rows: Rows) -> Any:
    page, size = _number(asked, "page", 1), _number(asked, "per_page", _SIZE)
    return {"total": len(rows), "data": rows[(page - 1) * size : page * size]}


def _links(asked: Asked, rows: Rows) -> Any:
    page = _number(asked, "page", 1)
    more = page * _SIZE < len(rows)
    return {
        "count": len(rows),
        "results": rows[(page - 1) * _SIZE : page * _SIZE],
        "next": _address(asked, page=page + 1) if more else None,
    }


def _bare_pages(asked: Asked, rows: Rows) -> Any:
    page, size = _number(asked, "page", 1), _number(asked, "per_page", _SIZE)
    return rows[(page - 1) * size : page * size]


def _bare_zero(asked: Asked, rows: Rows) -> Any:
    page, size = _number(asked, "p", 0), _number(asked, "size", _SIZE)
    return {
        "content": rows[page * size : (page + 1) * size],
        "number": page,
        "last": (page + 1) * size >= len(rows),
        "totalElements": len(rows),
    }


def _bare_offset(asked: Asked, rows: Rows) -> Any:
    start, size = _number(asked, "skip", 0), _number(asked, "limit", _SIZE)
    return rows[start : start + size]


def _bare_key(asked: Asked, rows: Rows) -> Any:
    return _after(asked, rows, "after_id", _number(asked, "limit", _SIZE))[0]


def _search(asked: Asked, rows: Rows) -> Any:
    body = json.loads(asked.body)
    start, size = body.get("from", 0), body.get("size", _SIZE)
    hits = [{"_id": row["id"], "_source": row} for row in rows[start : start + size]]
    return {"took": 1, "hits": {"total": {"value": len(rows), "relation": "eq"}, "hits": hits}}


def _graphql(asked: Asked, rows: Rows) -> Any:
    body = json.loads(asked.body)
    variables = body.get("variables", {}) if "$after" in body["query"] else {}
    keys = [row["id"] for row in rows]
    start = keys.index(variables["after"]) + 1 if variables.get("after") else 0
    size = int(variables.get("n", _SIZE))
    part, more = rows[start : start + size], start + size < len(rows)
    info = {"hasNextPage": more, "endCursor": part[-1]["id"] if part else None}
    return {
        "data": {"things": {"edges": [{"cursor": row["id"], "node": row} for row in part], "pageInfo": info}}
    }


def _keyed(asked: Asked, rows: Rows) -> Any:
    return {"base": "EUR", "rates": {row["id"]: {"rate": 1, "at": row["updated_at"]} for row in rows}}


def _truncated(asked: Asked, rows: Rows) -> Any:
    return {"total": len(rows), "data": rows[:_SIZE]}


def _hidden(asked: Asked, rows: Rows) -> Any:
    start, size = _number(asked, "von", 0), _number(asked, "limit", _SIZE)
    return {"data": rows[start : start + size]}


def _whole(asked: Asked, rows: Rows) -> Any:
    return {"data": rows}


_QUERY = "{ things(first: %s%s) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }"

SHAPES: tuple[Shape, ...] = (
    Shape("odata", "/People?$top=10", _odata),
    Shape("odata by skip", "/People", _odata_by_skip),
    Shape("odata 2", "/People", _odata2),
    Shape("fhir", "/Patient", _fhir),
    Shape("stac", "/search", _stac),
    Shape("json:api", "/things", _json_api),
    Shape("json:api by number", "/things", _json_api_numbers),
    Shape("scim by index", "/Users", lambda asked, rows: _scim(asked, rows, cursors=False)),
    Shape("scim by cursor", "/Users", lambda asked, rows: _scim(asked, rows, cursors=True)),
    Shape("paging.next.after", "/cursor", _cursor),
    Shape("total that contradicts single", "/pages", _pages),
    Shape("links with numbers", "/links", _links),
    Shape("bare pages", "/bare", _bare_pages),
    Shape("pages from 0", "/zero", _bare_zero),
    Shape("bare offset", "/bare", _bare_offset),
    Shape("bare key", "/bare", _bare_key),
    Shape("search from", "/_search", _search, body={"query": {"match_all": {}}, "from": 0, "size": 10}),
    Shape(
        "graphql",
        "/graphql",
        _graphql,
        body={
            "query": f"query($n: Int, $after: String) {_QUERY % ('$n', ', after: $after')}",
            "variables": {"n": 10},
        },
    ),
    Shape(
        "graphql without a variable", "/graphql", _graphql, body={"query": _QUERY % (10, "")}, knowable=False
    ),
    Shape("keyed objects", "/rates", _keyed),
    Shape("cut short", "/cut", _truncated, knowable=False),
    Shape("a name that nobody guesses", "/hidden", _hidden, knowable=False),
    Shape("whole", "/whole", _whole),
)
