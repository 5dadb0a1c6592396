"""What delta-rs, Polars and the file system raise, as errors of ours: the one boundary to the lake's storage.

What heals by itself becomes `LakeUnavailable`, which is retried by its class; all else becomes `LakeUnusable`. The
libraries report most of what a store answers as text in an error of one class, so here, and only here, texts are read.
A commit that was refused keeps its class (`CommitFailedError`): its caller knows what was at stake.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError

from headworks.errors import (
    CandidateStale,
    CommitUnclear,
    HeadworksError,
    LakeRefused,
    LakeUnavailable,
    LakeUnusable,
    SchemaChanged,
)
from headworks.panics import RustPanicked, is_panic

_HEALING_NUMBERS = {
    errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED,
    errno.ECONNABORTED, errno.EPIPE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ESTALE,
    errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM,
}  # fmt: skip
_HEALING_WORDS = re.compile(
    r"\b(?:408|425|429|500|502|503|504)\b (?:[A-Z]|<)|status(?: code)?:? ?(?:408|425|429|5\d\d)"
    r"|SlowDown|ServiceUnavailable|InternalError|RequestTimeout|TooManyRequests|Throttl|TransientError"
    r"|timed? ?out|time-?out|error sending request|connection (?:reset|refused|closed|aborted)|broken pipe"
    r"|dns error|error trying to connect|incomplete message|error decoding response body|retry limit"
    r"|request or response body error|error reading a body|end of file before message length"
    r"|temporarily unavailable|too many open files",
    re.IGNORECASE,
)
_REFUSING_WORDS = re.compile(
    r"\b(?:401|403)\b (?:[A-Z]|<)|lacked the necessary privileges|AccessDenied|Forbidden|Unauthorized|NoSuchBucket"
    r"|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|permission denied",
    re.IGNORECASE,
)
_OF_A_STORE = re.compile(
    r"os error \d+|object[ _-]?store|Generic (?:S3|GCS|MicrosoftAzure|HTTP|LocalFileSystem)|Object at location"
    r"|error sending request|No such file|Kernel error|not a parquet file"
    r"|out of spec|credentials",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m|↳")


def is_foreign(problem: BaseException) -> bool:
    """Return whether an error is a library's: an `Exception` that is none of ours, or a panic in Rust."""
    return (isinstance(problem, Exception) and not isinstance(problem, HeadworksError)) or is_panic(problem)


def storage_error(problem: BaseException, where: str) -> HeadworksError:
    """Return an error of the storage, or of a library that reads and writes it, as one of ours."""
    if isinstance(problem, SchemaMismatchError):
        return SchemaChanged(f"The columns do not fit the table: {first_line(problem)}", where=where)
    if isinstance(problem, CommitFailedError):
        return CommitUnclear(
            f"A commit did not get through: {first_line(problem)}",
            where=where,
            do="nothing: the step is repeated. If that does not help, fewer runs have to write to the table at once.",
        )
    if is_panic(problem) or isinstance(problem, RustPanicked):
        return LakeUnusable(
            f"A library gave up on the table: {first_line(problem)}",
            where=where,
            do="report this with the table's name and version; nothing was committed by it.",
        )
    if heals(problem):
        return LakeUnavailable(
            f"The lake's storage does not answer as it should: {first_line(problem)}",
            where=where,
            do="nothing: the step is repeated. If that does not help, check the storage.",
        )
    return (LakeRefused if is_refusal(problem) else LakeUnusable)(
        f"The lake cannot be used: {first_line(problem)}",
        where=where,
        do="check that the lake's location exists, is writable, and that its credentials are right.",
    )


def heals(problem: BaseException) -> bool:
    """Return whether an error of the storage heals by itself."""
    if isinstance(problem, TimeoutError | ConnectionError):
        return True
    if isinstance(problem, OSError) and problem.errno in _HEALING_NUMBERS:
        return True
    return bool(_HEALING_WORDS.search(str(problem)))


def is_refusal(problem: BaseException) -> bool:
    """Return whether the storage refused us: what is there is then not known, in difference to what is gone."""
    return isinstance(problem, PermissionError) or bool(_REFUSING_WORDS.search(str(problem)))


def is_of_a_store(problem: BaseException) -> bool:
    """Return whether an error that a person's own code raised comes of the lake's storage, and not of that code."""
    if isinstance(problem, DeltaError):
        return True
    # Python's own errors of files have a number; those that Rust raises have none.
    foreign = isinstance(problem, OSError) and problem.errno is None
    return (foreign or isinstance(problem, pl.exceptions.PolarsError)) and (
        heals(problem) or bool(_OF_A_STORE.search(str(problem)))
    )


def collected(rows: pl.LazyFrame, name: str) -> pl.DataFrame:
    """Compute lazy rows of a table; what its storage answers is raised as an error of ours."""
    with reading(name):
        return rows.collect()


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn what delta-rs and the file system raise into errors of ours, but for a refused commit's."""
    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError, RustPanicked) as problem:
        raise storage_error(problem, name) from problem
    except BaseException as problem:
        if not is_panic(problem):
            raise
        raise storage_error(problem, name) from problem


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what comes of the storage while lazy rows are computed into errors of ours.

    An expression that fails raises the same class as a store that does not answer; the text distinguish them.
    """
    try:
        with translated(name):
            yield
    except CommitFailedError as problem:
        raise storage_error(problem, name) from problem
    except pl.exceptions.PolarsError as problem:
        if not (heals(problem) or _OF_A_STORE.search(str(problem))):
            raise
        raise storage_error(problem, name) from problem


@contextmanager
def refused_when_stale(name: str) -> Iterator[None]:
    """Turn a refused commit of an audited candidate into `CandidateStale`."""
    try:
        yield
    except CommitFailedError as problem:
        raise CandidateStale(
            "The table changed while its candidate was audited, so the candidate was not committed.",
            where=name,
            do="nothing: the step is repeated from the newest version.",
        ) from problem
    except SchemaMismatchError as problem:
        raise storage_error(problem, name) from problem


def first_line(problem: BaseException) -> str:
    """Return the beginning of what an error says, as one line."""
    text = " ".join(_COLOURS.sub("", str(problem)).split())
    return (text or type(problem).__name__)[:300]
