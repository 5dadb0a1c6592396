"""The page: ``streamlit run dashboard/app.py``. It asks for choices and shows; what is shown is decided elsewhere."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta

import polars as pl
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import charts, tables, view
from dashboard.banner import Advice, banner, nothing_published
from dashboard.page import STYLE, advice_html, banner_html, table_html
from dashboard.reading import News, Sales, find_lake, read_news, read_sales
from headworks.errors import HeadworksError
from headworks.gold.products import ProductVersion
from headworks.storage.store import Lake

LAKE = os.environ.get("HEADWORKS_DASHBOARD_LAKE", "lake")
_LOOK_AGAIN_S = 30
_TOP = 15
_PERIODS = {"Everything": None, "Last 30 days": 30, "Last 7 days": 7, "From … to …": 0}
_SPLITS: dict[str, charts.Split] = {"By country": "country", "By category": "category"}


def main() -> None:
    """Show the page, or what keeps it from being shown."""
    st.set_page_config(page_title="Sales", page_icon="💧", layout="wide")
    st.html(STYLE)
    st.title("Sales", anchor=False)
    try:
        lake = lake_of(LAKE)
        news = read_news(lake)
        if news.product is None:
            st.html(advice_html(nothing_published(news.run, lake.settings.root)))
        else:
            show(lake, news.product)
    except HeadworksError as problem:
        where = f" ({problem.where})" if problem.where else ""
        do = f"{problem.do[:1].upper()}{problem.do[1:]}"
        st.html(advice_html(Advice("The data cannot be read", f"{problem.what}{where}", do)))


@st.cache_resource(ttl=timedelta(minutes=5), show_spinner=False)
def lake_of(block: str) -> Lake:
    """Return the lake of a block, which is looked up on the Prefect server, not at every click."""
    return find_lake(block)


@st.cache_data(max_entries=4, show_spinner=False)
def sales_of(_lake: Lake, lake_id: str, sequence: int, _product: ProductVersion) -> Sales:
    """Return the tables of a publication; a publication never changes, so they are read once."""
    return read_sales(_lake, _product)


def show(lake: Lake, product: ProductVersion) -> None:
    """Show one publication from top to bottom."""
    sales = sales_of(lake, product.lake_id, product.sequence, product)
    offer = view.offer(sales.daily)
    state(lake, product.sequence, offer.last if offer else None)
    if offer is None:
        st.info("The publication holds no day with revenue.")
        return
    choice = choose(offer)
    rows = view.chosen(sales.daily, choice)
    show_figures(view.figures(sales.daily, choice))
    if rows.is_empty():
        st.info(
            "Nothing was sold in what is chosen. Choose a longer period, or more countries or categories."
        )
    else:
        show_days(rows, choice)
        show_places(rows)
        show_numbers(rows, choice)
    show_customers(sales, choice)


@st.fragment(run_every=_LOOK_AGAIN_S)
def state(lake: Lake, sequence: int, newest_day: date | None) -> None:
    """Show the banner, and look again now and then: a new publication shows itself."""
    news: News = read_news(lake)
    if news.product is None or news.product.sequence != sequence:
        st.rerun(scope="app")
    st.html(banner_html(banner(news.product, newest_day, news.run, datetime.now(UTC))))


def choose(offer: view.Offer) -> view.Choice:
    """Ask for the period, the countries and the categories."""
    columns = st.columns([1, 1.3, 1.7])
    name = columns[0].selectbox("Period", list(_PERIODS))
    countries = columns[1].multiselect("Countries", offer.countries, placeholder="All countries")
    categories = columns[2].multiselect("Categories", offer.categories, placeholder="All categories")
    length = _PERIODS[name]
    first, last = offer.first, offer.last
    if length:
        first = max(first, last - timedelta(days=length - 1))
    elif length == 0:
        picked = columns[0].date_input("Days", (first, last), min_value=first, max_value=last)
        # While only the first day is picked, the period is that day.
        first, last = (picked[0], picked[-1]) if isinstance(picked, tuple) and picked else (first, last)
    return view.Choice(first, last, tuple(countries), tuple(categories))


def show_figures(figures: view.Figures) -> None:
    """Show the sums of what is chosen."""
    # Streamlit takes a change for a fall by a plain hyphen alone.
    change = view.percent(figures.change).replace("−", "-") if figures.change is not None else None
    columns = st.columns([1.3, 1.2, 1, 0.8])
    columns[0].metric("Revenue", view.money(figures.revenue), change and f"{change} on the period before")
    columns[1].metric("Revenue a day", view.money(figures.revenue_a_day))
    columns[2].metric("Units sold", view.number(figures.units))
    columns[3].metric("Days", view.number(figures.days))


def show_days(rows: pl.DataFrame, choice: view.Choice) -> None:
    """Show revenue by day."""
    # The control is away from the right edge, where the chart's own tools appear.
    left, middle, _ = st.columns([1, 1.3, 1], vertical_alignment="bottom")
    left.subheader("Revenue by day", anchor=False)
    split = middle.segmented_control(
        "Colours",
        ["Total", *_SPLITS],
        default="Total",
        label_visibility="collapsed",
        width="stretch",
    )
    dimension = _SPLITS.get(split or "")
    if dimension is not None:
        order = view.by(rows, dimension).get_column(dimension).to_list()
        st.altair_chart(charts.days_split(view.by(rows, "day", dimension), dimension, order))
    else:
        st.altair_chart(charts.days(view.by_day(rows, choice)))
        st.caption("Bars: revenue of the day. Line: mean of the seven days up to it.")


def show_places(rows: pl.DataFrame) -> None:
    """Show revenue by country and by category, side by side."""
    left, right = st.columns(2, gap="large")
    left.subheader("By country", anchor=False)
    left.altair_chart(charts.bars(view.by(rows, "country"), "country"))
    right.subheader("By category", anchor=False)
    right.altair_chart(charts.bars(view.by(rows, "category"), "category"))


def show_numbers(rows: pl.DataFrame, choice: view.Choice) -> None:
    """Show the numbers behind the charts, exact, and offer them as a file."""
    with st.expander("The numbers behind the charts"):
        left, right = st.columns(2, gap="large")
        show_table("by-country", tables.sums(view.by(rows, "country"), "country"), left)
        show_table("by-category", tables.sums(view.by(rows, "category"), "category"), left)
        show_table("by-day", tables.sums(view.by_day(rows, choice), "day"), right)
        st.download_button(
            "Download what is chosen as CSV",
            view.as_csv(rows),
            f"sales-daily-{choice.first}-{choice.last}.csv",
            "text/csv",
        )


def show_customers(sales: Sales, choice: view.Choice) -> None:
    """Show who bought most."""
    st.subheader("Top customers", anchor=False)
    st.caption("By revenue since their first order, in all categories. Follows the choice of countries only.")
    show_table("top-customers", tables.customers(view.top_customers(sales.customers, choice, _TOP)))


def show_table(name: str, table: tables.Table, place: DeltaGenerator | None = None) -> None:
    """Show a table as HTML, so that it can be read aloud, searched and copied."""
    html = table_html(name, table.header, table.rows, texts=table.texts, foot=table.foot)
    (place or st).html(html)


if __name__ == "__main__":
    main()
