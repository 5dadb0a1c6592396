"""Guesses from an API's first answer where the records are and how pages follow each other, each with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headworks.errors import StopError
from headworks.redaction import redacted
from headworks.sources.api.paginate.links import next_link
from headworks.sources.api.paths import EACH, parts

Json = dict[str, Any]

_DEEPEST = 6
_RECORDS = re.compile(
    r"^(data|items|results|records|rows|value|values|entries|entry|hits|edges|nodes|list|objects|resources)$",
    re.I,
)
_COLUMNS = re.compile(r"(columns?|fields?|headers?|names?|schema)(\[\]|\.|$)", re.I)
"""What the array is called that names the values of records that are arrays."""
_ADDRESS = re.compile(r"next|more", re.I)
_BACK = re.compile(r"prev|self|first|last|base", re.I)
_TOKEN = re.compile(
    r"^(next_?(cursor|token|page_?token|page|offset|marker|key|forward_?token|start)|cursor|end_?cursor|"
    r"continuation(_?token)?|page_?token|(search_?|starting_?)?after(_?cursor)?|_?scroll_?id|next|offset|"
    r"last_?evaluated_?key|x?_?continuation|bookmark|position|sync_?cursor)$",
    re.I,
)
_MORE = re.compile(
    r"^(has_?(more|next)(_?(page|items|results|records))?|more(_?records)?|(is_?)?truncated)$", re.I
)
_LAST = re.compile(
    r"^(is_?last(_?page)?|last(_?page)?|end_?of_?(stream|list|data)|is_?(end|final|done))$", re.I
)
_PAGES = re.compile(r"^(total_?pages|pages|pages_?total|page_?count|last_?page|num_?pages)$", re.I)
_PAGE = re.compile(r"^(page|current_?page|page_?(number|no|num|index|nr)?|p|pg|page\[number\])$", re.I)
_OFFSET = re.compile(
    r"^(\w*offset|start(_?at|_?index|_?row|_?position)?|skip|from|page\[offset\]|first_?result)$", re.I
)
_TOTAL = re.compile(
    r"^(@odata\.count|odata\.count|(items_?)?total(_?(count|results?|records?|items|rows|hits|size|elements|entries))?|"
    r"count|num_?found|size|\w+_total|filtered_table_rows_count|record_?count|number_?of_?\w+)$",
    re.I,
)
_SIZES = (
    *(
        "per_page",
        "page_size",
        "pagesize",
        "perpage",
        "limit",
        "size",
        "count",
        "_limit",
        "$top",
        "maxresults",
    ),
    *(
        "rows",
        "page[size]",
        "_size",
        "sysparm_limit",
        "pagelimit",
        "first",
        "max_results",
        "items_per_page",
        "_count",
    ),
)
SIZE_NAMES = (
    *(
        "limit",
        "per_page",
        "page_size",
        "size",
        "count",
        "pageSize",
        "maxResults",
        "_limit",
        "$top",
        "page[size]",
    ),
    *("_count", "_size", "sysparm_limit"),
)
"""Parameters for a page's size, the usual ones first."""
PAGE_NAMES = ("page", "p", "pageNumber", "page[number]", "page_number", "pageNo", "pageIndex", "currentPage")
OFFSET_NAMES = (
    *(
        "offset",
        "skip",
        "start",
        "startAt",
        "startIndex",
        "$skip",
        "_start",
        "_skip",
        "from",
        "page[offset]",
        "sysparm_offset",
    ),
)
KEY_NAMES = (
    *(
        "starting_after",
        "after",
        "after_id",
        "since_id",
        "last_id",
        "cursor",
        "before",
        "before_id",
        "max_id",
    ),
    *("min_id", "from_id", "marker", "start_after", "startAfter", "afterId", "lastId", "next"),
)
_TOKEN_NAMES = (
    *("cursor", "page_token", "pageToken", "after", "next_token", "nextToken", "token", "offset", "marker"),
    *("starting_after", "start_cursor", "startCursor", "continuation", "continuationToken", "page[after]"),
    *(
        "page[cursor]",
        "next",
        "page",
        "start",
        "nextPageToken",
        "scroll_id",
        "search_after",
        "bookmark",
        "next_cursor",
    ),
)
STAMPS = ("updated_at", "updatedat", "modified_at", "last_modified", "modified", "updated", "lastmodified")
_TOTAL_HEADERS = (
    "total-objects",
    "x-total-count",
    "x-total",
    "x-wp-total",
    "total-count",
    "x-pagination-total-count",
)
_PARAMETERS = {
    "endcursor": "after",
    "nextmarker": "marker",
    "next": "cursor",
    "scrollid": "scroll_id",
    "lastevaluatedkey": "ExclusiveStartKey",
    "nextforwardtoken": "nextToken",
    "nextcursor": "cursor",
    "nextpagetoken": "pageToken",
}
_GRAPHQL_ARGUMENT = re.compile(r"(\w+)\s*:\s*\$(\w+)")
_WRAPPERS = ("node", "resource")
"""What connections of GraphQL and bundles of FHIR hold a record in."""
_FEW_NAMES = 12
_ASIDE = frozenset(
    {"links", "link", "included", "errors", "warnings", "messages", "facets", "aggregations", "_links"}
)
"""Arrays that answers have in addition to their records."""


