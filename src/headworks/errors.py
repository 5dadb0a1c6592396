"""Every error that headworks raises; the class of an error is the decision about what happens next.

::

    HeadworksError
    ├── StopError                  stop the run: a person must change something first
    │   ├── SettingsError          a setting, block or parameter is missing or wrong
    │   │   └── ContractRefused    a contract would not check what it is there to check
    │   ├── NameRefused            a dataset, stream or product name breaks the grammar
    │   ├── CredentialsRefused     the other side does not accept who we are
    │   ├── SourceMissing          the table, resource or column is not there
    │   ├── LakeUnusable           the lake's location cannot be read or written, or a table in it is refused
    │   │   ├── LakeRefused        the lake's storage does not let us in: rights, or a bucket that is not there
    │   │   └── ObjectLost         an object of the lake is gone or damaged
    │   │       └── CheckpointLost the object with the position of a stream is gone: set the stream to one by hand
    │   ├── SchemaChanged          the columns do not fit what is there already
    │   ├── ValueRefused           a value came that its column's type cannot hold
    │   ├── TransformFailed        a transform of gold raised, or did not give what its declaration says
    │   ├── EstimatorFailed        the estimator of a model raised, or gave what are no chances
    │   ├── PublicationRefused     the consumer's side cannot take the publication as it is
    │   ├── AddressRefused         a link or redirect leads to where our credentials must not go
    │   ├── ResponseTooLarge       an answer is larger than is allowed
    │   └── AccountMismatch        a row is unaccounted for
    ├── FreshnessMissed            a table is older than was promised: look at what fills it
    ├── GateClosed                 the data is not good enough: consumers keep the last good version
    ├── RunStopped                 the process was asked to end: the next run continues after the last batch
    ├── ConcurrentRun              another run moved what this one was about to move: one wins, the other ends
    ├── WaitTooLong                the source asks for a longer wait than a run may sleep: run again after it
    ├── WindowTooLarge             the source gives no more than a part of the window: split it
    ├── RetryError                 the same step may be tried again, nothing was committed by it
    │   ├── SourceUnavailable      the source does not answer, or answers with an error that heals
    │   │   ├── RateLimited        the source says that it was asked too often
    │   │   └── BreakerOpen        the source failed too often: it is not asked again before some time
    │   ├── ServerUnavailable      the orchestration server does not answer, or answers with an error that heals
    │   ├── PageUnreadable         one page came back damaged: ask for the page again
    │   ├── LakeUnavailable        the lake's storage does not answer, or answers with an error that heals
    │   ├── ScanExpired            the source gave up a scan that we were in: begin it again at its watermark
    │   └── CommitUnclear          a commit kept failing without having happened
    │       └── CandidateStale     the table moved under an audited candidate: audit again
    ├── BackfillIncomplete         some windows of a backfill failed: the others are done and not repeated
    └── ReadIncomplete             a read ended without proof that it was whole: the position stays at the last batch
        └── ReadShort              fewer records came than were announced: what came is landed, and the run failed
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class HeadworksError(Exception):
    """An error that says what happened, where, and what to do now.

    ``advice`` is what to do about any error of a class, where nothing better is known where it is raised.

    Args:
        what: happened, in a sentence.
        where: the table, file, block or address.
        do: what to do now.

    Example:
        >>> print(HeadworksError("The column is not there.", where="shop.orders", do="name another."))
        The column is not there. [shop.orders] What to do: name another.
    """

    advice: ClassVar[str] = ""

    def __init__(self, what: str, *, where: str = "", do: str = "") -> None:
        self.what = what
        self.where = where
        self.do = do or self.advice
        super().__init__(what, where, do)

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text = f"{text} [{self.where}]"
        if self.do:
            text = f"{text} What to do: {self.do}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.do))


def _rebuild(kind: type[HeadworksError], what: str, where: str, do: str) -> HeadworksError:
    """Make an error again from its parts, so that it survives a trip between processes."""
    return kind(what, where=where, do=do)


class StopError(HeadworksError):
    """Stop the run: repeating it changes nothing until a person has changed something."""


class SettingsError(StopError):
    """A setting, block or parameter is missing or wrong.

    Stops the run: a person must change something first.

    Example:
        >>> isinstance(SettingsError("There is no mode fast.", do="choose full or incremental."), StopError)
        True
    """


class ContractRefused(SettingsError):
    """A contract would not check what it is there to check."""

    advice = "correct the contract; headworks check reads it without a run."


class NameRefused(StopError):
    """A dataset, stream or product name breaks the grammar."""


class CredentialsRefused(StopError):
    """The other side does not accept who we are.

    Stops the run: a person must change something first.

    Example:
        >>> isinstance(CredentialsRefused("The API answered 401.", where="crm-api"), StopError)
        True
    """


class SourceMissing(StopError):
    """The table, resource or column that should be read is not there."""


class LakeUnusable(StopError):
    """The lake's location cannot be read or written, or a table in it is refused.

    Stops the run: a person must change something first.

    Example:
        >>> isinstance(LakeUnusable("Nothing was written to this lake yet."), StopError)
        True
    """


class LakeRefused(LakeUnusable):
    """The lake's storage does not let us in, so what is in it is not known: no rights, or no such bucket."""


