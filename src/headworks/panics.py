"""Panics of Rust libraries as ordinary errors.

Polars, delta-rs and obstore are written in Rust. Where they meet what they did not foresee they panic, and PyO3 raises
a ``PanicException`` that derives from ``BaseException``, of a class of its own in each library: no ``except Exception``
catches it, and one odd value ends the process with a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_PANIC = "PanicException"


class RustPanicked(RuntimeError):
    """A Rust library met what it did not foresee; the call had no effect."""


def is_panic(problem: BaseException) -> bool:
    """Return whether an exception is the panic of a Rust library."""
    return type(problem).__name__ == _PANIC


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise a panic as `RustPanicked`, with its first line; every other exception passes."""
    try:
        yield
    except Exception:
        raise
    except BaseException as problem:
        if not is_panic(problem):
            raise
        raise RustPanicked((str(problem).strip().splitlines() or [_PANIC])[0][:300]) from problem
