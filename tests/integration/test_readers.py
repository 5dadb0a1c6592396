"""The page about other engines is true: they read the tables of a lake without headworks, and see what it sees."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from headworks import open_lake, open_product, query
from headworks.gold.products import publications, roll_back
from headworks.scaffold import init
from headworks.storage.store import Lake
from tests.support.pools import CHECKOUT

PAGE = (CHECKOUT / "docs" / "readers.md").read_text(encoding="utf-8")
PUBLISHED, DUCKDB, DATAFUSION, POLARS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LEAD = "SELECT country, sum(revenue) AS revenue FROM demo.daily GROUP BY country ORDER BY country"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a new project, whose demo ran twice: the second time with another row."""
    folder = tmp_path_factory.mktemp("readers") / "acme"
    init("acme", folder)
    run(folder)
    orders = sorted((folder / "data").rglob("*.csv"))[-1]
    lines = orders.read_text(encoding="utf-8").splitlines()
    orders.with_name(f"{orders.stem}-later.csv").write_text(
        "\n".join([lines[0], more(lines[-1])]) + "\n", encoding="utf-8"
    )
    run(folder)
    return folder / ".headworks" / "lake"


def more(line: str) -> str:
    """Return a line of another order."""
    number, rest = line.split(",", 1)
    return f"{int(number) + 1000},{rest}"


def run(folder: Path) -> None:
    """Run the demo in a process of its own, which knows nothing of this checkout."""
    given = {
        name: value for name, value in os.environ.items() if not name.startswith(("HEADWORKS", "PREFECT"))
    }
    given |= {
        "HEADWORKS_LAKE_ROOT": str(folder / ".headworks/lake"),
        "HEADWORKS_EXAMPLE_FILES_ROOT": str(folder / "data"),
        "PYTHONPATH": str(folder / "src"),
    }
    page = (CHECKOUT / "docs" / "orchestrators.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "run_here" in block]
    done = subprocess.run(
        [sys.executable, "-c", "".join(blocks)],
        cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def said(root: Path, *blocks: str) -> str:
    """Run blocks of the page in a process that cannot import headworks, and return what they print."""
    code = "import sys; sys.modules['headworks'] = None\n" + "".join(blocks).replace('"LAKE', f'"{root}')
    # Threads of these engines may still run when Python goes, and then one process in some thirty is aborted.
    code += "\nimport os\nsys.stdout.flush()\nos._exit(0)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(root: Path) -> list[tuple[str, str]]:
    """Return what headworks says that is published."""
    rows = query(open_lake(str(root)), LEAD)
    return [(str(country), str(revenue)) for country, revenue in rows.iter_rows()]


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the countries and amounts in a printed table."""
    return re.findall(r"\b([A-Z]{2})\W+([\d.]+)", text)


@pytest.mark.parametrize("block", [DUCKDB, DATAFUSION, POLARS], ids=["duckdb", "datafusion", "polars"])
def test_an_engine_sees_what_was_published_and_the_rows_of_silver_that_are_alive(
    root: Path, block: str
) -> None:
    text = said(root, PUBLISHED, block)
    assert pairs(text) == seen(root)
    if "_deleted" in block:
        (alive,) = query(open_lake(str(root)), "SELECT count(*) AS n FROM silver.example.orders").row(0)
        assert re.search(rf"\b{alive}\b", text[text.rindex("orders") :]), text


@pytest.mark.parametrize("block", [DUCKDB, DATAFUSION, POLARS], ids=["duckdb", "datafusion", "polars"])
def test_after_a_rollback_an_engine_sees_the_version_that_the_product_names(
    root: Path, tmp_path: Path, block: str
) -> None:
    copy = tmp_path / "lake"
    subprocess.run(["cp", "-a", str(root), str(copy)], check=True)
    lake = open_lake(str(copy))
    before = seen(copy)
    earlier = rolled_back(lake)
    assert earlier != before
    assert pairs(said(copy, PUBLISHED, block)) == earlier == seen(copy)


def rolled_back(lake: Lake) -> list[tuple[str, str]]:
    """Name the product's first version again, and return what it says."""
    roll_back(lake, "demo", [version.run_id for version in publications(lake)][-1], "by hand")
    rows = open_product(lake, "demo")["demo.daily"].group_by("country").agg(pl.col("revenue").sum())
    return [(country, str(revenue)) for country, revenue in rows.sort("country").collect().iter_rows()]


def test_tables_ask_for_nothing_that_a_reader_of_the_first_version_does_not_know(root: Path) -> None:
    tables = [log.parent for log in root.rglob("_delta_log")]
    assert len(tables) >= 5
    for table in tables:
        protocol = DeltaTable(table).protocol()
        asked = (protocol.min_reader_version, protocol.min_writer_version, protocol.reader_features)
        assert asked == (1, 2, None), table
