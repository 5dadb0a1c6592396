"""Guesses from an API's first answer where the records are and how pages follow each other, each guess with a reason.

What belongs here: guessing from one answer. What does not: asking, and trying the guess (``probe.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headworks.errors import StopError
from headworks.redaction import redacted
from headworks.sources.api.paginate.links import next_link
from headworks.sources.api.paths import parts

Json = dict[str, Any]

_DEEPEST = 4
_RECORDS = re.compile(
    r"^(data|items|results|records|rows|value|values|entries|hits|edges|nodes|list|objects)$", re.I
)
_NEXT_URL = re.compile(r"(^|[._])(next|next_?url|next_?link|next_?page(_?url)?|href)$", re.I)
_TOKEN = re.compile(
    r"^(next_?(cursor|token|page_?token|page)|cursor|end_?cursor|continuation(_?token)?|page_?token|after|"
    r"scroll_?id|_scroll_id|next_?marker|next)$",
    re.I,
)
_MORE = re.compile(r"^(has_?(more|next(_?page)?)|more|truncated|is_?truncated)$", re.I)
_PAGES = re.compile(r"^(total_?pages|pages|page_?count|last_?page|num_?pages)$", re.I)
_PAGE = re.compile(r"^(page|current_?page|page_?(number|no|index)?|p)$", re.I)
_OFFSET = re.compile(r"^(offset|start(_?at|_?index)?|skip|from)$", re.I)
_TOTAL = re.compile(
    r"^(total(_?(count|results|records|items|hits|size|elements))?|count|num_?found|size)$", re.I
)
_SIZES = (
    "per_page",
    "page_size",
    "pagesize",
    "limit",
    "size",
    "count",
    "_limit",
    "$top",
    "maxresults",
    "rows",
)
_STAMPS = ("updated_at", "updatedat", "modified_at", "last_modified", "modified", "updated", "lastmodified")
_NEXT_HEADERS = ("next-page", "x-next-page", "x-next-cursor", "x-next-token", "x-continuation-token")
_TOTAL_HEADERS = ("total-objects", "x-total-count", "x-total", "x-wp-total", "total-count")
_PARAMETERS = {"endcursor": "after", "nextmarker": "marker", "scrollid": "scroll_id", "next": "cursor"}


@dataclass
class Proposal:
    """A resource as JSON, and why it is thought to be so."""

    resource: Json
    reasons: list[str] = field(default_factory=list)

    def because(self, reason: str) -> None:
        """Add a reason."""
        self.reasons.append(redacted(reason))


def propose(body: Any, headers: Mapping[str, str], path: str, parameters: Mapping[str, str]) -> Proposal:
    """Propose a resource from a decoded body, its headers by lower-case name, and what was asked for."""
    proposal = Proposal({"path": path})
    if parameters:
        proposal.resource["parameters"] = dict(parameters)
    records = _records(body, proposal)
    fields = [
        (at, value) for at, value in _leaves(body) if not at.startswith(f"{proposal.resource['records']}.")
    ]
    total = _total(fields, headers, records, proposal)
    proposal.resource["pagination"] = _pagination(fields, headers, parameters, records, total, proposal)
    _sizes(proposal, parameters)
    _record_fields(records, proposal)
    return proposal


def _records(body: Any, proposal: Proposal) -> list[Any]:
    """Find the records: the array with the most objects, by preference under a usual name."""
    found = [(at, value) for at, value in _arrays(body) if value]
    if not found:
        empty = [at for at, _ in _arrays(body)]
        if not empty:
            if isinstance(body, dict):
                proposal.resource["records"] = ""
                proposal.because("records: there is no array in the body, so the body is one record")
                return [body]
            raise StopError("There is nothing in the answer that could be records.", do="check the address.")
        found = [(empty[0], [])]
    at, value = max(found, key=lambda each: _score(*each))
    where = at or "the body itself"
    proposal.because(f"records: {where} is an array of {len(value)}")
    if value and all(isinstance(one, dict) and isinstance(one.get("node"), dict) for one in value):
        at, value = f"{at}[].node", [one["node"] for one in value]
        proposal.because("records: each element holds a node, as in a GraphQL connection")
    proposal.resource["records"] = at
    return value


def _score(at: str, value: list[Any]) -> tuple[int, int, int]:
    name = parts(at)[-1] if at else ""
    objects = sum(isinstance(one, dict) for one in value)
    return (
        int(objects == len(value) > 0),
        int(bool(_RECORDS.match(name)) or not at),
        len(value) - len(parts(at)),
    )


def _pagination(
    fields: list[tuple[str, Any]],
    headers: Mapping[str, str],
    parameters: Mapping[str, str],
    records: list[Any],
    total: int | None,
    proposal: Proposal,
) -> Json:
    """Propose how pages follow each other: what is said plainly first, what can only be guessed last."""
    for guess in (_by_header, _by_url, _by_token, _by_number, _by_offset, _by_key):
        found = guess(fields, headers, parameters, records, proposal)
        if found is not None:
            return found
    if total is not None and total > len(records) > 0:
        proposal.because(
            f"pagination: {total} records are announced and {len(records)} came; page is a mere guess"
        )
        return {"kind": "page_numbers"}
    proposal.because("pagination: nothing points to another page")
    return {"kind": "single"}


def _by_header(
    fields: Any, headers: Mapping[str, str], parameters: Any, records: Any, proposal: Proposal
) -> Json | None:
    if next_link(headers.get("link", "")):
        proposal.because("pagination: the Link header has an address with the relation next")
        return {"kind": "link_header"}
    for name in _NEXT_HEADERS:
        value = headers.get(name, "").strip()
        if value:
            proposal.because(f"pagination: the header {name} says {value[:80]}")
            if "/" in value or "?" in value:
                return {"kind": "next_header", "header": name}
            parameter = "page" if value.isdigit() else "cursor"
            return {"kind": "next_header", "header": name, "cursor_parameter": parameter}
    return None


def _by_url(
    fields: list[tuple[str, Any]], headers: Any, parameters: Any, records: Any, proposal: Proposal
) -> Json | None:
    for at, value in fields:
        is_address = isinstance(value, str) and ("://" in value or value.startswith(("/", "?")))
        named = _NEXT_URL.search(at.replace('"', "")) and "next" in at.lower()
        if is_address and named:
            proposal.because(f"pagination: {at} holds an address, {str(value)[:80]}")
            return {"kind": "next_url", "url_field": at}
    return None


def _by_token(
    fields: list[tuple[str, Any]], headers: Any, parameters: Any, records: Any, proposal: Proposal
) -> Json | None:
    for at, value in fields:
        name = parts(at)[-1]
        if not _TOKEN.match(name) or isinstance(value, bool) or value in (None, ""):
            continue
        if _is_small(value) and re.search(r"page", name, re.I):
            proposal.because(f"pagination: {at} holds the next page's number, {value}")
            return {"kind": "page_numbers", "next_field": at}
        short = re.sub(r"^next_?|_", "", name, flags=re.I) or name
        parameter = _PARAMETERS.get(name.lower().replace("_", ""), short[0].lower() + short[1:])
        if "_" in name and parameter.lower() == "pagetoken":
            parameter = "page_token"
        proposal.because(f"pagination: {at} looks like a token; that it is sent as {parameter} is a guess")
        found: Json = {"kind": "cursor", "cursor_field": at, "cursor_parameter": parameter}
        more = next(
            (where for where, flag in fields if _MORE.match(parts(where)[-1]) and isinstance(flag, bool)),
            None,
        )
        return {**found, "more_field": more} if more else found
    return None


def _by_number(
    fields: list[tuple[str, Any]],
    headers: Any,
    parameters: Mapping[str, str],
    records: Any,
    proposal: Proposal,
) -> Json | None:
    pages = next((at for at, value in fields if _PAGES.match(parts(at)[-1]) and _is_small(value)), None)
    current = next(
        ((at, value) for at, value in fields if _PAGE.match(parts(at)[-1]) and _is_small(value)), None
    )
    asked = next((name for name in parameters if _PAGE.match(name)), None)
    if not (pages or current or asked):
        return None
    found: Json = {"kind": "page_numbers"}
    if pages:
        found["pages_field"] = pages
        proposal.because(f"pagination: {pages} looks like the number of pages")
    if current and current[1] == 0:
        found["first"] = 0
        proposal.because(f"pagination: {current[0]} is 0, so pages begin at 0")
    elif current:
        proposal.because(f"pagination: {current[0]} looks like the page's number")
    if asked:
        found["page_parameter"] = asked
        proposal.because(f"pagination: the address has a parameter {asked}")
    return found


def _by_offset(
    fields: list[tuple[str, Any]],
    headers: Any,
    parameters: Mapping[str, str],
    records: Any,
    proposal: Proposal,
) -> Json | None:
    asked = next((name for name in parameters if _OFFSET.match(name.lstrip("_$"))), None)
    said = next((at for at, value in fields if _OFFSET.match(parts(at)[-1]) and _is_small(value)), None)
    if not (asked or said):
        return None
    name = asked or parts(said or "offset")[-1]
    proposal.because(f"pagination: {'the address' if asked else said} has {name}, which looks like an offset")
    return {"kind": "offset", "offset_parameter": name}


def _by_key(
    fields: list[tuple[str, Any]], headers: Any, parameters: Any, records: list[Any], proposal: Proposal
) -> Json | None:
    more = next((at for at, value in fields if _MORE.match(parts(at)[-1]) and isinstance(value, bool)), None)
    key = _key_of(records)
    if more is None or key is None:
        return None
    proposal.because(
        f"pagination: {more} says whether more follows; that it goes on after the last {key} is a guess"
    )
    return {"kind": "keyset", "key_field": key, "key_parameter": "starting_after", "more_field": more}


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


def _sizes(proposal: Proposal, parameters: Mapping[str, str]) -> None:
    """Take the page's size out of the address, and propose none where the address has none."""
    pagination = proposal.resource["pagination"]
    names = {"page_numbers": "size_parameter", "offset": "limit_parameter"}
    name = names.get(pagination["kind"], "size_parameter")
    if pagination["kind"] == "single":
        return
    asked = next((each for each in parameters if each.lower() in _SIZES and parameters[each].isdigit()), None)
    takes_size = pagination["kind"] not in ("next_header",)
    if asked and takes_size:
        pagination |= {name: asked, "size": int(parameters[asked])}
    elif pagination["kind"] in ("page_numbers", "cursor", "keyset", "offset"):
        pagination[name] = None
        proposal.because("page size: none is asked for; larger pages are faster, so look for its parameter")
    taken = {asked, *(pagination.get(each) for each in ("page_parameter", "offset_parameter"))}
    proposal.resource["parameters"] = {k: v for k, v in parameters.items() if k not in taken}
    if not proposal.resource["parameters"]:
        del proposal.resource["parameters"]


def _record_fields(records: list[Any], proposal: Proposal) -> None:
    key = _key_of(records)
    if key is not None:
        proposal.resource["key"] = [key]
        proposal.because(f"key: {key} is different in each record")
    names = records[0] if records and isinstance(records[0], dict) else {}
    stamp = next((name for name in names if name.lower() in _STAMPS), None)
    if stamp is not None:
        proposal.because(
            f"incremental: records have {stamp}, such as {str(names[stamp])[:40]}; if the API has a parameter for it, "
            f'add "incremental": {{"parameter": "…", "field": "{stamp}", "format": "{_format(names[stamp])}"}}'
        )


def _key_of(records: list[Any]) -> str | None:
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
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, below in value.items():
            yield from _arrays(below, _joined(at, name), depth + 1)


def _leaves(value: Any, at: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth < _DEEPEST:
        for name, below in value.items():
            yield from _leaves(below, _joined(at, name), depth + 1)
    elif not isinstance(value, (list, dict)) and at:
        yield at, value


def _joined(at: str, name: str) -> str:
    quoted = (
        name
        if re.fullmatch(r'[^.\[\]{}"]+', name)
        else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
    return f"{at}.{quoted}" if at else quoted
