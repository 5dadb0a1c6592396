"""Models as products: features as they were known, training, a gate, champions, scores, and a card of each model.

The names below are the public ones; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headworks.models.features import AsOf as AsOf
    from headworks.models.features import feature_table as feature_table
    from headworks.models.model import Bounds as Bounds
    from headworks.models.model import Model as Model

_PLACES = {"AsOf": "features", "Bounds": "model", "Model": "model", "feature_table": "features"}

__all__ = sorted(_PLACES)  # noqa: PLE0605 - one list of names, which a test compares with the imports above


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
