"""Reads a resource page by page: drives its paginator, recognises what came already, judges whether it was whole.

A pass is one scan, or several where a window had to be split. A scan that the API gave up is begun again at its
watermark; one that its own counts contradict is scanned once more, and what then comes again is the API's word.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from headworks.errors import (
    HeadworksError,
    PageUnreadable,
    ReadIncomplete,
    ReadShort,
    ScanExpired,
    StopError,
    WindowTooLarge,
)
from headworks.sources.api.addresses import joined
from headworks.sources.api.ahead import Ahead, Unlanded
from headworks.sources.api.asking import RECORDS, Asking, Fetched
from headworks.sources.api.capped import Cap
from headworks.sources.api.client import ApiClient, Session
from headworks.sources.api.exports import awaited, submitted
from headworks.sources.api.fields import RecordFields
from headworks.sources.api.judging import Reply
from headworks.sources.api.memory import LoopGuard, Memory, Recognised
from headworks.sources.api.noticing import probably
from headworks.sources.api.paginate import Ask, Page, PageNumbers, Single, Step
from headworks.sources.api.paginate.base import SAYS_MORE, as_text, together
from headworks.sources.api.paginate.links import Files
from headworks.sources.api.paginate.shifting import FULL, more_of_nothing
from headworks.sources.api.paginate.tokens import is_end
from headworks.sources.api.paths import find
from headworks.sources.api.progress import PageToLand, Progress, Span, all_comes_again
from headworks.sources.api.records import Body, outline
from headworks.sources.api.request import Composer, Request
from headworks.sources.api.resource import Export, Resource
from headworks.sources.api.spool import Spool
from headworks.sources.api.verdict import End, Verdict, judge_end
from headworks.sources.api.watermark import Watermark

_MOST_RESTARTS = 3
_NOT_COMPARED = (
    "The API gave {count} records of one query, and nothing shows that this is not the most that it gives: "
    "this reading is not shown to be complete."
)
_MISSED = (
    "An earlier reading was not shown to be complete, and this one began after it: what that one may have missed does "
    "not come. Run it once with mode full; with a key, such a reading is repeated instead."
)
_MORE_OF_NOTHING = (
    "The scan ended with an empty page whose {flag} says that more follows, and the description does not name that "
    "field: this reading is not shown to be complete. Name it as pagination.more_field."
)
_PRECEDED = (
    "The API has a page before the first one that was asked for, with other records: this reading is not shown to be "
    "complete. Set pagination.first to 0."
)
_TWICE = (
    "The same record came more than once, and without a key nobody can say whether it takes the place of another one: "
    "this reading is not shown to be complete. Give the resource a key."
)
_ERRORS = 400
_MOST_LOOKS = 2
"""Further answers for a page that is the last, or empty."""


class Reading(Asking):
    """One reading of one resource, from its stream's position to the end of the pass.

    No page is asked for where ``unlanded`` has no room for it. ``brief``: it is one of very many, most of them empty,
    so that a first page without records is not asked for twice.
    """

    def __init__(
        self,
        api: ApiClient,
        resource: Resource,
        progress: Progress,
        now: datetime,
        unlanded: Unlanded,
        prefix: bytes = b"",
        *,
        brief: bool = False,
    ) -> None:
        super().__init__(api, resource, progress, prefix)
        self._brief, self._unlanded = brief, unlanded
        self._fields = RecordFields(resource)
        spec = resource.incremental
        self._uncompared = ""
        self._job_total: int | None = None
        self._watermark = Watermark(spec, progress.mark, progress.high, now) if spec else None
        self._cap = Cap(resource, self._values, progress)
        self._memory = Memory(progress.expected, progress.held)
        self._verdict = Verdict()
        self._warning = progress.warning
        self._in_hand: tuple[Fetched, Recognised] | None = None
        self._validators: dict[str, str] = {}

    @property
    def known(self) -> frozenset[str]:
        """The described fields that some page or record has had."""
        return frozenset(self._described.known)

    async def pages(self, session: Session | None = None) -> AsyncGenerator[PageToLand, None]:
        """Yield page after page until the pass has ended, in a session that others have opened or in one of its own."""
        if session is None:
            async with self._api.session() as own, aclosing(self.pages(own)) as pages:
                async for landed in pages:
                    yield landed
            return
        self.session, restarts, resource = session, 0, self._resource
        while not self._progress.done:
            try:
                self._cut_window()
                if resource.export is not None:
                    if self._progress.job is None:
                        yield await self._submit(resource.export)
                    await self._result(resource.export)
                async with aclosing(self._scan()) as scan:
                    async for landed in scan:
                        assert isinstance(landed.progress, Progress), "a scan's own"
                        self._progress = landed.progress
                        yield landed
            except ScanExpired as problem:
                self._put_back()
                restarts += 1
                if self._progress.token is not None and (self._progress.state is None or restarts > 1):
                    self._progress, restarts = self._progress.all_again(), 0
                    self._memory.begin_scan()
                    continue
                if restarts > _MOST_RESTARTS:
                    raise ReadIncomplete(
                        f"The API gave up the scan {restarts} times: {problem.what}",
                        where=problem.where,
                        do="ask for larger pages or smaller windows, so that a scan ends before it expires.",
                    ) from problem
                self._progress = replace(self._progress.restarted(), job=None)
                self._memory.begin_scan()
            except WindowTooLarge as problem:
                self._put_back()
                self._progress = self._split(problem)

    def _cut_window(self) -> None:
        """Cut the first span down to the longest one that the API takes, before it is begun."""
        spec, progress = self._resource.incremental, self._progress
        if spec is not None and spec.window_s is not None and progress.state is None:
            self._progress = replace(
                progress, spans=(*progress.spans[0].cut(spec.window_s), *progress.spans[1:])
            )

    async def _submit(self, export: Export) -> PageToLand:
        """Submit the job, and return a page of nothing that has its id committed."""
        asks = together(*self._bounds(self._progress.spans[0]))
        job, shown = await submitted(self.session, self._api, self._resource, export, asks)
        self._progress = replace(self._progress.restarted(), job=job)
        return PageToLand([], None, 0, self._number, shown, self._progress, flush=True)

    async def _result(self, export: Export) -> None:
        """Wait until the job is done, and read its result from where an earlier run stopped."""
        result = await awaited(self.session, self._api, self._resource, export, str(self._progress.job))
        self._compose, self._job_total = result.compose, result.total
        if result.urls is None:
            return
        in_parts = self._resource.format in ("csv", "ndjson")
        self._paginator = Files(urls=result.urls, parts=in_parts)
        if in_parts:
            limits = self._api.settings.limits
            quoted = self._resource.format == "csv"
            headed = quoted and not self._resource.columns
            self._spool = Spool(limits.file_bytes, limits.response_bytes, quoted=quoted, headed=headed)
        at_file = (self._progress.state or self._paginator.begin()).get("file")
        if not isinstance(at_file, int) or at_file >= max(1, len(result.urls)):
            raise ScanExpired("The export has other files than before.", where=self._resource.path)

    async def _scan(self) -> AsyncGenerator[PageToLand, None]:
        """Yield the pages of the first span until it has ended, or has to be scanned once more."""
        progress, span = self._progress, self._progress.spans[0]
        state = progress.state if progress.state is not None else await self._begun()
        guard = LoopGuard(progress.anchors, identical_pages=self._resource.identical_pages)
        first = progress.state is None

        async def fetch(request: Request) -> Fetched:
            return await self._fetch(request, first=first)

        most = self._api.settings.limits.in_flight
        ahead = Ahead(fetch, most, self._unlanded)
        try:
            while True:
                here = state

                def guess(steps: int, here: dict[str, object] = here) -> Request | None:
                    if steps >= most and not self._paginator.bounded(here):
                        return None
                    following = self._paginator.ahead(here, steps)
                    return None if following is None else self._request(following, span)

                request = self._request(state, span, first=first)
                fetched = await ahead.get(request, guess)
                if fetched.unchanged:
                    yield self._unchanged(request)
                    return
                turn = _Turn(request, span, state, progress, guard)
                page, known, step = await self._turn(turn, fetched)
                progress = self._advance(turn, page, known, step)
                cap = self._resource.cap
                if step.state is not None and cap is not None and progress.count >= cap.most:
                    self._cap.see(progress, span)
                    raise WindowTooLarge(f"The API gave {progress.count} records, and more follow.")
                if step.state is None:
                    doubt = self._uncompared = await self._compared(turn, progress)
                    flag = more_of_nothing(page.body.records, page.outline, self._paginator.fields)
                    doubt = doubt or (_MORE_OF_NOTHING.format(flag=flag) if flag else "")
                    doubt = doubt or await self._preceded(turn, progress)
                    step = replace(step, doubt=step.doubt or doubt)
                    progress = replace(progress, most=self._cap.most, reach=self._cap.reach)
                landed = self._landed(turn, page, known, step, progress)
                self._in_hand = None
                yield landed
                if landed.problem is not None:
                    raise landed.problem
                if step.state is None:
                    return
                state, first = step.state, False
        finally:
            await ahead.drop()
            if self._spool is not None:
                self._spool.close()
                self._spool = None

    async def _begun(self) -> dict[str, object]:
        """Return the state of the first page, whose token may have to be got elsewhere."""
        state, source = self._paginator.begin(), getattr(self._paginator, "first_from", None)
        if source is None or self._progress.token is not None:
            return state
        own = Resource(
            path=source.path,
            method=source.method,
            parameters=source.parameters,
            body=source.body,
            headers=self._resource.headers,
            pagination=Single(),
        )
        request = Composer(self._api.settings, own).compose(Ask())

        def accept(reply: Reply) -> Any:
            token = find(outline(reply.text()), source.field)
            if is_end(token):
                raise PageUnreadable(
                    f"The answer has no {source.field}, which the description names as the first token."
                    f"{probably(source.field, outline(reply.text()))}",
                    do="correct first_from of the resource's pagination.",
                )
            return token

        token = await self.session.fetch(request, self._rules[True], accept)
        return {**state, "cursor": token, "first": True}

    async def _turn(self, turn: _Turn, fetched: Fetched) -> tuple[Fetched, Recognised, Step]:
        """Look at a page, ask for it once more where it is in doubt, and find what follows it."""
        page = self._page(turn, fetched)
        if self._doubt(turn, page, fetched):
            fetched = await self._fetch(turn.request, first=False)
            page = self._page(turn, fetched)
        else:
            fetched = await self._looked_at(turn, fetched)
            page = self._page(turn, fetched)
        known = self._recognise(fetched)
        self._in_hand = fetched, known
        page = replace(page, fresh=known.fresh)
        if turn.guard.is_last(fetched.body.records) and self._paginator.ends_on_repeat:
            step = self._paginator.after(turn.state, replace(page, records=0, fresh=0, missing=True))
            return Fetched(Body([], fetched.body.fields), missing=True), Recognised([], 0), step
        step = self._located(turn, page)
        if fetched.missing and step.state is None and not turn.request.may_be_missing:
            step = self._away(turn, step)
        self._described.known.update(step.seen)
        self._described.see_page(fetched.body.records, fetched.body.fields, fetched.headers, fetched.outline)
        if self._described.awaits:
            faults = fetched.body.faults
            self._described.see(
                [one for place, one in enumerate(fetched.body.records) if place not in faults]
            )
        if step.absent and step.state is None and not self._described.known.intersection(step.absent):
            step = await self._settled(turn, page, fetched, step)
        looping = self._circle(turn, fetched, step)
        if not looping and self._leads_back(turn, step):
            # An earlier run went round; whether the API still does is seen by beginning again.
            raise ScanExpired("The scan was going round in circles.", where=turn.request.shown)
        if looping:
            raise ReadIncomplete(
                f"The scan goes round in circles: {looping}.",
                where=turn.request.shown,
                do="check the resource's pagination against the API's description; identical_pages allows equal pages.",
            )
        if self._paginator.repeats:
            self._memory.expect_page(fetched.body.records)
        return fetched, known, step

    def _away(self, turn: _Turn, step: Step) -> Step:
        """Return the end of a scan that ends with an error which the description takes for an empty page."""
        errors = sorted(status for status in self.missing if status >= _ERRORS)
        if not errors or turn.progress.pages == 0:
            return step
        return replace(
            step,
            absent=(),
            doubt=f"The API answered {errors[0]} in the middle of a scan, which counts as an empty page by the "
            "description: this reading is not shown to be complete.",
        )

    async def _settled(self, turn: _Turn, page: Page, fetched: Fetched, step: Step) -> Step:
        """Find out whether a scan has really ended whose page lacks a field that no page has had so far.

        Asked for one record less than the page holds, an API whose field is described rightly must name a next page.
        """
        count = turn.progress.count + page.fresh
        if page.records == 0 or (page.total is not None and count >= page.total):
            return step
        name, size = " and ".join(step.absent), getattr(self._paginator, "size", 0)
        sized = getattr(self._paginator, "size_parameter", getattr(self._paginator, "limit_parameter", None))
        counts = sized is not None and not self._compose.compose(self._paginator.ask(turn.state)).once
        if counts and page.records == 1 and size > 1:
            return step
        meant = probably(
            name.removesuffix(f" {SAYS_MORE}"), fetched.outline, fetched.headers if "header" in name else ()
        )
        doubt = (
            f"No page has had {name}, which leads to the next one, so this reading is not shown to be complete."
            f"{meant}"
        )
        if not counts or page.records < 2:
            return replace(step, doubt=doubt)
        smaller = self._resource.pagination.model_copy(update={"size": page.records - 1})
        ask = self._with_bounds(smaller.ask(turn.state), turn.state, turn.span)
        again = await self._fetch(self._compose.compose(ask), first=False)
        following = smaller.after(turn.state, self._page(turn, again))
        self._described.known.update(following.seen)
        if set(step.absent).intersection(following.seen):
            return step
        if len(again.body.records) < page.records:
            raise ReadIncomplete(
                f"A page of {page.records} records has no {name}, and neither has one of {len(again.body.records)}, so "
                f"what leads to the next page is described wrongly.{meant}",
                where=turn.request.shown,
                do="correct the resource's pagination; nothing of this page was landed.",
            )
        return replace(step, doubt=doubt)

    async def _compared(self, turn: _Turn, progress: Progress) -> str:
        """Find out whether the API has cut the scan off in silence; say so where that cannot be known.

        Raises `WindowTooLarge` where it has, and the span can be divided.
        """
        cap, span, count = self._resource.cap, turn.span, progress.count
        suspect = self._cap.is_suspect(progress, span, self._verdict.total)
        self._cap.see(progress, span)
        if cap is not None and count >= cap.most:
            raise WindowTooLarge(f"The API gave {count} records, which is its most.")
        if not suspect:
            return ""
        parts = self._cap.parts(progress, span)
        given: set[int] = set()
        try:
            for part in parts:
                given |= await self._given(turn, part, count)
        except ReadIncomplete as problem:
            return f"{_NOT_COMPARED.format(count=count)} {problem.what}"
        spec = self._resource.incremental
        divides = spec is not None and spec.until_parameter is not None
        below = 0 if divides or progress.extent is None else progress.extent[2]
        if len(given) + below <= count:
            # Several that share their moment cannot be distinguished by it.
            return "" if self._cap.tells(progress) else _NOT_COMPARED.format(count=count)
        said = f"The API gave {count} records of one query and has more."
        if not divides:
            return f"{said} Describe its cap, and an until_parameter, so that the query can be divided."
        if not self._warning:
            where = "cap.most" if cap is not None else "window_s" if spec and spec.window_s else "a cap"
            self._warning = f"{said} The description says otherwise: correct {where} of the resource."
        raise WindowTooLarge(said)

    async def _preceded(self, turn: _Turn, progress: Progress) -> str:
        """Say that there is a page before the first one, where nothing announces the number of records."""
        paging, total = self._resource.pagination, self._verdict.total
        if not isinstance(paging, PageNumbers) or paging.first != 1 or "first" in paging.model_fields_set:
            return ""
        if total is not None or self._progress.mark is not None or not progress.count:
            return ""
        if progress.pages > 1 and not (self._resource.incremental and self._resource.key):
            # Nothing shows it to be complete anyway.
            return ""
        pages = []
        for number in (0, 1):
            ask = replace(paging.ask({**paging.begin(), "page": number}), may_be_missing=True)
            try:
                fetched = await self._fetch(
                    self._compose.compose(self._with_bounds(ask, turn.state, turn.span)), first=False
                )
            except HeadworksError:
                return ""
            records = fetched.body.records
            pages.append(set(self._fields.keys(records) or records))
        before, first = pages
        return _PRECEDED if before and first and not before & first else ""

    def _put_back(self) -> None:
        """Forget what of the page in hand would have landed and does not, since its scan begins again or in parts."""
        if self._in_hand is None:
            return
        (fetched, known), self._in_hand = self._in_hand, None
        keys = self._fields.keys(fetched.body.records) or []
        self._memory.forget([key for key, lands in zip(keys, known.landing, strict=False) if lands])

    async def _given(self, turn: _Turn, span: Span, most: int) -> set[int]:
        """Return what represents the records of a part of a span, of more than so many only some."""
        state: dict[str, object] | None = await self._begun()
        given = set[int]()
        while state is not None and len(given) <= most:
            request = self._request(state, span)
            fetched = await self._fetch(request, first=False)
            records = fetched.body.records
            keys = self._fields.keys(records) or records
            before = len(given)
            given.update(hash(key or record) for key, record in zip(keys, records, strict=True))
            if records and len(given) == before:
                # The last page again, or a circle.
                break
            here = replace(turn, request=request, state=state, span=span)
            page = replace(self._page(here, fetched), fresh=len(given) - before)
            state = self._located(here, page).state
        return given

    def _doubt(self, turn: _Turn, page: Page, fetched: Fetched) -> str:
        """Say why a page should be asked for once more; empty where it is beyond doubt."""
        why = self._paginator.doubt(turn.state, page)
        if why or page.missing:
            return why
        if turn.guard.is_last(fetched.body.records) and self._paginator.ends_on_repeat:
            return ""
        if turn.request.once:
            return ""
        if self._paginator.guessable:
            return self._circle(turn, fetched, Step(None))
        try:
            return self._circle(turn, fetched, self._paginator.after(turn.state, page))
        except ReadIncomplete as problem:
            return problem.what

    async def _looked_at(self, turn: _Turn, fetched: Fetched) -> Fetched:
        """Return a page, asked for again where it is empty or the last and nothing announced shows that it is.

        A server that fails in silence answers 200 with nothing, or with nothing that leads on, and may answer rightly
        the next time. Of two answers that differ a third decides.
        """
        if not self._is_to_be_seen_twice(turn, fetched):
            return fetched
        answers, request = [fetched], turn.request
        for _ in range(_MOST_LOOKS):
            try:
                another = await self._fetch(request, first=False)
            except (ReadIncomplete, ScanExpired, StopError):
                if not request.once:
                    raise
                # Nothing is kept any more, since the scan has ended.
                return fetched
            if another.unchanged:
                return fetched
            another = replace(another, outline=fetched.outline)
            if request.once:
                # The page after this one, since the API moves on with each request.
                return another if another.body.records else fetched
            same = next((one for one in answers if self._says_the_same(turn, one, another)), None)
            if same is not None:
                return another
            answers.append(another)
        return max(answers, key=lambda one: (len(one.body.records), self._leads_on(turn, one)))

    def _is_to_be_seen_twice(self, turn: _Turn, fetched: Fetched) -> bool:
        resource, count, records = self._resource, turn.progress.count, len(fetched.body.records)
        if resource.export is not None or turn.request.part is not None:
            return False
        if self._paginator.guessable and (turn.progress.pages > 0 or not records):
            # Counted pages are shown to be whole by what is announced alone, unless one is all there is.
            return False
        if not records:
            return not (self._brief and turn.progress.pages == 0)
        if turn.request.once or resource.pagination.kind == "single" or self._leads_on(turn, fetched):
            return False
        size, pages, total = (
            getattr(self._paginator, "size", 0),
            turn.progress.pages,
            self._announced(fetched),
        )
        if pages == 0 and records < size and records not in FULL:
            return False
        # What is no more than came before, or than a full first page has, may be the number of a page's own records.
        reached = (
            total is not None and count < total <= count + records and total >= (self._verdict.total or 0)
        )
        return pages == 0 or not reached

    def _leads_on(self, turn: _Turn, fetched: Fetched) -> bool:
        """Return whether a page leads to another one, or should."""
        try:
            return self._paginator.after(turn.state, self._page(turn, fetched)).state is not None
        except ReadIncomplete:
            return True

    def _says_the_same(self, turn: _Turn, one: Fetched, other: Fetched) -> bool:
        """Return whether two answers for a page have as many records, and both lead on or do not."""
        if len(one.body.records) != len(other.body.records):
            return False
        return self._leads_on(turn, one) == self._leads_on(turn, other)

    def _circle(self, turn: _Turn, fetched: Fetched, step: Step) -> str:
        """Say what shows that the scan goes round in circles; empty where nothing does."""
        if turn.request.part is not None:
            # A file has an end.
            return ""
        if not self._paginator.repeats and turn.guard.seen_page(fetched.body.records):
            return "a page holds the same records as one before it"
        if step.state is not None and not self._paginator.guessable and not self._paginator.stateful:
            following = self._request(step.state, turn.span)
            if following == turn.request or turn.guard.was_asked(following):
                return "a page leads back to one that was read before it"
        return ""

    def _leads_back(self, turn: _Turn, step: Step) -> bool:
        if step.state is None or self._paginator.guessable or self._paginator.stateful:
            return False
        return turn.guard.was_anchored(self._request(step.state, turn.span))

    def _page(self, turn: _Turn, fetched: Fetched) -> Page:
        records = fetched.body.records
        return Page(
            len(records),
            len(records),
            fetched.body.fields,
            fetched.headers,
            last=self._fields.last(records),
            total=self._announced(fetched),
            url=turn.request.url,
            missing=fetched.missing,
            known=self._described.known,
            outline=fetched.outline,
            edges=(records[0], records[-1]) if records else (),
            every=records,
            key=self._resource.key,
            logged=self._resource.delta is not None,
            frozen=self._resource.export is not None,
        )

    def _announced(self, fetched: Fetched) -> int | None:
        """Return the number of records that a page announces, or the export that it is of."""
        if self._job_total is not None:
            return self._job_total
        return self._fields.total(fetched.body.fields, fetched.headers)

    def _recognise(self, fetched: Fetched) -> Recognised:
        records, faults = fetched.body.records, fetched.body.faults
        keys = self._fields.keys(records)
        known = self._memory.recognise(records, keys)
        for place in faults:
            if known.landing[place] and self._memory.recognise_refused(records[place]):
                known.landing[place] = False
            if keys is not None:
                self._memory.release(keys[place])
        return known

    def _located(self, turn: _Turn, page: Page) -> Step:
        try:
            step = self._paginator.after(turn.state, page)
        except ReadIncomplete as problem:
            raise ReadIncomplete(problem.what, where=turn.request.shown, do=problem.do) from problem
        if step.state is not None and isinstance(url := step.state.get("url"), str) and "://" in url:
            # Credentials that the API wrote into its address must not get into the stream's position.
            return replace(step, state={**step.state, "url": self._compose.clean(url)})
        return step

    def _advance(self, turn: _Turn, fetched: Fetched, known: Recognised, step: Step) -> Progress:
        """Return the position of the scan after a page, and remember the page."""
        before, records = turn.progress, fetched.body.records
        self._number += 1
        number = before.pages + 1
        turn.guard.asked(turn.request, number)
        turn.guard.got(records)
        extent = before.extent
        if self._watermark is not None:
            extent = self._watermark.see(self._fields.cursors(records), records, extent)
        total = self._announced(fetched)
        self._verdict.see(records, known.fresh, total, step.warning)
        if before.state is None and before.pages == 0:
            self._validators = {
                k: fetched.headers[k] for k in ("etag", "last-modified") if k in fetched.headers
            }
        if number >= self._resource.most_pages and step.state is not None:
            raise ReadIncomplete(
                f"The scan did not end within {number} pages.",
                where=turn.request.shown,
                do="raise most_pages of the resource, if it really is so long.",
            )
        following, held = self._following(turn, fetched), self._memory.held()
        goes_back = step.state is not None and self._paginator.rewind(step.state) is not step.state
        return replace(
            before,
            state=step.state,
            count=before.count + known.fresh,
            pages=number,
            high=self._watermark.high if self._watermark else None,
            expected=tuple(self._memory.expected()),
            overlap=tuple(records) if goes_back else (),
            anchors=tuple(turn.guard.anchors),
            extent=extent,
            known=tuple(sorted(self._described.known)),
            following=before.following if following is None else following,
            held=held,
        )

    def _following(self, turn: _Turn, fetched: Fetched) -> str | int | None:
        """Return the token that a page gives for the next run, None where it gives none."""
        delta = self._resource.delta
        token = fetched.body.fields.get(delta.token_field) if delta else None
        if delta is None or token is None or token == "" or isinstance(token, bool):
            return None
        self._described.known.add(delta.token_field)
        if delta.parameter is None:
            return self._compose.clean(joined(turn.request.url, str(token)))
        return token if isinstance(token, int) else as_text(token)

    def _landed(
        self, turn: _Turn, fetched: Fetched, known: Recognised, step: Step, progress: Progress
    ) -> PageToLand:
        faults = fetched.body.faults
        new = [
            (place, one)
            for place, (one, new) in enumerate(zip(fetched.body.records, known.landing, strict=True))
            if new
        ]
        records = [record for place, record in new if place not in faults]
        warning, shown, problem = " ".join(filter(None, (self._warning, step.warning))), None, None
        self._warning = ""
        if step.state is None:
            end = self._end(turn, step, progress)
            lacking = "" if end.again else self._described.warning()
            said = "" if end.again else " ".join(filter(None, (self._unread(), self._described.unseen())))
            remedy = "" if end.again or end.shown else step.remedy
            warning = " ".join(filter(None, (warning, end.warning, remedy, said, lacking)))
            # Where no record has what identifies it, these may not be the records that are meant.
            absent = "" if end.again else self._absent(progress)
            warning, lacking = " ".join(filter(None, (warning, absent))), lacking or absent
            shown = end.shown and not lacking
            if self._resource.delta is not None and not end.again and not end.short:
                progress, lacking = self._with_token(progress, step)
                warning, shown = " ".join(filter(None, (warning, lacking))), shown and not lacking
            if end.short:
                problem = ReadShort(
                    f"The API announced {self._verdict.total} records and gave {progress.count}, twice.",
                    where=turn.request.shown,
                    do="what came is landed. Check the resource's parameters and what the credentials may read; if the "
                    "announced number is only an estimate, set completeness.about.",
                )
            if not end.again and shown and progress.missed:
                warning, shown = " ".join(filter(None, (warning, _MISSED))), False
            if not end.again:
                # One span that is not shown to be complete is enough: the last one does not speak for all.
                progress = replace(
                    progress,
                    doubted=progress.doubted or not shown,
                    stays=progress.stays or end.stays,
                )
                shown = not progress.doubted
            progress = self._after_scan(progress, again=end.again or end.short)
        return PageToLand(
            records,
            self._fields.deleted(records),
            read=len(fetched.body.records),
            number=self._number,
            url=turn.request.shown,
            progress=progress,
            warning=warning,
            shown=shown,
            expected=self._verdict.total,
            refused=tuple((faults[place], record) for place, record in new if place in faults),
            problem=problem,
        )

    def _end(self, turn: _Turn, step: Step, progress: Progress) -> End:
        resource, total = self._resource, self._verdict.total
        if step.evidence == "consistent" and self._verdict.twice and not resource.key:
            return End(shown=False, warning=_TWICE)
        if step.doubt and (total is None or progress.count >= total):
            stays = bool(resource.key) and bool(step.absent)
            return End(shown=False, warning=step.doubt, stays=stays or step.doubt == self._uncompared)
        if step.gap and (total is None or progress.count > total):
            return End(shown=False, warning=step.gap, stays=bool(resource.key))
        return judge_end(
            self._verdict,
            "none" if step.doubt else step.evidence,
            progress.count,
            turn.request.shown,
            agree=resource.incremental is not None and bool(resource.key) and progress.pages > 1,
            about=resource.completeness.about,
        )

    def _absent(self, progress: Progress) -> str:
        """Say which described arrays no page has had, and that a file may be cut; empty where nothing is lacking."""
        unseen = [path for path in self._format.arrays() if f"array {path}" not in self._described.known]
        total = self._verdict.total
        cut = self._unended if total is None or progress.count < total else ""
        if self._blind and progress.count == 0 and RECORDS not in self._described.known:
            unseen.append(self._resource.records)
        if not unseen:
            return cut
        named = ", ".join(unseen)
        return f"No page had {named}, which the description names: this reading is not shown to be complete."

    def _with_token(self, progress: Progress, step: Step) -> tuple[Progress, str]:
        """Return the position with the token for the next run, and what speaks against the reading being complete."""
        delta = self._resource.delta
        assert delta is not None, "asked for a resource with a token alone"
        if progress.following is None:
            return progress, (
                f"The scan ended and no page had {delta.token_field}, the token for the next run: this reading is not "
                "shown to be complete, and the next one begins where this one began."
            )
        if step.doubt:
            return progress, ""
        lapsed = (
            "The API no longer knew the token of the last run, so all was read again. What was deleted since then "
            "is not known: run it once with mode full."
            if progress.lapsed
            else ""
        )
        return replace(progress, token=progress.following, lapsed=False), lapsed

    def _unread(self) -> str:
        return self._watermark.warning() if self._watermark else ""

    def _after_scan(self, progress: Progress, *, again: bool) -> Progress:
        """Return the position of the pass after a scan: at its end, at the next span, or at the same scan once more."""
        self._memory.begin_scan()
        if again:
            return progress.restarted()
        self._verdict = Verdict()
        if len(progress.spans) > 1:
            return progress.at_next_span()
        progress = replace(
            progress, held=self._memory.held_now() if all_comes_again(self._resource) else None
        )
        if self._resource.conditional:
            progress = replace(progress, validators=self._validators)
        if self._watermark is None:
            return progress.ended(None, [])
        if progress.stays:
            return progress.ended(progress.mark, list(progress.expected))
        return progress.ended(self._watermark.next_mark(), self._watermark.ties())

    def _unchanged(self, request: Request) -> PageToLand:
        """Return the page that says that nothing has changed: the position stays as it is."""
        begun = self._progress
        expected = list(begun.expected)
        return PageToLand([], None, 0, 0, request.shown, begun.ended(begun.mark, expected), shown=True)

    def _split(self, problem: WindowTooLarge) -> Progress:
        progress = self._progress
        halves = progress.spans[0].halves()
        if halves is None:
            raise ReadIncomplete(
                f"{problem.what} The window cannot be made smaller.",
                where=self._resource.path,
                do="give the resource's incremental a start, so that its first window has a beginning.",
            ) from problem
        self._memory.begin_scan()
        self._verdict = Verdict()
        return replace(
            progress.restarted(),
            spans=(*halves, *progress.spans[1:]),
            most=self._cap.most,
            reach=self._cap.reach,
        )


@dataclass(frozen=True)
class _Turn:
    """One page's turn: its request, and where the scan stood before it."""

    request: Request
    span: Span
    state: dict[str, object]
    progress: Progress
    guard: LoopGuard
