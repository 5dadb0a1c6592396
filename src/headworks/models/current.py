"""The current champion: whether it can predict, its file made again where it is lost, and the way forward where not.

A champion cannot predict where its file is lost, damaged or not readable by the installed libraries, or where the
features no longer have a column that it needs. Its file is then made again from the very features that it learned from,
where they and the code are as they were. Where that does not give the same bytes, a person decides: the check
``champion: file`` or ``champion: features`` is let through, and the challenger is held against what the champion was
measured by, or an earlier publication is shown again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headworks.errors import LakeRefused, LakeUnusable, ObjectLost, SettingsError
from headworks.gold.products import ProductVersion, publications
from headworks.gold.products import roll_back as roll_back_tables
from headworks.models.champions import Champion, read_champions
from headworks.models.checks import Checks
from headworks.models.model import Model
from headworks.models.training import file_path, is_named, load, made_again
from headworks.ports import Clock, system_clock
from headworks.reports import CheckReport
from headworks.storage.store import Lake
from headworks.storage.translating import reading

FILE, COLUMNS = "champion: file", "champion: features"


@dataclass(frozen=True)
class Usable:
    """The champion's estimator, None where it cannot predict, and the check that says why."""

    estimator: Any
    check: CheckReport


def usable(lake: Lake, product: str, model: Model, champion: Champion, columns: Sequence[str]) -> Usable:
    """Return the champion's estimator, if it can predict from these columns; a lost file is made again."""
    checks = Checks(model)
    missing = [name for name in champion.trained.columns if name not in columns]
    if missing:
        detail = (
            f"champion {champion.sequence} needs {', '.join(missing)}, which the features no longer have, so it can "
            f"neither score nor be compared on the same rows. {_way(lake, product, model, champion, COLUMNS)}"
        )
        checks.add(COLUMNS, False, detail)
        return Usable(None, checks.made[0])
    which = f"champion {champion.sequence}"
    try:
        estimator = load(lake, model, champion.trained.file, which)
    except LakeRefused:
        raise
    except LakeUnusable as problem:
        lost = problem
    else:
        checks.add(FILE, True)
        return Usable(estimator, checks.made[0])
    if isinstance(lost, ObjectLost) and restored(lake, model, champion):
        detail = (
            f"the file of champion {champion.sequence} was lost or damaged; it was made again from version "
            f"{champion.features.version} of its features, and is the same to the byte"
        )
        checks.warn(FILE, detail)
        return Usable(load(lake, model, champion.trained.file, which), checks.made[0])
    if isinstance(lost, ObjectLost):
        again, do = ", and could not be made again from what it learned from", ""
    else:
        # The file is there: what it is to be loaded with is not.
        again, do = "", f" {lost.do[:1].upper()}{lost.do[1:]}"
    detail = (
        f"{which} cannot be loaded{again}: {lost.what.rstrip('.')} ({champion.trained.file[:12]}).{do} "
        f"{_way(lake, product, model, champion, FILE)}"
    )
    checks.add(FILE, False, detail)
    return Usable(None, checks.made[0])


def restored(lake: Lake, model: Model, champion: Champion) -> bool:
    """Make a champion's file again from the version of the features that it learned from; whether it is the same."""
    try:
        table = lake.must_open("gold", model.features.name, champion.features.version)
        if champion.features.id and champion.features.id != table.id:
            return False
        with reading(table.name):
            frame = table.scan().collect()
        return made_again(lake, model, champion.trained, frame)
    except LakeRefused:
        raise
    except (LakeUnusable, SettingsError):
        # The version is gone, or had other columns than the model has now.
        return False


def _way(lake: Lake, product: str, model: Model, champion: Champion, check: str) -> str:
    """Return the commands that get on, with the run of an earlier publication whose champion can be loaded."""
    accept = (
        f"To have the challenger judged by what the champion was measured by, run headworks run {product} "
        f'--accept \'["{check}"]\' --note "…"'
    )
    earlier = next(
        (
            each.run_id
            for each in publications(lake)
            if each.product == product
            and (other := read_champions(lake, product, model, each).newest) is not None
            and other.trained.file != champion.trained.file
            and is_there(lake, model, other)
        ),
        None,
    )
    if earlier is None:
        return f"{accept}; no earlier publication has a champion whose file is there"
    return f'{accept}; or show an earlier one again: headworks rollback {product} --to {earlier} --reason "…"'


def is_there(lake: Lake, model: Model, champion: Champion) -> bool:
    """Return whether a champion's file is there and is what its name says."""
    try:
        return is_named(lake.get_bytes(file_path(model, champion.trained.file)), champion.trained.file)
    except ObjectLost:
        return False


def roll_back(
    lake: Lake,
    product: str,
    run_id: str,
    reason: str,
    models: Sequence[Model],
    clock: Clock = system_clock,
) -> tuple[ProductVersion, list[str]]:
    """Show again what a run published of a product with models; returns it, and its champions without a file.

    A file that is lost or damaged is made again where that gives the same bytes. A champion without one is no reason
    to leave what is worse: its scores are in the tables, and the next run after the release says how to get on.
    Raises what `headworks.gold.products.roll_back` raises.
    """
    version = roll_back_tables(lake, product, run_id, reason, clock)
    return version, without_file(lake, version, models)


def without_file(lake: Lake, version: ProductVersion, models: Sequence[Model]) -> list[str]:
    """Return which champions of a publication have no file any more, one that can be made again being made again."""
    found = []
    for model in models:
        champion = read_champions(lake, version.product, model, version).newest
        if (
            champion is not None
            and not is_there(lake, model, champion)
            and not restored(lake, model, champion)
        ):
            found.append(f"champion {champion.sequence} of {model.name} ({champion.trained.file[:12]})")
    return found
