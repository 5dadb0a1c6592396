"""What users of headworks test their own work with: a hostile API server, checks that any source must pass, and rules.

It ships with headworks, so that who writes a source, a paginator or a dataset tests it as ours are tested. See
docs/testing.md and docs/quality.md. The names below are the public ones; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headworks.testing.rules import try_rows as try_rows
    from headworks.testing.rules import try_transform as try_transform
    from headworks.testing.suite import SourceSuite as SourceSuite

_PLACES = {"SourceSuite": "suite", "try_rows": "rules", "try_transform": "rules"}

__all__ = sorted(_PLACES)  # noqa: PLE0605 - one list of names, which a test compares with the imports above


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
