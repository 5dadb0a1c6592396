"""Asks one API for pages: with a deadline, retries for what can heal, and credentials for one origin alone.

The class of an error is the decision: a damaged page is asked for again, an expired token renewed, a limit waited
out, an expired scan restarted by whoever reads it; all else stops.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import httpx

from headworks.errors import (
    AddressRefused,
    BreakerOpen,
    CredentialsRefused,
    HeadworksError,
    RateLimited,
    RetryError,
    SourceUnavailable,
    WaitTooLong,
)
from headworks.ports import (
    AsyncSleep,
    BreakerStore,
    Clock,
    NoBreakers,
    RateBudget,
    system_async_sleep,
    system_clock,
)
from headworks.redaction import Withheld, excerpt, guard_http_logs, redacted, redacted_error
from headworks.sources.api.addresses import joined, origin
from headworks.sources.api.breaker import BreakerGuard
from headworks.sources.api.judging import Reply, Rules, judge
from headworks.sources.api.pacing import LocalBudget, Pacer
from headworks.sources.api.request import Request
from headworks.sources.api.settings import ApiSettings
from headworks.sources.api.signing import Signer, TokenCache, know_secrets, said_by
from headworks.sources.api.spool import Spool
from headworks.sources.api.translating import translated
from headworks.sources.api.transport import Wire
from headworks.sources.api.waiting import asked_wait_s, backoff_s, pause_s

T = TypeVar("T")
E = TypeVar("E", bound=HeadworksError)

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 5
_GRANTED = {200, 201, 203}
_MOST_LIMITED = 20
"""So often in a row a page may be put off by a limit: an API that says when to come back is well."""


@dataclass(frozen=True)
class ApiClient:
    """One API as readings use it: its settings, and what they need from outside. It holds no connection.

    ``name`` is that of its breaker and budget: the block's, where there is one.
    """

    settings: ApiSettings
    name: str = "api"
    clock: Clock = system_clock
    sleep: AsyncSleep = system_async_sleep
    chance: Callable[[], float] = random.random
    budget: RateBudget | None = None
    breakers: BreakerStore = field(default_factory=NoBreakers)
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None
    tokens: TokenCache = field(default_factory=TokenCache)

    def session(self) -> Session:
        """Open a session for one reading; an asynchronous context manager that holds the connections."""
        return Session(self)

    def own_budget(self) -> RateBudget | None:
        """Return the budget that was passed in, else one of this process, where the settings want one."""
        rate = self.settings.limits.requests_per_s
        return self.budget or (LocalBudget(rate) if rate else None)


@dataclass
class Traffic:
    """What a session has done so far."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0


