"""Looks at an API's first answer, proposes a resource, and tries the proposal: three pages, the end, a second run.

A proposal is for a person, with reasons; a run never guesses. What could not be found out is said, and a resource whose
paging is not known is given without one, so that nothing reads a part for the whole.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError

from headworks.errors import CredentialsRefused, HeadworksError, RateLimited, ReadIncomplete, StopError
from headworks.sources.api.ahead import Unlanded
from headworks.sources.api.bridge import iterate
from headworks.sources.api.client import ApiClient
from headworks.sources.api.fields import RecordFields
from headworks.sources.api.judging import Reply, Rules
from headworks.sources.api.paginate import Ask
from headworks.sources.api.paginate.places import keys_seen
from headworks.sources.api.paginate.shifting import FULL
from headworks.sources.api.paths import parts, placed
from headworks.sources.api.progress import PageToLand, Progress, begin
from headworks.sources.api.proposal import (
    KEY_NAMES,
    OFFSET_NAMES,
    PAGE_NAMES,
    SIZE_NAMES,
    Guess,
    Json,
    Proposal,
    chosen,
    key_of,
    propose,
    size_asked,
)
from headworks.sources.api.reading import Reading
from headworks.sources.api.records import value_of
from headworks.sources.api.request import Composer
from headworks.sources.api.resource import Resource

_FEW, _MOST = 3, 12
"""Pages that every proposal is tried on, and pages within which the end is looked for."""
_TRIED = 80
"""Guesses that are tried at most."""
_PAST_END = frozenset({400, 404, 410, 416, 422})
"""Statuses by which APIs refuse a page past the last one."""
_LEAST = 2
_ROOM = 10_000
_SIZE = 50
"""A page's size that nearly every API gives."""
_USUAL = 4
"""Names of a kind that are tried where nothing says that there is more."""


def probe(api: ApiClient, path: str, parameters: Mapping[str, str], *, body: Json | None = None) -> Proposal:
    """Ask for a path, with a body by POST, propose a resource, and try the proposal.

    Raises `StopError` where the answer is no JSON or holds nothing that could be records, and what the client raises.
    """
    return _Probe(api, path, dict(parameters), body).run()


def sampled(api: ApiClient, resource: Resource) -> list[bytes]:
    """Return the records of a resource's first pages; raises what reading them raises."""
    tried = _Probe(api, resource.path, {}, None).read(resource, _FEW)
    if tried.problem is not None and not tried.records:
        raise tried.problem
    return tried.records


@dataclass
class _Tried:
    """What came of reading by a proposal."""

    pages: list[PageToLand] = field(default_factory=list)
    problem: HeadworksError | None = None

    @property
    def ended(self) -> bool:
        """Return whether the end was reached."""
        return self.problem is None and bool(self.pages) and self.pages[-1].progress.done

    @property
    def records(self) -> list[bytes]:
        """All records that were new."""
        return [record for page in self.pages for record in page.records]

    @property
    def leads_on(self) -> bool:
        """Return whether a second page was reached, with records that the first one had not."""
        return len(self.pages) > 1 and any(len(page.records) == page.read > 0 for page in self.pages[1:2])


