"""The churn page in a browser: who is at risk and why, calibration, lift, segments and champions, as the lake has them.

The lake received a CRM week by week, and two models were promoted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from crm.timelapse import RUNS_AT, learn_week
from crm.world import WEEK
from dashboard.churn import reason_text
from headworks.gold.products import open_product, roll_back
from tests.browser.conftest import Dashboard, cells, metric, running_dashboard
from tests.support.crm import MODEL, WEEKS, CrmPlace, make_world, receive
from tests.support.screens import Screen

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHARTS = 3
HEADINGS = ("At risk, and why", "Predicted and happened", "Lift", "Segments", "Champions")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CrmPlace:
    """A lake with two champions."""
    root = tmp_path_factory.mktemp("churn") / "lake"
    root.mkdir()
    world, found = make_world(), CrmPlace(root, "")
    receive(root, world)
    now = world.start + (WEEKS - 1) * WEEK + RUNS_AT
    for seed in (1, 2):
        done = learn_week(found.lake, lambda: now, f"seed-{seed}", seed=seed)
        assert done.product is not None, done.reasons
    return found


@pytest.fixture(scope="module")
def churn_page(place: CrmPlace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(
        tmp_path_factory.mktemp("page"), "dashboard/churn.py", HEADWORKS_LAKE_ROOT=str(place.root)
    ) as running:
        yield running


def _open(page: Page, churn_page: Dashboard) -> None:
    page.goto(churn_page.url)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.get_by_role("heading", name="Champions").wait_for()
    charts = page.locator("[data-testid=stVegaLiteChart]")
    for number in range(CHARTS):
        charts.nth(number).locator("canvas, svg").first.wait_for()
    assert charts.count() == CHARTS
    assert page.locator("[data-testid=stException]").count() == 0


def _assert_no_table_is_cut(page: Page) -> None:
    for name in ("at-risk", "by-segment", "promoted"):
        cut: int = page.locator(f"#{name}").evaluate(
            "table => table.scrollWidth - table.parentElement.clientWidth"
        )
        assert cut <= 0, f"the table {name} is cut"


def test_the_page_shows_who_is_at_risk_and_why_and_how_good_the_model_is(
    place: CrmPlace, churn_page: Dashboard, page: Page, screen: Screen
) -> None:
    _open(page, churn_page)
    screen(page, "churn")
    for heading in HEADINGS:
        page.get_by_role("heading", name=heading, exact=True).wait_for()
    champion = place.champions.newest
    assert champion is not None
    scores = place.scores
    assert metric(page, "Customers") == f"{scores.height:,}"
    assert metric(page, "Champion 2: roc_auc") == f"{champion.measured.value:.3f}"
    assert metric(page, "Lift of the highest tenth") == f"{champion.measured.lift:.1f} ×"
    assert metric(page, "Calibration error") == f"{champion.measured.calibration_error:.3f}"
    top = scores.sort("rank").row(0, named=True)
    rank, customer, chance, why, *_ = cells(page, "at-risk")[0]
    assert (rank, customer, chance) == ("1", str(top["contact_id"]), f"{top['score']:.1%}")
    assert why == "; ".join(reason_text(reason) for reason in json.loads(top["reasons"]))
    assert [row[0] for row in cells(page, "by-segment")] == [
        one["segment"] for one in champion.measured.segments
    ]
    assert [row[0] for row in cells(page, "promoted")] == ["2", "1"]
    _assert_no_table_is_cut(page)
    page.get_by_text("Model card").click()
    page.get_by_role("heading", name="churn, champion 2").wait_for()


def test_the_page_fits_a_phone(churn_page: Dashboard, page: Page, screen: Screen) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    _open(page, churn_page)
    screen(page, "churn-phone")
    wide: float = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= 390
    _assert_no_table_is_cut(page)


def test_a_rollback_shows_the_former_champion_and_that_the_product_is_held(
    place: CrmPlace, churn_page: Dashboard, page: Page, screen: Screen
) -> None:
    roll_back(place.lake, "churn", "seed-1", "the page is looked at")
    _open(page, churn_page)
    page.get_by_text("the page is looked at").wait_for()
    page.get_by_text("Champion 1: roc_auc").wait_for()
    champions = open_product(place.lake, "churn")[MODEL.champions].collect()
    assert champions.height == 1
    screen(page, "churn-held")