@dataclass(frozen=True)
class Guess:
    """A way in which pages may follow each other, and why; ``plain`` where the API itself says it."""

    pagination: Json
    reason: str
    plain: bool = False


@dataclass
class Proposal:
    """A resource as JSON, why it is thought to be so, and what could not be found out.

    ``guesses`` are ways of paging, the likeliest first, of which the resource has the first one. A resource whose
    paging is not known has no ``pagination``, so that nobody runs it as it is.
    """

    resource: Json
    reasons: list[str] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    total: int | None = None
    more: bool = False

    def because(self, reason: str) -> None:
        """Add a reason."""
        self.reasons.append(redacted(reason))

    def not_known(self, what: str) -> None:
        """Add something that could not be found out."""
        self.unknown.append(redacted(what))


@dataclass(frozen=True)
class Answer:
    """The first answer, its fields and lower-case headers, and what was asked with: the query and the body."""

    fields: list[tuple[str, Any]]
    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    sent: list[tuple[str, Any]]
    query: str
    records: list[Any]

    @property
    def posted(self) -> bool:
        """Return whether a body was sent."""
        return bool(self.sent)


def propose(
    body: Any,
    headers: Mapping[str, str],
    path: str,
    parameters: Mapping[str, str],
    *,
    sent: Json | None = None,
) -> Proposal:
    """Propose a resource from a decoded body, its headers by lower-case name, and what was asked for."""
    proposal = Proposal({"path": path})
    if sent is not None:
        proposal.resource |= {"method": "POST", "body": sent}
    if parameters:
        proposal.resource["parameters"] = dict(parameters)
    records = proposal.records = _records(body, proposal, path)
    fields = [
        (at, value)
        for at, value in _leaves(body)
        if _is_path(at) and not _is_below(at, proposal.resource["records"])
    ]
    query = str(sent["query"]) if sent and isinstance(sent.get("query"), str) else ""
    answer = Answer(fields, headers, parameters, list(_leaves(sent or {})), query, records)
    proposal.total = _total(fields, headers, records, proposal)
    proposal.guesses = [_sized(guess, answer) for guess in _guesses(answer)]
    said = any(_MORE.match(parts(at)[-1]) and value is True for at, value in fields)
    proposal.more = (
        said or (proposal.total or 0) > len(records) > 0 or any(one.plain for one in proposal.guesses)
    )
    _take(proposal, proposal.guesses[0] if proposal.guesses else None)
    _record_fields(records, proposal)
    return proposal


def size_asked(parameters: Mapping[str, Any], sent: Json | None) -> tuple[str, int] | None:
    """Return the parameter, or the path in the body, with the page's size that was asked for, and its value."""
    query = str(sent["query"]) if sent and isinstance(sent.get("query"), str) else ""
    answer = Answer(
        [], {}, {name: str(value) for name, value in parameters.items()}, list(_leaves(sent or {})), query, []
    )
    guess = _sized(Guess({"kind": "cursor"}, ""), answer).pagination
    return (str(guess["size_parameter"]), int(guess["size"])) if guess.get("size_parameter") else None


