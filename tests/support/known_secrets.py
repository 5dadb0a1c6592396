"""Secrets that a test teaches the process are forgotten after it: a password ``wrong`` masked that word in others.

A pytest plugin. What fixtures of a module teach is known to all tests of the module.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headworks import redaction
from headworks.redaction import Secrets


def _afresh(known: Secrets) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction, "_KNOWN", known)
        yield


@pytest.fixture(scope="module", autouse=True)
def _secrets_of_the_module() -> Iterator[None]:
    yield from _afresh(Secrets())


@pytest.fixture(autouse=True)
def _secrets_of_the_test(_secrets_of_the_module: None) -> Iterator[None]:
    yield from _afresh(redaction._KNOWN.copy())
