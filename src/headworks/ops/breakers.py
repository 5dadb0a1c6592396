"""Breakers kept in the lake, one small object for each API, so that all runs and containers see the same."""

from __future__ import annotations

import re
from typing import Any

from headworks.errors import LakeUnavailable, LakeUnusable
from headworks.storage.store import Lake

_FOLDER = "_headworks/breakers"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


class LakeBreakers:
    """The store of the breakers of one lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def load(self, name: str) -> dict[str, Any] | None:
        """Return the kept state, or None where there is none or it cannot be read."""
        if _safe(name) not in self.names():
            return None
        try:
            return self._lake.get_object(_path(name))
        except (LakeUnusable, LakeUnavailable):
            # Another run has just reset it.
            return None

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Keep a state, in place of the one before."""
        self._lake.put_object(_path(name), state)

    def reset(self, name: str) -> bool:
        """Forget a state; False where there was none."""
        if _safe(name) not in self.names():
            return False
        self._lake.remove_object(_path(name))
        return True

    def names(self) -> list[str]:
        """Return the APIs that have a kept state."""
        found = self._lake.list_objects(_FOLDER)
        return [each.path.rpartition("/")[2].removesuffix(".json") for each in found]


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name)


def _path(name: str) -> str:
    return f"{_FOLDER}/{_safe(name)}.json"