def chosen(proposal: Proposal, guess: Guess) -> Json:
    """Return the proposed resource with a way of paging, without the parameters that this one sends itself."""
    resource = {**proposal.resource, "pagination": guess.pagination}
    sent = {str(value) for name, value in guess.pagination.items() if name.endswith("_parameter")}
    kept = {name: value for name, value in resource.pop("parameters", {}).items() if name not in sent}
    if kept:
        resource["parameters"] = kept
    return resource


def _take(proposal: Proposal, guess: Guess | None) -> None:
    if guess is not None:
        proposal.because(f"pagination: {guess.reason}")
        proposal.resource["pagination"] = guess.pagination
        proposal.resource = {**chosen(proposal, guess)}
        takes = {"page_numbers": "size_parameter", "offset": "limit_parameter"}
        name = takes.get(guess.pagination["kind"], "size_parameter")
        if guess.pagination.get(name, "") is None:
            proposal.because(
                "page size: none is asked for; larger pages are faster, so look for its parameter"
            )
        return
    if proposal.more:
        proposal.because(f"pagination: more than these {len(proposal.records)} records are announced")
        proposal.resource["pagination"] = {"kind": "page_numbers", "size_parameter": None}
        return
    proposal.because("pagination: nothing points to another page")
    proposal.resource["pagination"] = {"kind": "single"}


def _is_path(at: str) -> bool:
    try:
        return bool(parts(at))
    except ValueError:
        return False


def _is_below(at: str, records: str) -> bool:
    """Return whether a path leads into the records."""
    if not records:
        return False
    steps = [step for step in parts(at) if not step.isdigit()]
    wanted = [step for step in parts(records) if step != EACH]
    return steps[: len(wanted)] == wanted


def _records(body: Any, proposal: Proposal, path: str) -> list[Any]:
    """Find the records: the array with the most objects, by preference under a usual name or the path's own."""
    found = [(at, value) for at, value in _arrays(body) if value]
    if not found:
        found = [(at, value) for at, value in _keyed(body) if value]
        if found:
            at, value = max(found, key=lambda each: len(each[1]))
            proposal.because(f"records: {at} is an object of {len(value)} objects, each under its key")
            proposal.resource["records"] = at
            return value
        empty = [at for at, _ in _arrays(body)]
        if not empty:
            if isinstance(body, dict):
                proposal.resource["records"] = ""
                proposal.because("records: there is no array in the body, so the body is one record")
                return [body]
            raise StopError("There is nothing in the answer that could be records.", do="check the address.")
        found = [(empty[0], [])]
    own = re.sub(r"\.\w+$", "", path.rstrip("/").rpartition("/")[2]).lower()
    if (table := _table(body, own)) is not None:
        proposal.because(table.reason)
        proposal.resource |= table.resource
        return table.records
    ranked = sorted(found, key=lambda each: _score(each[0], each[1], own), reverse=True)
    at, value = ranked[0]
    where = at or "the body itself"
    proposal.because(f"records: {where} is an array of {len(value)}")
    if len(ranked) > 1 and _score(ranked[1][0], ranked[1][1], own)[:2] == _score(at, value, own)[:2] == (
        1,
        0,
    ):
        names = ", ".join(each or "the body itself" for each, _ in ranked[:_FEW_NAMES])
        proposal.not_known(f"which of the arrays {names} holds the records; {where} has the most")
    for name in _WRAPPERS:
        if value and all(isinstance(one, dict) and isinstance(one.get(name), dict) for one in value):
            at, value = f"{at}[].{name}", [one[name] for one in value]
            proposal.because(
                f"records: each element holds a {name}, as in a {'GraphQL connection' if name == 'node' else 'bundle'}"
            )
            break
    proposal.resource["records"] = at
    return value


@dataclass(frozen=True)
class _Table:
    """Records that are arrays of values, whose names are in another array or in the first of them."""

    resource: Json
    records: list[Any]
    reason: str


