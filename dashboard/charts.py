"""How the dashboard's charts are drawn, from frames that ``view.drawn`` made. Pure functions.

Colours and the grid come from the theme, so they suit light and dark.
"""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from dashboard import view

_DAYS_HEIGHT, _BAR_STEP = 260, 26
_LABEL_PX = 110
"""So much of a narrow page the names of bars may take; without a bound nothing is left for the bars."""
_AVERAGED_DAYS = 7
_APART_UP_TO = 120
"""So many days have a gap between their bars. Streamlit's own of 4 px leaves nothing of a bar on a phone."""
_SHOWN = alt.Tooltip("shown:N", title="Revenue")
_UNITS = alt.Tooltip("units:Q", title="Units", format=",")
_DAY = alt.Tooltip("day:T", title="Day", format="%a %-d %b %Y")
_PER_DAY = alt.Y("length:Q", title="Revenue (EUR per day)", axis=alt.Axis(format="~s", tickCount=5))
_ON_DAYS = alt.X(
    "yearmonthdate(day):T", title="Day", axis=alt.Axis(format="%-d %b", tickCount=10, grid=False)
)
# A grey that reads on light and on dark.
_GREY = "#7b8089"

Split = Literal["country", "category"]
Layers = alt.LayerChart | alt.FacetChart
"""What Altair says that its own layers are."""


def days(by_day: pl.DataFrame) -> Layers:
    """Draw revenue per day as bars, with its mean over the seven days up to each as a line."""
    base = alt.Chart(view.drawn(by_day)).encode(x=_ON_DAYS)
    bars = base.mark_bar(opacity=0.85, binSpacing=_gap(by_day.height)).encode(
        y=_PER_DAY, tooltip=[_DAY, _SHOWN, _UNITS]
    )
    mean = (
        base.transform_window(mean="mean(length)", frame=[1 - _AVERAGED_DAYS, 0], sort=[{"field": "day"}])
        .mark_line(color=_GREY, strokeWidth=2, interpolate="monotone")
        .encode(y=alt.Y("mean:Q"))
    )
    return alt.layer(bars, mean).properties(height=_DAYS_HEIGHT)


def _gap(number: int) -> int:
    """Return how many pixels lie between the bars of so many days."""
    return 1 if number <= _APART_UP_TO else 0


def days_split(by_day_and: pl.DataFrame, split: Split, order: list[str]) -> alt.Chart:
    """Draw revenue per day as bars stacked by country or category, the biggest at the bottom."""
    ranks = pl.DataFrame({split: order, "rank": list(range(len(order)))}, schema_overrides={split: pl.String})
    rows = view.drawn(by_day_and).join(ranks, on=split)
    drawn: alt.Chart = (
        alt.Chart(rows)
        .mark_bar(binSpacing=_gap(rows.get_column("day").n_unique()))
        .encode(
            x=_ON_DAYS,
            y=_PER_DAY,
            color=alt.Color(f"{split}:N", sort=order, title=split.capitalize()),
            order=alt.Order("rank:Q"),
            tooltip=[_DAY, alt.Tooltip(f"{split}:N", title=split.capitalize()), _SHOWN, _UNITS],
        )
        .properties(height=_DAYS_HEIGHT)
    )
    return drawn


def bars(sums: pl.DataFrame, dimension: Split) -> Layers:
    """Draw revenue by country or category as bars, the biggest on top, each with its exact amount."""
    rows = view.drawn(sums)
    longest = float(rows.get_column("length").max() or 0)  # type: ignore[arg-type]
    base = alt.Chart(rows).encode(
        y=alt.Y(
            f"{dimension}:N",
            sort=None,
            title=None,
            axis=alt.Axis(ticks=False, domain=False, labelLimit=_LABEL_PX),
        ),
        x=alt.X(
            "length:Q",
            title="Revenue (EUR)",
            scale=alt.Scale(domain=[0, view.with_room(longest)], nice=False),
            axis=alt.Axis(format="~s", tickCount=4, grid=False),
        ),
        tooltip=[alt.Tooltip(f"{dimension}:N", title=dimension.capitalize()), _SHOWN, _UNITS],
    )
    texts = base.mark_text(align="left", dx=5, color=_GREY, fontSize=12).encode(text="shown:N")
    return alt.layer(base.mark_bar(opacity=0.85), texts).properties(height=alt.Step(_BAR_STEP))
