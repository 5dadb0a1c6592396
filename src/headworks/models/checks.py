"""Checks of one model as they are collected: what passed, failed, could not be evaluated, or had nothing to compare."""

from __future__ import annotations

import numpy as np

from headworks.models.model import Model
from headworks.reports import CheckReport


class Checks:
    """Checks of one model, as they are made."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.made: list[CheckReport] = []

    def add(
        self,
        name: str,
        good: bool | None,
        detail: str = "",
        *,
        value: float | None = None,
        expected: float | None = None,
        kind: str = "model",
    ) -> None:
        """Add a check; one that could not be made (None) keeps the gate closed."""
        outcome = "not evaluated" if good is None else "passed" if good else "failed"
        self._put(name, outcome, detail, value, expected, kind)

    def warn(
        self, name: str, detail: str, *, value: float | None = None, expected: float | None = None
    ) -> None:
        """Add a check that objects to nothing, and is reported."""
        self._put(name, "warned", detail, value, expected, "model")

    def add_without_comparison(self, name: str, detail: str, *, kind: str = "model") -> None:
        """Add a check that has nothing to compare with yet: no objection, and nothing that passed."""
        self._put(name, "cold start", detail, None, None, kind)

    def _put(
        self, name: str, outcome: str, detail: str, value: float | None, expected: float | None, kind: str
    ) -> None:
        self.made.append(
            CheckReport.model_validate(
                {
                    "scope": self.model.scope,
                    "name": name,
                    "kind": kind,
                    "outcome": outcome,
                    "detail": detail,
                    "value": None if value is None or not np.isfinite(value) else float(value),
                    "expected": None if expected is None or not np.isfinite(expected) else float(expected),
                }
            )
        )