def _table(body: Any, own: str) -> _Table | None:
    """Find records that are arrays of values; None where no such array is larger than all arrays of objects."""
    arrays = [(at, value) for at, value in _arrays(body) if value]
    wide = {at: len(value[0]) for at, value in arrays if _is_table(value)}
    if not wide:
        return None
    tables = [(at, value) for at, value in arrays if at in wide]
    at, rows = max(tables, key=lambda each: _score(each[0], each[1], own)[1:])
    objects = [value for _, value in arrays if all(isinstance(one, dict) for one in value)]
    if len(rows) <= max(map(len, objects), default=0) and not _RECORDS.match(parts(at)[-1] if at else "data"):
        return None
    where = at or "the body itself"
    for place, names in _named_columns(body, wide[at]):
        records = [dict(zip(names, row, strict=True)) for row in rows]
        reason = f"records: {where} is an array of {len(rows)} arrays, whose values are named by {place}"
        return _Table({"records": at, "columns": place}, records, reason)
    first, *others = rows
    if others and _are_names(first) and not all(map(_are_names, others)):
        records = [dict(zip(first, row, strict=True)) for row in others]
        reason = f"records: {where} is an array of {len(rows)} arrays, the first of which names their values"
        return _Table({"records": at, "header_row": True}, records, reason)
    return None


def _is_table(value: list[Any]) -> bool:
    """Return whether each element is an array, and all of one length."""
    lengths = {len(one) if isinstance(one, list) else 0 for one in value}
    return len(lengths) == 1 and lengths != {0}


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(one, str) and one.strip() for one in value)
        and len(set(value)) == len(value)
    )


def _named_columns(body: Any, width: int) -> Iterator[tuple[str, list[str]]]:
    """Yield arrays of so many names, those that are called like it first: texts, or objects that have a name."""
    found = []
    for at, value in _arrays(body):
        if len(value) != width or not at:
            continue
        for path, names in (
            (at, value),
            *(
                (f"{at}[].{key}", [one.get(key) for one in value])
                for key in ("name", "field", "key", "id")
                if all(isinstance(one, dict) for one in value)
            ),
        ):
            if _are_names(names):
                found.append((path, names))
    yield from sorted(found, key=lambda each: not _COLUMNS.search(each[0]))


def _score(at: str, value: list[Any], own: str) -> tuple[int, int, int]:
    name = next((one for one in reversed(parts(at)) if one != EACH), "") if at else ""
    objects = sum(isinstance(one, dict) for one in value)
    aside = name.lower() in _ASIDE or all(
        isinstance(one, dict) and {"rel", "relation"} & one.keys() for one in value
    )
    return (
        int(objects == len(value) > 0 and not aside),
        2 if own and name.lower() == own else int(bool(_RECORDS.match(name)) or not at),
        len(value) - len(parts(at)),
    )


def _guesses(answer: Answer) -> Iterator[Guess]:
    """Yield ways of paging: what is said plainly first, what can only be guessed last."""
    for guesses in (_by_header, _by_url, _by_token, _by_number, _by_offset, _by_key):
        yield from guesses(answer)


def _by_header(answer: Answer) -> Iterator[Guess]:
    if next_link(answer.headers.get("link", "")):
        yield Guess(
            {"kind": "link_header"}, "the Link header has an address with the relation next", plain=True
        )
    for name, value in answer.headers.items():
        if (
            not value.strip()
            or not re.search(r"next|continuation|cursor", name)
            or name in ("link", "set-cookie")
        ):
            continue
        said = f"the header {name} says {value[:80]}"
        if "/" in value or "?" in value:
            yield Guess({"kind": "next_header", "header": name}, said, plain=True)
            continue
        if value.isdigit() and "cursor" not in name:
            yield Guess({"kind": "next_header", "header": name, "cursor_parameter": "page"}, said, plain=True)
        for parameter in _token_names(re.sub(r"^x-", "", name).replace("-", "_")):
            yield Guess(
                {"kind": "next_header", "header": name, "cursor_parameter": parameter}, said, plain=True
            )


