"""What can go wrong when the shop is founded, lives on or is served.

Only errors about the shop itself belong here; those of the engine are in `headworks.errors`.
"""

from __future__ import annotations


class ShopError(Exception):
    """The shop cannot do what was asked; the message says why and what to do."""