class ObjectLost(LakeUnusable):
    """An object of the lake is gone or damaged."""


class CheckpointLost(ObjectLost):
    """The object that holds the position of a stream is gone; a person sets the stream to a position."""


class SchemaChanged(StopError):
    """The columns that came do not fit the columns that are there."""

    advice = "declare the columns as they are now, or have them changed back where they are made."


class ValueRefused(StopError):
    """A value came that the type of its column cannot hold, and nobody said where such values go."""


class TransformFailed(StopError):
    """A transform of gold raised, or did not give what its declaration says."""


class EstimatorFailed(StopError):
    """The estimator of a model raised, or gave what are no chances of both outcomes."""


class PublicationRefused(StopError):
    """The consumer's side cannot take the publication as it is."""


class AddressRefused(StopError):
    """A link or redirect leads to another host, port or scheme, where our credentials must not go."""


class ResponseTooLarge(StopError):
    """An answer is larger, once decompressed, than is allowed."""


class AccountMismatch(StopError):
    """A row is unaccounted for."""


class FreshnessMissed(HeadworksError):
    """A table is older than was promised."""


class GateClosed(HeadworksError):
    """The data is not good enough; consumers keep the last good version.

    Ends the run; what was committed stays.

    Example:
        >>> isinstance(GateClosed("gold.sales.daily: 3 rows without a day"), HeadworksError)
        True
    """


class RunStopped(HeadworksError):
    """The process was asked to end, and the run stopped after the batch in hand; the next one continues there."""


class ConcurrentRun(HeadworksError):
    """Another run moved what this one was about to move; one wins and the other ends."""

    advice = "nothing: the other run does the work. Run again after it."


class WaitTooLong(HeadworksError):
    """The source asks for a longer wait than a run may sleep; a later run continues after what was committed."""


class WindowTooLarge(HeadworksError):
    """The source gives no more than a part of what a window holds; smaller windows can be read."""

    advice = "read smaller windows: give the resource window_s, or a shorter one."


class RetryError(HeadworksError):
    """The same step may be tried again; nothing was committed by it."""

    advice = "nothing, if it heals: the step is tried again."


class SourceUnavailable(RetryError):
    """The source does not answer, or answers with an error that heals.

    ``wait_s`` is the number of seconds that the source asked us to wait, if it did.

    The same step may be tried again; it is, a few times, before the run fails.

    Example:
        >>> isinstance(SourceUnavailable("The API answered 503."), RetryError)
        True
    """

    advice = "nothing, if it heals: it is asked again. Else ask whoever looks after the source."
    wait_s: float | None = None


class RateLimited(SourceUnavailable):
    """The source says that it was asked too often."""


class BreakerOpen(SourceUnavailable):
    """The source failed too often, and is not asked again before some time has passed."""


class ServerUnavailable(RetryError):
    """The orchestration server, which keeps blocks, does not answer, or answers with an error that heals."""


class LakeUnavailable(RetryError):
    """The lake's storage does not answer, or answers with an error that heals.

    The same step may be tried again; it is, a few times, before the run fails.

    Example:
        >>> isinstance(LakeUnavailable("The storage does not answer."), RetryError)
        True
    """


class ScanExpired(RetryError):
    """The source gave up a scan that we were in; it is begun again at its watermark."""

    advice = "nothing: the scan begins again at its watermark. If it expires each time, read faster or smaller windows."


class PageUnreadable(RetryError):
    """One page came back damaged; the same page may be asked for again."""

    advice = "nothing, if it heals: the page is asked for again. Else look at the answer, and ask its owner."


class CommitUnclear(RetryError):
    """A commit kept failing without having happened."""

    advice = "nothing: the step is repeated. If that does not help, check the lake's storage."


class CandidateStale(CommitUnclear):
    """The table moved under an audited candidate, which must be audited again."""


class ReadIncomplete(HeadworksError):
    """A read ended without proof that it was whole; the position stays at the last batch.

    Ends the run; what was committed stays.

    Example:
        >>> isinstance(ReadIncomplete("The API says that more follows, and gave no record."), HeadworksError)
        True
    """

    advice = "run it again. If it ends there each time, compare the resource with the API: headworks probe."


class ReadShort(ReadIncomplete):
    """A read gave much less than the source announced; what came is landed, and the next run reads it all again."""


class BackfillIncomplete(HeadworksError):
    """Some windows of a backfill failed; the others are done and not repeated."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question whether one of some names was meant, with a blank before it; empty where none is near.

    Example:
        >>> did_you_mean("modee", ["mode", "window"])
        ' Did you mean mode?'
    """
    by_lower = {each.lower(): each for each in names}
    found = get_close_matches(name.lower(), by_lower, 1, 0.5)
    return f" Did you mean {by_lower[found[0]]}?" if found else ""