def _by_url(answer: Answer) -> Iterator[Guess]:
    for at, value in answer.fields:
        steps = parts(at)
        is_address = isinstance(value, str) and ("://" in value or value.startswith(("/", "?")))
        named = [step for step in steps if _ADDRESS.search(step)]
        if is_address and named and not any(_BACK.search(step) for step in named):
            yield Guess(
                {"kind": "next_url", "url_field": at}, f"{at} holds an address, {str(value)[:80]}", plain=True
            )
    for at, value in answer.fields:
        if value is None and parts(at)[-1].lower() in (
            "next",
            "next_url",
            "next_page_url",
            "nextlink",
            "next_link",
        ):
            yield Guess(
                {"kind": "next_url", "url_field": at}, f"{at} is there, and null: this page is the last"
            )


def _by_token(answer: Answer) -> Iterator[Guess]:
    for at, value in answer.fields:
        name = parts(at)[-1]
        if not _TOKEN.match(name) or isinstance(value, bool) or value in (None, "", 0):
            continue
        if isinstance(value, str) and ("://" in value or value.startswith(("/", "?"))):
            continue
        if _is_small(value) and re.search(r"page$", name, re.I):
            for parameter in _names(answer, _PAGE, PAGE_NAMES[:3]):
                found = {"kind": "page_numbers", "next_field": at, "page_parameter": parameter}
                yield Guess(
                    {**found, **_where(answer)}, f"{at} holds the next page's number, {value}", plain=True
                )
            continue
        if _is_small(value) and _OFFSET.match(name) and not re.search("next", name, re.I):
            # Where this page begins, and not where the next one does.
            continue
        yield from _tokens(answer, at, name)


def _tokens(answer: Answer, at: str, name: str) -> Iterator[Guess]:
    more = next(
        (where for where, flag in answer.fields if _MORE.match(parts(where)[-1]) and flag is True), None
    )
    last = next(
        (where for where, flag in answer.fields if _LAST.match(parts(where)[-1]) and flag is False), None
    )
    for parameter in (
        _token_names(name) if not answer.query else _variables(answer, "after|cursor|next|token|page")
    ):
        for place in _places(answer, parameter):
            found: Json = {"kind": "cursor", "cursor_field": at, "cursor_parameter": place, **_where(answer)}
            reason = f"{at} looks like a token; that it is sent as {place} is a guess"
            if more or last:
                found["more_field" if more else "end_field"] = more or last
            yield Guess(found, reason, plain=True)


def _token_names(name: str) -> list[str]:
    """Return what a token may be sent as, the likeliest first."""
    plain = name.lower().replace("_", "")
    short = re.sub(r"^next_?|_", "", name, flags=re.I) or name
    snake = re.sub(r"^next_", "", name, flags=re.I)
    likely = [_PARAMETERS.get(plain, short[0].lower() + short[1:]), snake, name]
    if "_" in name and likely[0].lower() == "pagetoken":
        likely.insert(0, "page_token")
    if plain.startswith("after"):
        likely = ["page[after]", "after", *likely]
    return list(dict.fromkeys([*likely, *_TOKEN_NAMES]))


def _variables(answer: Answer, meaning: str) -> list[str]:
    """Return the variables of a GraphQL query whose arguments have a meaning, as paths in the body."""
    return [
        f"variables.{name}"
        for argument, name in _GRAPHQL_ARGUMENT.findall(answer.query)
        if re.search(meaning, argument, re.I)
    ]


def _places(answer: Answer, parameter: str) -> list[str]:
    """Return where a parameter may be: in a body also next to where the page's size is."""
    if not answer.posted or answer.query:
        return [parameter]
    near = {at.rpartition(".")[0] for at, _ in answer.sent if parts(at)[-1].lower() in _SIZES and "." in at}
    return [*(f"{above}.{parameter}" for above in near), parameter]


def _where(answer: Answer) -> Json:
    return {"send_in": "body"} if answer.posted else {}