@dataclass
class _Probe:
    """One look at an API. ``parameters`` grow by the page's size once it is known."""

    api: ApiClient
    path: str
    parameters: dict[str, str]
    body: Json | None
    tried: int = 0

    def run(self) -> Proposal:
        """Propose, and try until something leads on, or nothing is left."""
        found = self._propose(self.parameters, self.body)
        if found is None:
            raise StopError("The answer is not JSON.", where=self.path, do="check the address.")
        first = len(found.records)
        found = self._by_cursor(found) or found
        # A page that is all there is leads nowhere, whatever is guessed.
        guess = self._leading(found, found.guesses) if found.more or first in FULL else None
        smaller = None if guess is not None else self._smaller(found)
        if smaller is not None:
            smaller.unknown = found.unknown
            found = smaller
            guess = self._leading(found, found.guesses)
        elif guess is None and not (found.more or first in FULL):
            guess = self._leading(found, found.guesses)
        if guess is None:
            guess = self._leading(found, self._usual(found, first))
        if guess is None:
            return self._nothing_leads(found)
        found.reasons = [one for one in found.reasons if not one.startswith(("pagination:", "page size:"))]
        found.because(f"pagination: {guess.reason}")
        found.resource = chosen(found, guess)
        self._verify(found)
        self._larger(found, first)
        return found

    def _propose(self, parameters: Mapping[str, str], body: Json | None) -> Proposal | None:
        """Ask once, and propose from the answer; None where it is no JSON."""
        described: Json = {
            "path": self.path,
            "parameters": dict(parameters),
            "pagination": {"kind": "single"},
        }
        if body is not None:
            described |= {"method": "POST", "body": body}
        reply = _ask(self.api, Resource.model_validate(described))
        content = value_of(reply.text())
        return None if content is None else propose(content, reply.headers, self.path, parameters, sent=body)

    def _again(self, parameters: Mapping[str, str], body: Json | None) -> Proposal | None:
        """Ask in another way, and propose from that; None where the API will not have it."""
        self.tried += 1
        try:
            return self._propose(parameters, body)
        except (RateLimited, CredentialsRefused):
            raise
        except HeadworksError:
            return None

    def _leading(self, found: Proposal, guesses: Iterable[Guess]) -> Guess | None:
        """Return the first guess that leads to a second page with other records."""
        for guess in guesses:
            if self.tried >= _TRIED:
                found.not_known(f"more: {_TRIED} guesses were tried, which is the most")
                return None
            resource = _valid(chosen(found, guess))
            if resource is None:
                continue
            self.tried += 1
            tried = self.read(resource, 2)
            if tried.leads_on and _same_begin(tried.pages[0].records, found.records, resource):
                return guess
        return None

    def _smaller(self, found: Proposal) -> Proposal | None:
        """Ask for a smaller page, which shows how an API pages whose records fit into one; None where none comes."""
        many = len(found.records)
        asked = size_asked(self.parameters, self.body)
        if asked and many > asked[1]:
            # What was asked for is not heeded, so that it is called otherwise.
            names = [one for one in SIZE_NAMES if one != asked[0]]
        else:
            names = [asked[0]] if asked else list(SIZE_NAMES)
        for name in names:
            size = max(1, many // 3)
            if many < _LEAST or self.tried >= _TRIED:
                return None
            parameters, body = self.parameters, self.body
            if body is None:
                parameters = {**parameters, name: str(size)}
            elif not isinstance(body.get("query"), str) or asked:
                body = placed(body, name, size) if _is_path(name) else body
            again = self._again(parameters, body)
            if again is not None and len(again.records) == size:
                self.parameters, self.body = parameters, body
                return again
        return None

    def _usual(self, found: Proposal, first: int) -> Iterator[Guess]:
        """Yield what APIs usually do, where an answer says nothing."""
        if self.body is not None and isinstance(self.body.get("query"), str):
            return
        is_much = found.more or first in FULL or size_asked(self.parameters, self.body)
        most = len(KEY_NAMES) if is_much else _USUAL
        where = {"send_in": "body"} if self.body is not None else {}
        why = "nothing says how pages follow each other; this was found by trying"
        for parameter in PAGE_NAMES[:most]:
            for begins in (1, 0):
                yield self._sized(
                    found,
                    {"kind": "page_numbers", "page_parameter": parameter, "first": begins, **where},
                    why,
                )
        for parameter in OFFSET_NAMES[:most]:
            for begins in (0, 1) if "tart" in parameter else (0,):
                yield self._sized(
                    found, {"kind": "offset", "offset_parameter": parameter, "first": begins, **where}, why
                )
        key = key_of(found.records)
        for parameter in KEY_NAMES[:most] if key else ():
            yield self._sized(
                found, {"kind": "keyset", "key_field": key, "key_parameter": parameter, **where}, why
            )

    def _sized(self, found: Proposal, pagination: Json, why: str) -> Guess:
        name = "limit_parameter" if pagination["kind"] == "offset" else "size_parameter"
        asked = size_asked(self.parameters, self.body)
        if asked is None:
            return Guess({**pagination, name: None}, why)
        inside = {"size_in": "body"} if self.body is not None and pagination["kind"] == "keyset" else {}
        return Guess({**pagination, name: asked[0], "size": asked[1], **inside}, why)

    def _by_cursor(self, found: Proposal) -> Proposal | None:
        """Ask a SCIM service for pages by cursor, as RFC 9865 has them; None where it knows only places by number."""
        names = {str(guess.pagination.get("cursor_field")) for guess in found.guesses}
        if found.resource["records"] != "Resources" or names - {"None"}:
            return None
        again = self._again({**self.parameters, "cursor": ""}, None)
        if again is None or not any(one.pagination["kind"] == "cursor" for one in again.guesses):
            return None
        self.parameters = {**self.parameters, "cursor": ""}
        again.guesses = [
            Guess(
                {**one.pagination, "first": ""}, f"{one.reason}; the empty one asks for cursors", plain=True
            )
            for one in again.guesses
            if one.pagination.get("cursor_parameter") == "cursor"
        ]
        return again

    def _nothing_leads(self, found: Proposal) -> Proposal:
        """Say that there is one page where nothing speaks against it, and else that it is not known."""
        many = len(found.records)
        last = next((guess for guess in found.guesses if guess.reason.endswith("is the last")), None)
        if last is not None and not found.more:
            return self._last(found, last)
        asked = size_asked(self.parameters, self.body)
        heeded = asked is not None and many <= asked[1]
        if not found.more and not heeded and self._is_single(found):
            found.because(
                f"tried: {many} records came, no other page was found, and no size of a page is heeded"
            )
            found.not_known("whether more records than these would come in one page too")
            return found
        found.resource.pop("pagination", None)
        found.reasons = [one for one in found.reasons if not one.startswith(("pagination:", "page size:"))]
        found.because(f"tried: {self.tried} guesses, and none of them led to a second page")
        found.not_known(
            f"how pages follow each other: {many} records came, and nothing that was tried leads to others"
            + ("" if many else "; ask again when there are records")
        )
        return found

    def _last(self, found: Proposal, last: Guess) -> Proposal:
        """Propose to follow what is null now, which stops with an error if it turns out to be no address."""
        found.resource = chosen(found, last)
        found.because(f"pagination: {last.reason}")
        found.not_known(
            "whether what leads to a next page is an address: there is one page now; ask again when there are more"
        )
        return found

    def _is_single(self, found: Proposal) -> bool:
        """Return whether one page is all there is as far as anything shows."""
        found.resource = {**found.resource, "pagination": {"kind": "single"}}
        tried = self.read(Resource.model_validate(found.resource), 1)
        return tried.ended and bool(tried.pages[-1].shown)

    def _verify(self, found: Proposal) -> None:
        """Read three pages, and to the end where that is near, and once more; say what came of it."""
        resource = Resource.model_validate(found.resource)
        tried = self.read(resource, _MOST)
        if isinstance(tried.problem, ReadIncomplete) and resource.pagination.kind == "cursor":
            # Some APIs give the last token again in the place of none.
            again = {**found.resource, "pagination": {**found.resource["pagination"], "same_ends": True}}
            other = self.read(Resource.model_validate(again), _MOST)
            if other.ended:
                found.resource, resource, tried = again, Resource.model_validate(again), other
                found.because("pagination: the same token again is the end")
        counts = ", ".join(str(page.read) for page in tried.pages[:_FEW])
        if tried.problem is not None:
            found.not_known(f"how it ends: after {len(tried.pages)} pages it stopped: {tried.problem.what}")
            found.because(
                f"tried: {len(tried.pages)} pages were read like this, with {counts} records, and then it stopped"
            )
            found.resource.pop("pagination", None)
            return
        many = "and more " if len(tried.pages) > _FEW else ""
        found.because(
            f"tried: {len(tried.pages)} pages were read like this, with {counts} {many}records, each of them new"
        )
        self._keyed(found, tried)
        self._placed(found, tried)
        resource = self._past_end(found, resource, tried)
        if not tried.ended:
            found.not_known(f"how it ends: {_MOST} pages were read, and more follow")
            return
        self._ended(found, resource, tried)

    def _placed(self, found: Proposal, tried: _Tried) -> None:
        """Say whether what leads on was seen to be a place after a key."""
        before = tried.pages[-2 if tried.ended else -1 :][0].progress
        state = (before.state if isinstance(before, Progress) else None) or {}
        keys = keys_seen(state)
        if keys:
            found.because(
                f"stable: what leads on holds {', '.join(keys[:_FEW])} of a record each time, so it is a place after a "
                "key, which each run sees for itself"
            )
        elif keys is not None and not tried.ended and not state.get("numbers"):
            found.not_known(
                "whether what leads on is a place after a key, which deletions do not shift: nothing in it shows that. "
                "Set pagination.stable to true if the API documents it as a cursor or a key"
            )

    def _past_end(self, found: Proposal, resource: Resource, tried: _Tried) -> Resource:
        """Ask counted pages for one past the last, and describe its refusal: a scan may end on a full page."""
        paging = resource.pagination
        if paging.kind not in ("page_numbers", "offset") or not (tried.ended or found.total):
            return resource
        size = max(1, *(page.read for page in tried.pages))
        pages = len(tried.pages) if tried.ended else (found.total or 0) // size + 1
        name, step = ("page", 1) if paging.kind == "page_numbers" else ("offset", size)
        state = paging.begin()
        past = {**state, name: state[name] + (pages + 1) * step}
        self.tried += 1
        status = _status(self.api, resource, paging.ask(past))
        if status not in _PAST_END:
            return resource
        named: Json = {"past_end": "missing"} if paging.kind == "page_numbers" else {}
        if paging.kind == "offset" or status not in paging.past_end_statuses:
            named["past_end_statuses"] = [status]
        found.resource = {**found.resource, "pagination": {**found.resource["pagination"], **named}}
        found.because(f"the end: a page past the last one is answered with {status}")
        return Resource.model_validate(found.resource)

    def _ended(self, found: Proposal, resource: Resource, tried: _Tried) -> None:
        last, count = tried.pages[-1], len(tried.records)
        if found.total is not None and count > found.total:
            del found.resource["completeness"]
            found.because(
                f"completeness: {count} records came where {found.total} were announced, so it counts something else"
            )
        if last.shown:
            found.because(f"the end: was reached after {count} records, and is shown to be the end")
        else:
            found.not_known(f"that {count} records are all: {last.warning or 'nothing shows it'}")
        position = last.progress.to_position()
        progress = begin(
            position, resource, resource.pagination, self.api.clock(), base_url=self.api.settings.base_url
        )
        second = self.read(resource, _MOST, progress)
        came = sum(page.read for page in second.pages)
        if second.problem is not None or not second.ended:
            why = second.problem.what if second.problem else "it did not end where the first one did"
            found.not_known(f"that a second run is like the first: {why}")
        else:
            found.because(f"a second run: read {came} records to its end")

    def _keyed(self, found: Proposal, tried: _Tried) -> None:
        """Take a key back that does not distinguish the records of several pages."""
        key = found.resource.get("key")
        if not key:
            return
        keys = RecordFields(Resource.model_validate(found.resource)).keys(tried.records) or []
        if len(set(keys)) < len(keys):
            del found.resource["key"]
            found.reasons = [one for one in found.reasons if not one.startswith("key:")]
            found.not_known(f"what identifies a record: {key[0]} comes more than once")

    def _larger(self, found: Proposal, first: int) -> None:
        """Ask for pages of a usual size where small ones were tried."""
        pagination = found.resource.get("pagination", {})
        if not pagination.get("size") or pagination["size"] >= first:
            return
        for size in dict.fromkeys((max(first, _SIZE), first)):
            larger = {**found.resource, "pagination": {**pagination, "size": size}}
            tried = self.read(Resource.model_validate(larger), 1)
            if tried.problem is None and tried.pages and tried.pages[0].read >= first:
                found.resource = larger
                return

    def read(self, resource: Resource, most: int, progress: Progress | None = None) -> _Tried:
        """Read pages as proposed; raises only what keeps everything from being asked."""
        tried = _Tried()

        def pages() -> AsyncGenerator[PageToLand, None]:
            start = progress or begin(
                None, resource, resource.pagination, self.api.clock(), base_url=self.api.settings.base_url
            )
            return Reading(self.api, resource, start, self.api.clock(), Unlanded(_ROOM)).pages()

        try:
            with closing(iterate(pages, name=f"headworks probe {resource.path}")) as reading:
                for page in islice(reading, most):
                    tried.pages.append(page)
        except (RateLimited, CredentialsRefused):
            raise
        except HeadworksError as problem:
            tried.problem = problem
        return tried


def _ask(api: ApiClient, resource: Resource) -> Reply:
    """Ask once, through the same client that reads."""

    async def ask() -> AsyncGenerator[Reply, None]:
        asked = Composer(api.settings, resource).compose(Ask())
        async with api.session() as session:
            yield await session.fetch(asked, Rules(), lambda reply: reply)

    (reply,) = list(iterate(ask, name=f"headworks probe {resource.path}"))
    return reply


def _status(api: ApiClient, resource: Resource, ask: Ask) -> int:
    """Return the status of the answer to one request, 0 where there is none that says anything of its page."""

    async def asked() -> AsyncGenerator[int, None]:
        request = Composer(api.settings, resource).compose(ask)
        async with api.session() as session:
            yield await session.fetch(request, Rules(empty=_PAST_END), lambda reply: reply.status)

    try:
        (status,) = list(iterate(asked, name=f"headworks probe {resource.path}"))
    except (RateLimited, CredentialsRefused):
        raise
    except HeadworksError:
        return 0
    return status


def _valid(content: Json) -> Resource | None:
    pagination = content["pagination"]
    with suppress(ValidationError, ValueError):
        if pagination.get("send_in") == "body":
            # In a body names are paths: one that is none fits queries alone.
            for name, value in pagination.items():
                if name.endswith("_parameter") and value is not None:
                    parts(str(value))
        return Resource.model_validate(content)
    return None


def _is_path(name: str) -> bool:
    with suppress(ValueError):
        return bool(parts(name))
    return False


def _same_begin(read: Sequence[bytes], shown: Sequence[Any], resource: Resource) -> bool:
    """Return whether a scan begins with the records that the first answer had, by key where there is one."""
    names = resource.key
    if not names:
        pairs = [(value_of(one), other) for one, other in zip(read, shown, strict=False)]
    else:
        keys = [(value_of(one) or {}).get(names[0]) for one in read]
        pairs = list(zip(keys, [one.get(names[0]) for one in shown], strict=False))
    return bool(pairs) and all(one == other for one, other in pairs)


def split_url(url: str) -> tuple[str, str, dict[str, str]]:
    """Return the origin, the path and the query parameters of an address."""
    found = urlsplit(url)
    return (
        f"{found.scheme}://{found.netloc}",
        found.path or "/",
        dict(parse_qsl(found.query, keep_blank_values=True)),
    )
