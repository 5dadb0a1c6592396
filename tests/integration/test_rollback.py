"""Products: what is published, rolled back, held and released, and that no slow run publishes something older."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from headworks.cli.main import main
from headworks.errors import ConcurrentRun, GateClosed, SettingsError
from headworks.gold.products import (
    open_product,
    publications,
    publish_product,
    read_product,
    release,
    roll_back,
    rollbacks,
)
from headworks.gold.table import gold_reference
from headworks.reports import TableRef
from headworks.silver.table import CHANGE
from headworks.storage.store import Lake
from tests.support.items import Ticking

TABLE = "sales.daily"


def gold(lake: Lake, value: int) -> TableRef:
    """Replace the gold table by one row, and name the version."""
    frame = pl.DataFrame({"day": [1], "value": [value]})
    table = lake.ensure("gold", TABLE, frame.schema)
    table.overwrite(frame, {CHANGE: table.transaction(CHANGE) + 1})
    return gold_reference(lake, table, TABLE)


def shown(lake: Lake) -> int:
    """Return what a reader of the product sees."""
    return int(open_product(lake, "sales")[TABLE].select("value").collect().item())


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def three_runs(lake: Lake, clock: Ticking) -> Lake:
    """A lake in which the runs ``one``, ``two`` and ``three`` published the values 1, 2 and 3."""
    for value, run in enumerate(("one", "two", "three"), start=1):
        publish_product(lake, "sales", [gold(lake, value)], run, clock)
    return lake


def test_publications_are_told_from_the_newest_to_the_oldest(three_runs: Lake) -> None:
    publish_product(
        three_runs, "stock", [gold(three_runs, 9)], "four", Ticking(datetime.max.replace(year=2030))
    )
    output = [(each.product, each.sequence, each.run_id) for each in publications(three_runs)]
    assert output == [("stock", 1, "four"), ("sales", 3, "three"), ("sales", 2, "two"), ("sales", 1, "one")]


def test_a_rollback_shows_what_the_run_published_as_a_newer_publication(
    three_runs: Lake, clock: Ticking
) -> None:
    back = roll_back(three_runs, "sales", "two", "wrong rates", clock)
    assert (back.sequence, back.run_id, back.held) == (4, "two", "wrong rates")
    assert shown(three_runs) == 2


def test_a_held_product_is_not_published_over_until_it_is_released(three_runs: Lake, clock: Ticking) -> None:
    roll_back(three_runs, "sales", "one", "wrong rates", clock)
    newer = gold(three_runs, 4)
    with pytest.raises(GateClosed, match="wrong rates") as caught:
        publish_product(three_runs, "sales", [newer], "four", clock)
    assert "headworks product release sales" in caught.value.do
    assert shown(three_runs) == 1
    release(three_runs, "sales", clock)
    assert shown(three_runs) == 1
    assert publish_product(three_runs, "sales", [newer], "five", clock).sequence == 6
    assert shown(three_runs) == 4


def test_after_a_release_the_newest_tables_are_published_even_if_nothing_new_came(
    three_runs: Lake, clock: Ticking
) -> None:
    newest = read_product(three_runs, "sales")
    assert newest is not None
    roll_back(three_runs, "sales", "one", "looked wrong, was right", clock)
    release(three_runs, "sales", clock)
    publish_product(three_runs, "sales", newest.tables, "four", clock)
    assert shown(three_runs) == 3


def test_a_rollback_can_be_rolled_back_further_and_forth_again(three_runs: Lake, clock: Ticking) -> None:
    for run, value in (("two", 2), ("one", 1), ("three", 3)):
        roll_back(three_runs, "sales", run, "looking", clock)
        assert shown(three_runs) == value


def test_an_unknown_run_is_refused_with_those_that_are_known(three_runs: Lake, clock: Ticking) -> None:
    with pytest.raises(SettingsError) as caught:
        roll_back(three_runs, "sales", "seven", "typo", clock)
    assert "three (2026-01-05" in caught.value.do
    assert shown(three_runs) == 3


def test_releasing_what_nothing_holds_is_refused(three_runs: Lake) -> None:
    with pytest.raises(SettingsError, match="Nothing holds"):
        release(three_runs, "sales")


def test_a_product_that_was_never_published_is_named_with_those_that_were(
    three_runs: Lake, clock: Ticking
) -> None:
    """It is not said of it that nothing holds it, or that one of no runs is to be chosen."""
    with pytest.raises(SettingsError, match=r"No publication of sale is known\.") as rolled:
        roll_back(three_runs, "sale", "two", "typo", clock)
    with pytest.raises(SettingsError, match=r"No publication of sale is known\.") as released:
        release(three_runs, "sale", clock)
    for caught in (rolled, released):
        assert "Did you mean sales?" in caught.value.what
        assert "products that were published there, sales" in caught.value.do
    assert shown(three_runs) == 3


def test_a_run_that_slept_while_another_published_newer_versions_is_refused(
    three_runs: Lake, clock: Ticking
) -> None:
    slow = gold(three_runs, 4)
    publish_product(three_runs, "sales", [gold(three_runs, 5)], "fast", clock)
    with pytest.raises(ConcurrentRun, match="by run fast"):
        publish_product(three_runs, "sales", [slow], "slow", clock)
    assert shown(three_runs) == 5


def test_a_run_under_way_does_not_publish_over_a_rollback_that_was_released_meanwhile(
    three_runs: Lake, clock: Ticking
) -> None:
    """What it was made from was taken back; the next run begins with what is published then."""
    began = rollbacks(three_runs)["sales"]
    newer = gold(three_runs, 4)
    roll_back(three_runs, "sales", "one", "wrong rates", clock)
    with pytest.raises(GateClosed, match="wrong rates"):
        publish_product(three_runs, "sales", [newer], "four", clock, began)
    release(three_runs, "sales", clock)
    with pytest.raises(ConcurrentRun, match="rolled back while this run was under way") as caught:
        publish_product(three_runs, "sales", [newer], "four", clock, began)
    assert "run again" in caught.value.do
    assert shown(three_runs) == 1
    began = rollbacks(three_runs)["sales"]
    assert publish_product(three_runs, "sales", [newer], "five", clock, began).changed
    assert shown(three_runs) == 4


def test_what_other_runs_publish_and_a_release_alone_hold_no_run(three_runs: Lake, clock: Ticking) -> None:
    """Runs of other windows publish at the same time, and a run may begin while the product is held."""
    began = rollbacks(three_runs)["sales"]
    publish_product(three_runs, "sales", [gold(three_runs, 4)], "four", clock, began)
    publish_product(three_runs, "sales", [gold(three_runs, 5)], "five", clock, began)
    assert shown(three_runs) == 5
    roll_back(three_runs, "sales", "one", "wrong rates", clock)
    began = rollbacks(three_runs)["sales"]
    release(three_runs, "sales", clock)
    publish_product(three_runs, "sales", [gold(three_runs, 6)], "six", clock, began)
    assert shown(three_runs) == 6


def test_rollbacks_of_one_product_hold_no_run_of_another(three_runs: Lake, clock: Ticking) -> None:
    began = rollbacks(three_runs)
    roll_back(three_runs, "sales", "one", "wrong rates", clock)
    other = publish_product(three_runs, "other", [gold(three_runs, 4)], "four", clock, began.get("other", 0))
    assert other.changed
    assert rollbacks(three_runs) == {"sales": began["sales"] + 1, "other": 0}


def test_a_run_that_was_rolled_back_to_is_offered_once(three_runs: Lake, clock: Ticking) -> None:
    """Each rollback publishes it again under its name; the refusal of an unknown run names each of them once."""
    for run in ("one", "two", "one"):
        roll_back(three_runs, "sales", run, "wrong", clock)
    with pytest.raises(SettingsError) as caught:
        roll_back(three_runs, "sales", "four", "wrong", clock)
    offered = [part.split()[0] for part in caught.value.do.rstrip(".").partition(": ")[2].split(", ")]
    assert offered == ["one", "two", "three"]


def test_publications_of_a_name_that_is_neither_declared_nor_published_are_an_error(
    three_runs: Lake, clock: Ticking, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the project no longer declares is still shown, and one that it declares may be without any."""
    monkeypatch.setenv("HEADWORKS_LAKE_ROOT", three_runs.settings.root)
    publish_product(three_runs, "old_sales", [gold(three_runs, 4)], "four", clock)
    assert main(("product", "show", "old_sales")) == 0
    assert "four" in capsys.readouterr().out
    assert main(("product", "show", "old_sale")) == 1
    assert "There is no product 'old_sale', neither declared nor published. Did you mean old_sales?" in (
        capsys.readouterr().err
    )