def _names(answer: Answer, pattern: re.Pattern[str], usual: Sequence[str]) -> list[str]:
    """Return the parameter that was asked with, if it fits, else the usual ones."""
    asked = [name for name in answer.parameters if pattern.match(name.lstrip("_$"))]
    asked += [at for at, _ in answer.sent if pattern.match(parts(at)[-1])]
    return asked or list(usual)


def _by_number(answer: Answer) -> Iterator[Guess]:
    pages = next(
        (at for at, value in answer.fields if _PAGES.match(parts(at)[-1]) and _is_small(value)), None
    )
    current = next(
        ((at, value) for at, value in answer.fields if _PAGE.match(parts(at)[-1]) and _is_small(value)), None
    )
    names = _names(answer, _PAGE, ())
    if not (pages or current or names):
        return
    said = []
    found: Json = {"kind": "page_numbers", **_where(answer)}
    if pages:
        found["pages_field"] = pages
        said.append(f"{pages} looks like the number of pages")
    if current:
        said.append(f"{current[0]} is {current[1]}, which looks like the page's number")
        if current[1] == 0:
            found["first"] = 0
    if names:
        said.append(f"the request has {names[0]}")
    own = [parts(current[0])[-1]] if current else []
    for parameter in names or list(dict.fromkeys(["page", *own, *PAGE_NAMES])):
        yield Guess({**found, "page_parameter": parameter}, "; ".join(said))


def _by_offset(answer: Answer) -> Iterator[Guess]:
    names = _names(answer, _OFFSET, ())
    said = next(
        ((at, value) for at, value in answer.fields if _OFFSET.match(parts(at)[-1]) and _is_small(value)),
        None,
    )
    if not (names or said):
        return
    why = f"the request has {names[0]}" if names else f"{said and said[0]} is there"
    own = [parts(said[0])[-1]] if said else []
    first = {"first": 1} if said and said[1] == 1 else {}
    for parameter in names or list(dict.fromkeys([*own, *OFFSET_NAMES])):
        found = {"kind": "offset", "offset_parameter": parameter, **first, **_where(answer)}
        yield Guess(found, f"{why}, which looks like an offset")


def _by_key(answer: Answer) -> Iterator[Guess]:
    more = next(
        (at for at, value in answer.fields if _MORE.match(parts(at)[-1]) and isinstance(value, bool)), None
    )
    key = key_of(answer.records)
    if more is None or key is None or answer.query:
        return
    for parameter in KEY_NAMES:
        found = {
            "kind": "keyset",
            "key_field": key,
            "key_parameter": parameter,
            "more_field": more,
            **_where(answer),
        }
        yield Guess(
            found, f"{more} says whether more follows; that it continues after the last {key} is a guess"
        )


def _sized(guess: Guess, answer: Answer) -> Guess:
    """Return a guess with the page's size that was asked for, or with none."""
    kind = guess.pagination["kind"]
    if kind == "next_header" and "cursor_parameter" not in guess.pagination:
        return guess
    name = {"offset": "limit_parameter"}.get(kind, "size_parameter")
    asked = next(
        ((each, str(value)) for each, value in answer.parameters.items() if each.lower() in _SIZES), None
    )
    if asked is None and answer.posted:
        sizes = _variables(answer, "^(first|limit|size|count|perPage|pageSize)$") if answer.query else []
        asked = next(
            ((at, str(value)) for at, value in answer.sent if at in sizes or parts(at)[-1].lower() in _SIZES),
            None,
        )
        if asked and kind in ("cursor", "keyset"):
            guess = replace(guess, pagination={**guess.pagination, "size_in": "body"})
    if asked and asked[1].isdigit() and int(asked[1]) > 0:
        return replace(guess, pagination={**guess.pagination, name: asked[0], "size": int(asked[1])})
    if kind in ("next_url", "link_header", "next_header"):
        return guess
    return replace(guess, pagination={**guess.pagination, name: None})


