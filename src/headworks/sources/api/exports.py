"""Records that are the result of a job: it is submitted, waited for, and its result is found.

The job's id is in the position before anything of its result is, so that a run which was cut short waits for the same
job and resumes its result. A job that failed, expired or is no longer known is submitted again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headworks.errors import HeadworksError, ReadIncomplete, ScanExpired, WaitTooLong
from headworks.sources.api.addresses import joined
from headworks.sources.api.client import ApiClient, Session
from headworks.sources.api.failing import failure_of
from headworks.sources.api.judging import Reply, Rules
from headworks.sources.api.noticing import probably
from headworks.sources.api.paginate import Ask
from headworks.sources.api.paginate.base import as_text
from headworks.sources.api.paginate.tokens import is_end
from headworks.sources.api.paths import find, find_all
from headworks.sources.api.records import outline
from headworks.sources.api.request import Composer, filled, quoted
from headworks.sources.api.resource import Export, Resource

_GONE = frozenset({404, 410})


@dataclass(frozen=True)
class Result:
    """The result of a job that is done: how its pages are asked for, and its files' addresses where it has such."""

    compose: Composer
    total: int | None = None
    urls: tuple[str, ...] | None = None


async def submitted(
    session: Session, api: ApiClient, resource: Resource, export: Export, bounds: Ask
) -> tuple[str, str]:
    """Submit a job, and return its id and the address as it may be shown."""
    request = Composer(api.settings, resource).compose(bounds)

    def accept(reply: Reply) -> str:
        said = outline(reply.text())
        failure = failure_of(said)
        if failure is not None:
            raise failure
        job = find(said, export.job_field)
        if is_end(job) or isinstance(job, (dict, list)):
            raise _lacking("the export's submission", "job_field", export.job_field, said)
        return as_text(job)

    return await session.fetch(request, Rules(), accept), request.shown


async def awaited(session: Session, api: ApiClient, resource: Resource, export: Export, job: str) -> Result:
    """Wait until a job is done, and return its result.

    Raises `ScanExpired` where it has to be submitted again, `WaitTooLong` where it takes longer than one run waits.
    """
    texts = {"job": quoted(job)}
    asking = resource.model_copy(update={"parameters": {}, "body": None, "method": "GET", "export": None})
    said = await _done(session, api, asking, export, filled(export.status_path, texts))
    total = find(said, export.total_field) if export.total_field else None
    if isinstance(total, str) and total.isdigit():
        total = int(total)
    if export.total_field and type(total) is not int:
        raise _lacking("the question for the export's state", "total_field", export.total_field, said)
    if export.result_path is not None:
        at = asking.model_copy(update={"path": filled(export.result_path, texts)})
        return Result(Composer(api.settings, at, export.file_hosts), total)
    field = export.file_field or ""
    found = find_all(said, field)
    urls = tuple(joined(f"{api.settings.base_url}/", one) for one in found if isinstance(one, str) and one)
    if len(urls) < len(found) or (not urls and total != 0):
        raise _lacking("the question for the export's state", "file_field", field, said)
    return Result(Composer(api.settings, asking, export.file_hosts), total, urls)


async def _done(
    session: Session, api: ApiClient, asking: Resource, export: Export, path: str
) -> dict[str, Any]:
    """Ask for a job's state until it is done, and return the whole answer."""
    request, waited = Composer(api.settings, asking).compose(Ask(at=path)), 0.0
    rules = Rules(expired=_GONE, first=False)
    while True:
        said = await session.fetch(request, rules, lambda reply: outline(reply.text()))
        state = find(said, export.state_field)
        if state is None:
            raise _lacking("the question for the export's state", "state_field", export.state_field, said)
        if state in export.done:
            return said
        if state in export.failed:
            raise ScanExpired(f"The export is {state!r}.", where=request.shown)
        if waited >= export.longest_s:
            raise WaitTooLong(
                f"The export is {state!r} after {waited:,.0f} s.",
                where=request.shown,
                do="run again later: the next run waits for the same job. If that state means that it is done or "
                "failed, name it in the resource's export.",
            )
        await api.sleep(export.poll_s)
        waited += export.poll_s


def _lacking(what: str, role: str, name: str, said: dict[str, Any]) -> HeadworksError:
    return ReadIncomplete(
        f"The answer to {what} has no {name}.{probably(name, said)}",
        do=f"correct {role} of the resource's export.",
    )
