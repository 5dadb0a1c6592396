"""Modules by the names that they had in 0.1: each is still imported by it, with a warning that says where it is now.

A project written for 0.1 works until it has followed; the old names go with 0.3. The machinery that was in the
top-level packages ``flows``, ``tasks``, ``blocks`` and ``deployments`` is found by its old name too, also with
``python -m``, as long as the project's package of that name imports headworks.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import CodeType, ModuleType

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
    "prefect.running": {"Story": "RunContext", "tell": "run_flow"},
}
"""What was renamed in a module that moved: its name in 0.1, and its name now."""

MACHINERY = {
    "blocks.alerts": "headworks.prefect.blocks.alerts",
    "blocks.api": "headworks.prefect.blocks.api",
    "blocks.database": "headworks.prefect.blocks.database",
    "blocks.files": "headworks.prefect.blocks.files",
    "blocks.lake": "headworks.prefect.blocks.lake",
    "blocks.profiles": "headworks.prefect.blocks.profiles",
    "blocks.resolve": "headworks.prefect.blocks.resolve",
    "deployments.cli": "headworks.cli.main",
    "deployments.commands.anomaly": "headworks.cli.anomaly",
    "deployments.commands.api": "headworks.cli.api",
    "deployments.commands.breaker": "headworks.cli.breaker",
    "deployments.commands.data": "headworks.cli.data",
    "deployments.commands.probe": "headworks.cli.probe",
    "deployments.commands.product": "headworks.cli.product",
    "deployments.commands.quarantine": "headworks.cli.quarantine",
    "deployments.commands.shared": "headworks.cli.shared",
    "deployments.commands.silver": "headworks.cli.silver",
    "deployments.commands.stream": "headworks.cli.stream",
    "deployments.deploy": "headworks.prefect.deploying.deploy",
    "deployments.deploying.automations": "headworks.prefect.deploying.automations",
    "deployments.deploying.declared": "headworks.prefect.deploying.declared",
    "deployments.deploying.flows": "headworks.prefect.deploying.flows",
    "deployments.deploying.image": "headworks.prefect.deploying.image",
    "deployments.deploying.limits": "headworks.prefect.deploying.limits",
    "deployments.deploying.outcomes": "headworks.prefect.deploying.outcomes",
    "deployments.deploying.pools": "headworks.prefect.deploying.pools",
    "deployments.execute": "headworks.prefect.execute",
    "deployments.local.postgres": "headworks.prefect.local.postgres",
    "deployments.local.processes": "headworks.prefect.local.processes",
    "deployments.register_blocks": "headworks.prefect.deploying.register_blocks",
    "flows.console": "headworks.prefect.console",
    "flows.running": "headworks.prefect.running",
    "tasks.alerting": "headworks.prefect.steps.alerting",
    "tasks.backfill": "headworks.prefect.steps.backfill",
    "tasks.care": "headworks.prefect.steps.care",
    "tasks.limits": "headworks.prefect.limits",
    "tasks.policy": "headworks.prefect.policy",
    "tasks.progress": "headworks.prefect.progress",
    "tasks.report": "headworks.prefect.steps.report",
    "tasks.stopping": "headworks.prefect.stopping",
}
"""Where the machinery is now that 0.1 installed as top-level packages."""

_PACKAGES = frozenset(
    {
        "headworks.lake",
        "headworks.observe",
        "headworks.refine",
        "deployments.commands",
        "deployments.deploying",
    }
)
_NOW = {**{f"{_ROOT}.{old}": f"{_ROOT}.{new}" for old, new in PLACES.items()}, **MACHINERY}


class Moved(MetaPathFinder, InspectLoader):
    """Finds what nothing else has found, by its old name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the specification of a module that has moved; None for any other name."""
        if fullname not in _NOW and fullname not in _PACKAGES:
            return None
        return ModuleSpec(fullname, self, is_package=fullname in _PACKAGES)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python: what is made here is replaced by the module itself."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in its old name's place, so that both are one."""
        name = module.__name__
        if name in _PACKAGES:
            return
        place = _NOW[name]
        warnings.warn(f"{name} is {place} now; import it from there.", DeprecationWarning, stacklevel=2)
        found = import_module(place)
        for old, new in NAMES.get(place.removeprefix(f"{_ROOT}."), {}).items():
            if not hasattr(found, old):
                setattr(found, old, getattr(found, new))
        sys.modules[name] = found
        # `from flows import running` looks at the package, where Python puts what it made and not what replaced it.
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], last, found)

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the module that has the place now, for ``python -m``."""
        spec = find_spec(_NOW.get(fullname, ""))
        loader = spec.loader if spec is not None else None
        return loader.get_code(spec.name) if spec is not None and isinstance(loader, InspectLoader) else None

    def get_source(self, fullname: str) -> str | None:
        """Return nothing: the source is the other module's."""
        return None

    def is_package(self, fullname: str) -> bool:
        """Return whether a name was a package."""
        return fullname in _PACKAGES


def place_of(name: str) -> str | None:
    """Return where a module is now that 0.1 had by another name; None for any other."""
    return _NOW.get(name)


def follow() -> None:
    """Have old names found, after all others and once in a process."""
    if not any(isinstance(finder, Moved) for finder in sys.meta_path):
        sys.meta_path.append(Moved())
