"""The engine of headworks: exactly-once landing, refinement, the gate, publication and the account.

Nothing in here imports Prefect; what the engine needs from outside (a clock, a token, a run's name) is passed in.
"""

from __future__ import annotations

__version__ = "0.1.0"
