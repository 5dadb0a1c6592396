"""The dashboard in a browser: the numbers of the shop's truth to the cent, and a banner that shows the gate's state.

The tests continue from each other: the shop lives on, a contract is broken, and fixed.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from dashboard.view import money, number
from headworks.prefect.local.postgres import SHOP
from shop.truth import DailyRow, Truth, truth
from tests.browser.conftest import Dashboard, cells, metric, running_dashboard, settled
from tests.support.demo import Demo
from tests.support.pools import CHECKOUT
from tests.support.screens import Screen

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.server]


def _truth(demo: Demo) -> Truth:
    postgres = demo.stack._postgres(demo.stack._state())
    with psycopg.connect(postgres.admin_url(SHOP)) as connection:
        return truth(connection)


def _revenue(rows: Iterable[DailyRow]) -> str:
    return money(sum((row.revenue_eur for row in rows), Decimal(0)))


def _sums(rows: Iterable[DailyRow], dimension: str) -> dict[str, str]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[str(getattr(row, dimension))] += row.revenue_eur
    return {name: money(amount) for name, amount in sums.items()}


def _open(page: Page, dashboard: Dashboard) -> None:
    page.goto(dashboard.url)
    settled(page)


def _choose(page: Page, box: str, option: str) -> None:
    page.get_by_role("combobox", name=box).click()
    page.get_by_role("option", name=option, exact=True).click()
    page.keyboard.press("Escape")


def test_the_numbers_shown_are_the_shops_truth_to_the_cent(
    demo: Demo, dashboard: Dashboard, page: Page, screen: Screen
) -> None:
    expected = _truth(demo)
    _open(page, dashboard)
    screen(page, "dashboard-open")
    assert metric(page, "Revenue") == _revenue(expected.daily)
    assert metric(page, "Units sold") == number(sum(row.units for row in expected.daily))
    page.get_by_text("The numbers behind the charts").click()
    for dimension in ("country", "category"):
        shown = {row[0]: row[1] for row in cells(page, f"by-{dimension}")}
        assert shown == _sums(expected.daily, dimension)
    by_day = [row[1] for row in cells(page, "by-day")]
    sums = _sums(expected.daily, "day")
    assert [amount for amount in by_day if amount != money(Decimal(0))] == [
        sums[name] for name in sorted(sums)
    ]
    best = sorted(expected.customer_value, key=lambda row: (-row.revenue_eur, row.customer_id))
    shown_best = [(row[0], row[-1]) for row in cells(page, "top-customers")]
    assert shown_best == [(f"No. {row.customer_id}", money(row.revenue_eur)) for row in best[:15]]


def test_the_banner_says_that_the_gate_is_open_and_how_fresh_the_data_is(
    demo: Demo, dashboard: Dashboard, page: Page
) -> None:
    _open(page, dashboard)
    said = page.locator("#banner").inner_text()
    newest = max(row.day for row in _truth(demo).daily)
    assert "Gate open" in said
    assert f"{newest:%a} {newest.day} {newest:%b %Y}" in said
    assert "Published" in said
    assert "days ago" in said


def test_filters_narrow_every_number_down(
    demo: Demo, dashboard: Dashboard, page: Page, screen: Screen
) -> None:
    expected = _truth(demo)
    newest = max(row.day for row in expected.daily)
    _open(page, dashboard)
    _choose(page, "Period", "Last 30 days")
    _choose(page, "Countries", "DE")
    _choose(page, "Countries", "FR")
    _choose(page, "Categories", "books")
    rows = [
        row
        for row in expected.daily
        if row.country in {"DE", "FR"} and row.category == "books" and row.day > newest - timedelta(days=30)
    ]
    page.get_by_text(_revenue(rows), exact=True).first.wait_for()
    settled(page)
    assert metric(page, "Revenue") == _revenue(rows)
    assert metric(page, "Days") == "30"
    page.get_by_text("The numbers behind the charts").click()
    assert {row[0]: row[1] for row in cells(page, "by-country")} == _sums(rows, "country")
    assert {row[1] for row in cells(page, "top-customers")} == {"DE", "FR"}
    page.get_by_role("radio", name="By country").click()
    settled(page)
    screen(page, "dashboard-filtered")


def test_with_a_closed_gate_the_banner_says_why_and_the_numbers_stay_the_last_good_ones(
    demo: Demo, dashboard: Dashboard, page: Page, screen: Screen, tmp_path: Path
) -> None:
    """The shop lives on, but its contract asks for what cannot hold; then the contract is fixed."""
    last_good = _truth(demo)
    demo.stack.live(2)
    assert _truth(demo).daily != last_good.daily
    shutil.copytree(CHECKOUT / "src" / "shop", tmp_path / "shop")
    contract = tmp_path / "shop" / "contracts" / "gold_sales_daily.yml"
    contract.write_text(contract.read_text().replace("valid_values: [CH, DE,", "valid_values: [DE,"))
    broken = demo.run("flows.sales", PYTHONPATH=str(tmp_path))
    assert broken.code == 2, broken.err
    _open(page, dashboard)
    screen(page, "dashboard-gate-closed")
    said = page.locator("#banner").inner_text()
    assert "Gate closed" in said
    assert "last good version" in said
    assert "gold.sales.daily: country" in said
    assert metric(page, "Revenue") == _revenue(last_good.daily)

    fixed = demo.run("flows.sales")
    assert fixed.code == 0, fixed.err
    _open(page, dashboard)
    assert "Gate open" in page.locator("#banner").inner_text()
    assert metric(page, "Revenue") == _revenue(_truth(demo).daily) != _revenue(last_good.daily)


def test_a_lake_in_which_nothing_is_published_is_told_with_what_to_do(
    demo: Demo, page: Page, screen: Screen, tmp_path: Path
) -> None:
    variables = {
        "HEADWORKS_DASHBOARD_LAKE": "other-lake",
        "HEADWORKS_OTHER_LAKE_ROOT": str(tmp_path / "lake"),
    }
    with running_dashboard(tmp_path, **demo.stack.environment(), **variables) as running:
        _open(page, running)
        screen(page, "dashboard-nothing-published")
        said = page.locator("#advice").inner_text()
    assert "Nothing is published yet" in said
    assert "make demo" in said


def test_a_missing_block_is_told_with_what_to_do(
    demo: Demo, page: Page, screen: Screen, tmp_path: Path
) -> None:
    variables = {"HEADWORKS_DASHBOARD_LAKE": "no-such-lake"}
    with running_dashboard(tmp_path, **demo.stack.environment(), **variables) as running:
        _open(page, running)
        screen(page, "dashboard-missing-block")
        said = page.locator("#advice").inner_text()
    assert "There is no block headworks-lake/no-such-lake" in said
    assert "HEADWORKS_NO_SUCH_LAKE_ROOT" in said


def test_a_server_that_does_not_answer_is_told_with_what_to_do(page: Page, tmp_path: Path) -> None:
    with running_dashboard(tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api") as running:
        _open(page, running)
        said = page.locator("#advice").inner_text()
    assert "The Prefect server does not answer" in said
    assert "make demo" in said


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_at_every_width_each_figure_each_column_and_each_bar_is_seen(
    dashboard: Dashboard, page: Page, screen: Screen, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    _open(page, dashboard)
    assert page.evaluate(_BARS) >= 60, "the bars of the days have no width"
    page.get_by_text("The numbers behind the charts").click()
    page.locator("#by-day").wait_for()
    screen(page, f"dashboard-{width}")
    assert page.evaluate(_CUT) == []


def test_a_fall_is_shown_as_a_fall(dashboard: Dashboard, page: Page, screen: Screen) -> None:
    """The arrow and the sign agree: of several small choices one fell at least, and one rose."""
    seen = set()
    categories = ("books", "garden", "kitchen", "lighting", "music", "office")
    # A category of all countries may well have grown each time; one of a single country goes up and down.
    for country, category in product(("", "FR", "DE"), categories):
        _open(page, dashboard)
        _choose(page, "Period", "Last 7 days")
        _choose(page, "Categories", category)
        if country:
            _choose(page, "Countries", country)
        settled(page)
        change = page.locator("[data-testid=stMetricDelta]")
        falls = change.inner_text().strip().startswith(("-", "−"))
        assert change.locator("[data-testid=stMetricDeltaIcon-Down]").count() == falls, change.inner_text()
        seen.add(falls)
        if seen == {True, False}:
            break
    screen(page, "dashboard-change")
    assert True in seen, "no category fell, so nothing was shown"


_CUT = """() => {
  const cut = [];
  for (const box of document.querySelectorAll('.hw-scroll')) {
    const seen = box.getBoundingClientRect();
    for (const cell of box.querySelectorAll('th, td')) {
      const place = cell.getBoundingClientRect();
      if (place.width && (place.right > seen.right + 1 || cell.scrollWidth > cell.clientWidth + 1))
        cut.push(`${box.querySelector('table').id}: ${cell.textContent}`);
      if (place.width && cell.tagName === 'TD' && place.height > 60)
        cut.push(`${box.querySelector('table').id}: ${cell.textContent} is broken over lines`);
    }
  }
  for (const value of document.querySelectorAll('[data-testid=stMetricValue] *'))
    if (value.scrollWidth > value.clientWidth + 1 && getComputedStyle(value).overflow !== 'visible')
      cut.push(`figure: ${value.textContent}`);
  if (document.documentElement.scrollWidth > innerWidth) cut.push('the page scrolls sideways');
  return cut;
}"""
"""What of the tables and figures lies outside of what a reader sees without scrolling sideways."""

_BARS = """() => {
  const chart = document.querySelector('[data-testid=stVegaLiteChart]');
  return [...chart.querySelectorAll('path[aria-roledescription=bar]')]
    .filter(bar => bar.getBoundingClientRect().width >= 1).length;
}"""
"""So many bars of the first chart are a pixel wide at least."""
