"""What delta-rs and the file system raise, as errors of ours; but for a failed commit's, which its caller tells apart.

What belongs here: that. What does not: what is done about an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, SchemaMismatchError

from headworks.errors import CandidateStale, LakeUnusable, SchemaChanged


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn what delta-rs and the file system raise while reading into errors of ours."""
    try:
        yield
    except SchemaMismatchError as problem:
        raise SchemaChanged(f"The columns do not fit the table: {problem}", where=name) from problem
    except (DeltaProtocolError, DeltaError, OSError) as problem:
        raise LakeUnusable(
            f"The lake cannot be used: {_first_line(problem)}",
            where=name,
            do="check that the lake's location exists, is writable, and that its credentials are right.",
        ) from problem


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
        raise SchemaChanged(
            f"The columns do not fit the table: {_first_line(problem)}", where=name
        ) from problem


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:300]
