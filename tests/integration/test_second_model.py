"""A second model in an empty project, by docs/models.md alone, word for word: declared, checked, run, and in time good.

The first weeks of a real project take weeks; so after the blocks of the page the same project is played in time-lapse.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.support.shipments import START, WEEK, shipments

CHECKOUT = Path(__file__).parents[2]
WEEKS = 22

pytestmark = pytest.mark.server

PLAYED = """
import shutil, sys
from datetime import datetime, timedelta, UTC
from pathlib import Path

from acme.project import PROJECT
from crm.timelapse import learn_week
from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import FileIngest
from headworks.gold.products import open_product
from headworks.settings import FilesSettings, LakeSettings
from headworks.silver.refinement import refine
from headworks.silver.work import Refinement
from headworks.sources.files.location import Location
from headworks.sources.files.source import FileSource
from headworks.storage.shelf import LakeShelf
from headworks.storage.store import Lake

given, drop, root = map(Path, sys.argv[1:])
lake = Lake(LakeSettings(root=str(root)))
(source,) = [one for one in PROJECT.sources if one.into == "shop.shipments"]
(dataset,) = [one for one in PROJECT.datasets if one.name == "shop.shipments"]
(product,) = [one for one in PROJECT.products if one.name == "late"]
drop.mkdir()
for number, file in enumerate(sorted(given.iterdir())):
    shutil.copy2(file, drop)
    now = datetime.fromtimestamp(file.stat().st_mtime, UTC) + timedelta(minutes=30)
    shelf = LakeShelf(lake, dataset.name)
    reader = FileSource(Location(FilesSettings(root=str(drop))), source.files, shelf, clock=lambda: now)
    ingest(IngestRequest(lake, dataset.name, f"week-{number}", clock=lambda: now), FileIngest(reader))
    gate = refine(Refinement(lake, f"week-{number}", lambda: now), dataset).gate
    assert gate is None or gate.open, gate.reasons
learned = learn_week(lake, lambda: now, "first", of=product)
assert learned.product is not None, learned.reasons
(model,) = product.models
champion = learned.verdict.champion
print(champion.measured.value, open_product(lake, "late")[model.scores].collect().height)
"""


def _blocks() -> list[str]:
    """Return the shell blocks of the section, without the installation."""
    text = (CHECKOUT / "docs" / "models.md").read_text(encoding="utf-8")
    section = text.partition("## From an empty project")[2].partition("\n## ")[0]
    return [
        block for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if "pip install" not in block
    ]


def _drop(folder: Path) -> None:
    """Put down a file a week with the shipments that changed in it."""
    folder.mkdir()
    frame = shipments(WEEKS)
    for week in range(1, WEEKS):
        until = START + week * WEEK + timedelta(hours=5)
        file = folder / f"shipments-{until:%Y-%m-%d}.csv"
        changed = frame.filter(
            (pl.col("updated_at") > until - (WEEK if week > 1 else 2 * WEEK))
            & (pl.col("updated_at") <= until)
        )
        moments = pl.col("placed_at", "delivered_at", "updated_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        changed.with_columns(moments).write_csv(file)
        os.utime(file, (until.timestamp(), until.timestamp()))


def _lines(block: str, word: str) -> int:
    """Return how many lines a person writes into files of a kind."""
    return sum(
        len(text.splitlines()) for text in re.findall(rf"<<'{word}'\n(.*?)\n{word}\n", block, re.DOTALL)
    )


def test_a_new_user_declares_a_model_by_the_page_alone(tmp_path: Path) -> None:
    given = tmp_path / "shipments"
    _drop(given)
    environment = {
        **{
            name: value for name, value in os.environ.items() if not name.startswith(("HEADWORKS", "PREFECT"))
        },
        "SHIPMENTS": str(given),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    blocks = _blocks()
    written = "".join(blocks)
    said = (CHECKOUT / "docs" / "models.md").read_text(encoding="utf-8")
    lines = f"{_lines(written, 'PYTHON')} lines of Python and the {_lines(written, 'YAML')} of contracts"
    assert lines in " ".join(said.split())
    done = _shell("\n".join(blocks), tmp_path, environment)
    assert "GateClosed" in done, done
    project = tmp_path / "acme"
    path = os.pathsep.join([str(project / "src"), str(project), str(CHECKOUT / "src"), str(CHECKOUT)])
    played = subprocess.run(
        [sys.executable, "-c", PLAYED, str(given), str(tmp_path / "drop"), str(tmp_path / "lake")],
        cwd=project,
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stderr[-3000:]
    quality, rows = played.stdout.split()[-2:]
    assert float(quality) > 0.6
    assert int(rows) > 50


def _shell(script: str, folder: Path, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout + ran.stderr