class Session:
    """The requests of one reading, in one event loop."""

    def __init__(self, api: ApiClient) -> None:
        self._api, self._limits = api, api.settings.limits
        know_secrets(api.settings, api.tokens)
        guard_http_logs()
        self._signer = Signer(api.settings, api.tokens, api.clock, self._post)
        most = max(1, int(self._limits.requests_per_s or 1))
        self._pacer = Pacer(api.clock, api.sleep, api.own_budget(), most)
        self._breaker = BreakerGuard(api.name, api.breakers, api.settings.breaker, api.clock)
        self._origin = origin(api.settings.base_url)
        self.traffic = Traffic()

    async def __aenter__(self) -> Self:
        """Open the connections."""
        transport = self._api.transport() if self._api.transport else None
        self._wire = Wire(self._api.settings, transport)
        self._breaker.load()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections, and keep how the API fared."""
        self._breaker.keep()
        await self._wire.aclose()

    async def fetch(self, request: Request, rules: Rules, accept: Callable[[Reply], T]) -> T:
        """Ask until ``accept`` takes the reply, and return what it made of it.

        ``accept`` raises `PageUnreadable` for a damaged page, which is then asked for again. Raises the last
        `RetryError` when the attempts are used up, `WaitTooLong` where the API asks for a longer wait than is allowed,
        `BreakerOpen` where the circuit breaker is open, and `StopError` for what no repetition fixes.
        """
        attempt = limited = 1
        while True:
            try:
                return accept(await self._healthy(request, rules))
            except HeadworksError as raised:
                problem = self._located(raised, request)
            # Raised out here, so that nothing which may hold a secret is chained to it.
            if isinstance(problem, RateLimited):
                limited = await self._put_off(problem, limited)
            elif not request.once and self._is_asked_again(problem, attempt, rules):
                await self._api.sleep(backoff_s(self._limits.backoff_s, attempt, self._api.chance()))
                attempt += 1
            else:
                raise problem
            self.traffic.retries += 1

    def _is_asked_again(self, problem: HeadworksError, attempt: int, rules: Rules) -> bool:
        if not isinstance(problem, RetryError) or isinstance(problem, BreakerOpen):
            return False
        return attempt < self._limits.attempts and rules.retries(problem)

    async def _put_off(self, problem: RateLimited, limited: int) -> int:
        """Hold all requests back for as long as the API asks; raises where that is longer or oftener than allowed."""
        asked = problem.wait_s
        wait_s = backoff_s(self._limits.backoff_s, limited, 1.0) if asked is None else asked
        wait_s = max(wait_s, self._limits.shortest_wait_s)
        if wait_s > self._limits.longest_wait_s:
            self._breaker.asked_to_wait(wait_s, problem.what)
            raise WaitTooLong(
                f"{problem.what} It asks for a wait of {wait_s:,.0f} s.",
                where=problem.where,
                do="run again after that; what was committed stays, and the next run resumes from there.",
            )
        if limited >= _MOST_LIMITED or (asked is None and limited >= self._limits.attempts):
            raise problem
        self._pacer.hold(wait_s)
        return limited + 1

    async def _healthy(self, request: Request, rules: Rules) -> Reply:
        """Ask once, and report to the breaker how it went."""
        await self._pacer.ready()
        self._breaker.ask(self._limits.timeout_s)
        try:
            reply = await self._signed(request, rules)
        except (RateLimited, CredentialsRefused):
            raise
        except SourceUnavailable as problem:
            self._breaker.failed(redacted(problem.what))
            raise
        self._breaker.succeeded()
        pause = pause_s(reply.headers, self._api.clock())
        if 0 < pause <= self._limits.longest_wait_s:
            self._pacer.hold(max(pause, self._limits.shortest_wait_s))
        return reply

    async def _signed(self, request: Request, rules: Rules) -> Reply:
        """Ask with credentials; where they are refused, renew them once and ask again."""
        version = self._signer.version
        reply = await self._deadlined(lambda: self._followed(request), request.sink)
        if (
            reply.status == httpx.codes.UNAUTHORIZED
            and not request.bare
            and await self._signer.renew(max(version, 1))
        ):
            reply = await self._deadlined(lambda: self._followed(request), request.sink)
        problem = judge(reply, request, rules)
        if problem is None:
            return reply
        if isinstance(problem, SourceUnavailable):
            problem.wait_s = asked_wait_s(reply.headers, self._api.clock())
        raise problem

    async def _followed(self, request: Request) -> Reply:
        """Send a request, following redirects on the API's own origin alone."""
        method, url, content = request.method, request.url, request.content
        for _ in range(_MOST_REDIRECTS + 1):
            own = {} if request.bare else await self._signer.headers()
            auth = None if request.bare else self._signer.custom
            reply = await self._sent(
                method, url, {**dict(request.headers), **own}, content, auth, request.sink
            )
            location = reply.headers.get("location")
            if reply.status not in _REDIRECTS or not location:
                return reply
            url = joined(url, location)
            if origin(url) != (origin(request.url) if request.bare else self._origin):
                raise AddressRefused(
                    f"The API answered {reply.status} and points to another host, port or scheme: "
                    f"{'://'.join(map(str, origin(url)[:2]))}. Our credentials do not go there.",
                    do="set the base URL to where the API really is.",
                )
            if reply.status == httpx.codes.SEE_OTHER:
                method, content = "GET", None
        raise AddressRefused(
            f"The API redirects more than {_MOST_REDIRECTS} times.", do="check the base URL."
        )

    async def _sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        auth: httpx.Auth | None = None,
        sink: Spool | None = None,
    ) -> Reply:
        self.traffic.requests += 1
        reply = await self._wire.send(method, url, headers, content, auth, sink)
        self.traffic.bytes += len(reply.body)
        return reply

    async def _deadlined(self, send: Callable[[], Awaitable[Reply]], sink: Spool | None = None) -> Reply:
        """Send with an end to the time that it takes; a file has that much for each piece of it."""
        longest_s = self._limits.timeout_s
        with translated(longest_s):
            async with asyncio.timeout(longest_s) as deadline:
                if sink is not None:
                    clock = asyncio.get_running_loop().time
                    sink.alive = lambda: deadline.reschedule(clock() + longest_s)
                return await send()

    async def _post(self, url: str, form: dict[str, str], headers: dict[str, str]) -> bytes:
        """Post to the token server, which alone gets what is in the form."""
        content = str(httpx.QueryParams(form)).encode()
        sent = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        reply = await self._sent("POST", url, sent, content)
        if reply.status in _GRANTED:
            return reply.body
        said = f"The token server answered {reply.status} {excerpt(reply.reason)}".rstrip() + said_by(
            reply.body
        )
        if reply.status >= 500 or reply.status == httpx.codes.TOO_MANY_REQUESTS:
            raise SourceUnavailable(said, where=url, do="nothing, if it heals; else ask its owner.")
        raise CredentialsRefused(
            said, where=url, do="check client_id, client_secret and scope in the API's block."
        )

    def _located(self, problem: E, request: Request) -> E:
        """Return an error with where it happened, and without secrets, what it was raised from included."""
        problem.where = problem.where or f"{self._api.settings.base_url} {request.method} {request.shown}"
        clean = redacted_error(problem)
        assert not isinstance(clean, Withheld), "an error of ours stays one"
        return clean