def _total(
    fields: list[tuple[str, Any]], headers: Mapping[str, str], records: list[Any], proposal: Proposal
) -> int | None:
    for name in _TOTAL_HEADERS:
        if headers.get(name, "").strip().isdigit():
            proposal.resource["completeness"] = {"total_header": name}
            proposal.because(f"completeness: the header {name} says {headers[name]}")
            return int(headers[name])
    for at, value in fields:
        if _TOTAL.match(parts(at)[-1]) and _is_small(value) and value >= len(records) and value > 0:
            if parts(at)[-1].lower() in ("count", "size") and value == len(records):
                # As many as came: it may well count this page alone.
                continue
            proposal.resource["completeness"] = {"total_field": at}
            proposal.because(f"completeness: {at} says {value}, which looks like the number of all records")
            return int(value)
    return None


def _record_fields(records: list[Any], proposal: Proposal) -> None:
    key = key_of(records)
    if key is not None:
        proposal.resource["key"] = [key]
        proposal.because(f"key: {key} is different in each record")
    names = records[0] if records and isinstance(records[0], dict) else {}
    stamp = next((name for name in names if name.lower() in STAMPS), None)
    if stamp is not None:
        proposal.because(
            f"incremental: records have {stamp}, such as {str(names[stamp])[:40]}; if the API has a parameter for it, "
            f'add "incremental": {{"parameter": "…", "field": "{stamp}", "format": "{_format(names[stamp])}"}}'
        )


def key_of(records: list[Any]) -> str | None:
    """Return the field that identifies records, None where none does."""
    if not records or not all(isinstance(one, dict) for one in records):
        return None
    for name in (
        "id",
        "_id",
        "uuid",
        "key",
        "code",
        "ID",
        "Id",
        "uid",
        "guid",
        "gid",
        "sid",
        "uri",
        "token",
        *[n for n in records[0] if n.lower().endswith("_id")],
    ):
        values = [one.get(name) for one in records]
        if all(isinstance(value, (str, int)) for value in values) and len(set(values)) == len(values):
            return str(name)
    return None


def _format(value: Any) -> str:
    if isinstance(value, (int, float)):
        return "epoch_ms" if value > 100_000_000_000 else "epoch"
    return "date" if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else "iso"


def _is_small(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12


def _arrays(value: Any, at: str = "", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(value, list):
        yield at, value
        if len(value) == 1 and isinstance(value[0], dict) and depth < _DEEPEST and at:
            # A lone element may hold what is meant: the items of the one board that was asked for.
            for below, held in _arrays(value[0], "", depth + 1):
                if all(isinstance(one, dict) for one in held):
                    yield f"{at}[].{below}[]", held
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, below in value.items():
            yield from _arrays(below, _joined(at, name), depth + 1)


def _keyed(value: Any, at: str = "", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    """Yield objects of two objects and more, which may hold records under their keys."""
    if not isinstance(value, dict) or depth >= _DEEPEST:
        return
    held = list(value.values())
    if (
        len(held) > 1
        and all(isinstance(one, dict) for one in held)
        and len({frozenset(one) for one in held}) == 1
    ):
        yield f"{at}{{}}", held
        return
    for name, below in value.items():
        yield from _keyed(below, _joined(at, name), depth + 1)


def _leaves(value: Any, at: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < _DEEPEST:
        for name, below in value.items():
            place = _joined(at, name)
            if isinstance(below, dict) and _TOKEN.match(name) and name.lower() != "next":
                yield place, below
            yield from _leaves(below, place, depth + 1)
    elif isinstance(value, list) and at and value and all(isinstance(one, dict) for one in value):
        yield from _relations(value, at)
        if len(value) == 1 and depth < _DEEPEST:
            yield from _leaves(value[0], f"{at}.0", depth + 1)
    elif not isinstance(value, (list, dict)) and at:
        yield at, value


def _relations(links: list[Any], at: str) -> Iterator[tuple[str, Any]]:
    """Yield the address of the next page out of an array of links, each with its relation."""
    for link in links:
        for relation in ("rel", "relation"):
            if link.get(relation) == "next":
                for name in ("href", "url", "uri"):
                    if isinstance(link.get(name), str):
                        yield f"{at}[{relation}=next].{name}", link[name]


def _joined(at: str, name: str) -> str:
    quoted = (
        name
        if re.fullmatch(r'[^.\[\]{}"]+', name)
        else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
    return f"{at}.{quoted}" if at else quoted
