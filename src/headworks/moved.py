"""Modules by the names that they had in 0.1: each is still imported by it, with a warning that says where it is now.

A project written for 0.1 works until it has followed; the old names go with 0.3.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ROOT = "headworks"

PLACES = {
    "bronze.intake": "bronze.ingest",
    "bronze.intakes": "bronze.readers",
    "ops.telling": "ops.notices",
    "sources.api.standing": "sources.api.progress",
    "testing.afflictions": "testing.faults",
    "lake.accounts": "silver.accounts",
    "lake.ageing": "ops.ageing",
    "lake.backfills": "ops.backfills",
    "lake.breakers": "ops.breakers",
    "lake.consumed": "bronze.consumed",
    "lake.delta": "storage.delta",
    "lake.drift": "storage.drift",
    "lake.durable": "storage.durable",
    "lake.encoding": "storage.encoding",
    "lake.exact": "storage.exact",
    "lake.following": "silver.evolution",
    "lake.generations": "bronze.generations",
    "lake.gold": "gold.table",
    "lake.holders": "storage.holders",
    "lake.incidents": "ops.incidents",
    "lake.intake": "bronze.ingest",
    "lake.key_sets": "bronze.key_sets",
    "lake.landing": "bronze.landing",
    "lake.leases": "ops.leases",
    "lake.maintenance": "ops.maintenance",
    "lake.nested": "bronze.nested",
    "lake.objects": "storage.objects",
    "lake.parts": "storage.parts",
    "lake.presence": "storage.presence",
    "lake.products": "gold.products",
    "lake.quarantine": "silver.quarantine",
    "lake.refusals": "bronze.refusals",
    "lake.resolutions": "bronze.resolutions",
    "lake.shelf": "storage.shelf",
    "lake.silver": "silver.table",
    "lake.stamping": "bronze.stamping",
    "lake.statistics": "storage.statistics",
    "lake.store": "storage.store",
    "lake.streams": "bronze.streams",
    "lake.telling": "ops.notices",
    "lake.translating": "storage.translating",
    "object_store": "storage.object_store",
    "observe.account": "ops.account",
    "observe.alerts": "ops.alerts",
    "observe.channels": "ops.channels",
    "observe.escaping": "ops.escaping",
    "observe.freshness": "ops.freshness",
    "observe.ledger": "ops.ledger",
    "observe.reconcile": "reconcile",
    "observe.recorder": "ops.recorder",
    "observe.report": "reports",
    "refine.code": "gold.code",
    "refine.compare": "silver.compare",
    "refine.curation": "gold.curation",
    "refine.dataset": "silver.dataset",
    "refine.expressions": "silver.expressions",
    "refine.following": "silver.following",
    "refine.history": "silver.history",
    "refine.judged": "silver.judged",
    "refine.mirror": "silver.mirror",
    "refine.parse": "silver.parse",
    "refine.parts": "silver.parts",
    "refine.references": "silver.references",
    "refine.refinement": "silver.refinement",
    "refine.replay": "silver.replay",
    "refine.screening": "silver.screening",
    "refine.totals": "gold.totals",
    "refine.vanishing": "silver.vanishing",
    "refine.versions": "silver.versions",
    "refine.work": "silver.work",
    "sources.intakes": "bronze.readers",
}
"""Where each module is now, by its name in 0.1."""

NAMES = {
    "bronze.ingest": {"take_in": "ingest", "TakeIn": "IngestRequest", "Intake": "Ingest"},
    "bronze.readers": {
        "TableIntake": "TableIngest",
        "ResourceIntake": "ResourceIngest",
        "FileIntake": "FileIngest",
    },
    "ops.incidents": {"tell": "notify"},
    "ops.leases": {"keeping": "heartbeat", "standing": "lease_state"},
}
"""What was renamed in a module that moved: its name in 0.1, and its name now."""

_PACKAGES = frozenset({"lake", "observe", "refine"})


class Moved(MetaPathFinder, Loader):
    """Finds what nothing else has found, by its old name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of a module that has moved; None for any other name."""
        name = fullname.removeprefix(f"{_ROOT}.")
        if name == fullname or not (name in PLACES or name in _PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=name in _PACKAGES)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python: what is made here is replaced by the module itself."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in its old name's place, so that both are one."""
        name = module.__name__.removeprefix(f"{_ROOT}.")
        if name in _PACKAGES:
            return
        place = f"{_ROOT}.{PLACES[name]}"
        warnings.warn(
            f"{module.__name__} is {place} now; import it from there.", DeprecationWarning, stacklevel=2
        )
        there = import_module(place)
        for old, new in NAMES.get(PLACES[name], {}).items():
            if not hasattr(there, old):
                setattr(there, old, getattr(there, new))
        sys.modules[module.__name__] = there


def follow() -> None:
    """Have old names found, after all others and once in a process."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.append(Moved())
