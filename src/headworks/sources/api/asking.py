"""Asks for the pages of a resource, and takes apart what comes: requests with their bounds, bodies, what is no page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from headworks.errors import (
    BreakerOpen,
    PageUnreadable,
    RetryError,
    ScanExpired,
    SourceUnavailable,
)
from headworks.sources.api.client import ApiClient, Session
from headworks.sources.api.failing import failure_of
from headworks.sources.api.formats import Format
from headworks.sources.api.judging import Reply, Rules, is_empty
from headworks.sources.api.noticing import Described, probably
from headworks.sources.api.paginate import Ask, Paginator
from headworks.sources.api.paginate.base import put, together
from headworks.sources.api.paginate.links import NEXT_PART
from headworks.sources.api.progress import Progress, Span
from headworks.sources.api.records import Body, Envelope, outline, value_of
from headworks.sources.api.request import Composer, Request, conditional_headers
from headworks.sources.api.resource import Resource
from headworks.sources.api.spool import Spool
from headworks.sources.api.values import Values

_ACCEPTED, _TWICE = 202, 2
RECORDS = "records"
_NO_RECORDS = re.compile(r"(?i)(?:total|count|size|results?|hits|num|found|rows|items|length)")


def _counts_none(around: Mapping[str, Any]) -> bool:
    """Return whether an answer counts its records, and there are none."""
    counted = [value for name, value in around.items() if type(value) is int and _NO_RECORDS.search(name)]
    return bool(counted) and not any(counted)


@dataclass(frozen=True)
class Fetched:
    """A page as it came."""

    body: Body
    headers: dict[str, str] = field(default_factory=dict)
    missing: bool = False
    unchanged: bool = False
    outline: Mapping[str, Any] = field(default_factory=dict)


class Asking:
    """How the pages of one resource are asked for, as far as a reading has come."""

    def __init__(self, api: ApiClient, resource: Resource, progress: Progress, prefix: bytes = b"") -> None:
        self._api, self._resource, self._progress = api, resource, progress
        self._paginator: Paginator = resource.pagination
        self._compose = Composer(api.settings, resource)
        self._envelope = Envelope(
            resource.records,
            tuple(
                filter(
                    None,
                    (
                        *self._paginator.fields,
                        resource.completeness.total_field,
                        resource.delta.token_field if resource.delta else None,
                    ),
                )
            ),
            resource.error_fields,
            lone=resource.pagination.kind == "single",
        )
        spec = resource.incremental
        self._format = Format(resource, self._envelope, prefix)
        self._unended, self._blind = "", False
        self._spool: Spool | None = None
        self._values = Values(spec) if spec else None
        self._described = Described(resource, progress.known)
        self._rules = {first: Rules.of(resource, first=first) for first in (True, False)}
        self._changes = self._rules[False]
        if resource.delta is not None:
            expired = self._changes.expired | frozenset(resource.delta.expired_statuses)
            self._changes = replace(self._changes, expired=expired)
        self._number = 0
        self.missing: set[int] = set()
        self.session: Session

    async def _fetch(self, request: Request, *, first: bool) -> Fetched:
        rules = self._changes if self._progress.token is not None else self._rules[first]
        if request.part is not None and self._spool is not None:
            return await self._part(request, rules, self._spool, request.part)
        vacant: list[str] = []

        def accept(reply: Reply) -> Fetched:
            headers = dict(reply.headers)
            if reply.status == 304:
                return Fetched(Body([], {}), headers, unchanged=True)
            if is_empty(reply, request, rules):
                self.missing.add(reply.status)
                return Fetched(Body([], {}), headers, missing=True)
            text = reply.text()
            body = self._body(reply, text)
            if body.vacant:
                self._accept_vacant(body, text, vacant, once=request.once)
            looked = outline(text) if not body.records or (first and self._looks_around(body)) else {}
            return Fetched(body, headers, outline=looked)

        try:
            return await self.session.fetch(request, rules, accept)
        except BreakerOpen:
            raise
        except RetryError as problem:
            if not request.once:
                raise
            raise ScanExpired(
                f"A page is lost that the API gives only once: {problem.what}", where=problem.where
            ) from problem

    async def _part(self, request: Request, rules: Rules, spool: Spool, at: int) -> Fetched:
        """Return a part of a file, which is downloaded first where it is another one than before."""

        def accept(reply: Reply) -> bool:
            spool.begin(request.url)
            return is_empty(reply, request, rules)

        if spool.of != request.url and await self.session.fetch(replace(request, sink=spool), rules, accept):
            return Fetched(Body([], {}), missing=True)
        text, following = spool.part(at)
        body = self._body(Reply(HTTPStatus.OK, "", {}, text), text)
        return Fetched(body if following is None else replace(body, fields={NEXT_PART: following}))

    def _body(self, reply: Reply, text: bytes) -> Body:
        """Take a body apart; raises what an answer without records says that went wrong."""
        try:
            body, there = self._format.body(reply, text)
        except PageUnreadable:
            failure = failure_of(outline(text))
            if failure is None:
                raise
            raise failure from None
        lone = self._envelope.lone and not self._resource.records and len(body.records) == 1
        if not body.records or lone:
            failure = failure_of(outline(text), lone=lone)
            if failure is not None:
                raise failure
            if reply.status == _ACCEPTED and not body.records:
                raise SourceUnavailable(
                    "The API answered 202: it has accepted the request and has no records yet.",
                    do="nothing, if it heals; else ask for the result where the API says that it will be.",
                )
        if (body.records and not body.vacant) or (body.vacant and not body.absent):
            self._described.known.add(RECORDS)
        self._described.known.update(f"array {path}" for path in there)
        self._unended = self._unended or body.doubt
        return body

    def _accept_vacant(self, body: Body, text: bytes, before: list[str], *, once: bool) -> None:
        """Accept that nothing is where the records should be; raises `PageUnreadable` where that may be a fault.

        An empty page is one that says so twice, and has what leads on or is the first.
        """
        around = outline(text)
        if body.absent and not _counts_none(around):
            self._blind = True
        may_be_absent = self._resource.records_may_be_absent or RECORDS in self._described.known
        if body.absent and not may_be_absent and not _counts_none(around):
            raise PageUnreadable(
                f"A page is not what was expected: {body.vacant}.{self._records_meant(text)}",
                do="correct records of the resource; if this is how the API says that there are none, set "
                "records_may_be_absent.",
            )
        if body.records:
            # Earlier pages had them where they should be: these are odd themselves, and land as they are.
            return
        before.append(body.vacant)
        lacks = not any(name in body.fields for name in self._paginator.fields)
        if (len(before) < _TWICE and not once) or (
            lacks and self._number and self._paginator.fields and not self._paginator.guessable
        ):
            raise PageUnreadable(
                f"A page has no records: {body.vacant}" + (", and nothing that leads on." if lacks else "."),
                do="nothing, if it heals; else ask the API's owner.",
            )

    def _records_meant(self, text: bytes) -> str:
        there = value_of(text)
        return probably(self._resource.records, there, arrays=True) if isinstance(there, dict) else ""

    def _looks_around(self, body: Body) -> bool:
        if self._resource.pagination.kind == "single":
            return True
        total = self._resource.completeness.total_field
        wanted = (*self._paginator.fields, *((total,) if total else ()))
        return not all(name in body.fields for name in wanted)

    def _request(self, state: dict[str, object], span: Span, *, first: bool = False) -> Request:
        ask = self._with_bounds(self._paginator.ask(state), state, span)
        if first and self._resource.conditional and self._progress.validators:
            ask = together(ask, Ask(headers=conditional_headers(self._progress.validators)))
        return self._compose.compose(ask)

    def _with_bounds(self, ask: Ask, state: dict[str, object], span: Span) -> Ask:
        """Return a page's part of the request with the span's; a token that is sent alone goes without it.

        Where both have the same parameter, as where a page's end is the next one's beginning, the page's counts.
        """
        delta, token = self._resource.delta, self._progress.token
        if self._resource.export is not None:
            # What is new was said when the job was submitted.
            return ask
        if delta is None or token is None:
            return ask if ask.alone and ask.url is None else together(*self._bounds(span), ask)
        if delta.parameter is None:
            return ask if ask.url is not None or ask.alone else together(Ask(url=str(token), alone=True), ask)
        elsewhere = Ask(at=delta.path, method=delta.method)
        if ask.alone:
            return together(elsewhere, ask) if ask.url is None else ask
        kept = put(delta.send_in, delta.parameter, token, alone=delta.alone)
        if state == self._paginator.begin():
            # In place of a first token of the paginator's own.
            return together(elsewhere, ask, kept) if not delta.alone else together(elsewhere, kept)
        return together(elsewhere, kept, ask)

    def _bounds(self, span: Span) -> list[Ask]:
        spec = self._resource.incremental
        if spec is None or self._values is None:
            return []
        asks = []
        if span.since is not None:
            within = span.since != self._progress.begun
            asks.append(put(spec.send_in, spec.parameter, self._values.since(span.since, within=within)))
        elif spec.start is not None:
            asks.append(put(spec.send_in, spec.parameter, spec.template.format(spec.start)))
        if span.until_us is not None and spec.until_parameter is not None:
            asks.append(put(spec.send_in, spec.until_parameter, self._values.until(span.until_us)))
        return asks
