"""Rules that are taken out of the code one at a time: each module of this package has its own as ``RULES``.

``protocol`` has those of landing, silver, gold and publication; the others are named after what they are about. A
module is found by being here.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from tests.rules.base import Rule

_NO_RULES = {"base", "out"}


def all_rules() -> tuple[Rule, ...]:
    """Return the rules of every module of this package."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name not in _NO_RULES)
    return tuple(each for name in names for each in import_module(f"{__name__}.{name}").RULES)
