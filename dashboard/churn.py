"""The page of the churn product: who is at risk and why, and how good the model is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl
import streamlit as st

from crm.project import CHURN
from dashboard.banner import Advice
from dashboard.page import STYLE, advice_html, table_html
from dashboard.reading import find_lake
from headworks.errors import HeadworksError
from headworks.gold.products import ProductVersion, read_product, scan_product
from headworks.storage.store import Lake

LAKE = os.environ.get("HEADWORKS_DASHBOARD_LAKE", "lake")
_SHOWN = 50
_REASONS_WRAP = """
<style>
#at-risk td:nth-child(4) {white-space: normal}
@media (max-width: 640px) {
  #at-risk td:nth-child(4), #promoted td:nth-child(n+3) {grid-column: 1 / -1; text-align: right}
}
</style>
"""


def main() -> None:
    """Show the page, or what keeps it from being shown."""
    st.set_page_config(page_title="Churn", page_icon="💧", layout="wide")
    st.html(STYLE + _REASONS_WRAP)
    st.title("Who is likely to cancel", anchor=False)
    try:
        lake = find_lake(LAKE)
        version = read_product(lake, CHURN.name)
        if version is None:
            st.html(
                advice_html(
                    Advice("Nothing is published yet", "No model was promoted.", "Run: make demo-churn.")
                )
            )
        else:
            show(lake, version)
    except HeadworksError as problem:
        where = f" ({problem.where})" if problem.where else ""
        st.html(advice_html(Advice("The data cannot be read", f"{problem.what}{where}", problem.do)))


def show(lake: Lake, version: ProductVersion) -> None:
    """Show one publication from top to bottom."""
    (model,) = CHURN.models
    tables = scan_product(lake, version)
    scores = tables[model.scores].collect().sort("rank")
    champions = tables[model.champions].collect().sort("sequence")
    champion = champions.row(-1, named=True)
    measured = json.loads(champion["measured"])["measured"]
    if version.held is not None:
        st.warning(f"Held at publication {version.sequence}: {version.held}")
    st.caption(
        f"Publication {version.sequence} of {version.published_at:%Y-%m-%d %H:%M} UTC by run {version.run_id}; as of "
        f"{scores['cut'][0]:%Y-%m-%d %H:%M} UTC. {model.about}"
    )
    shown = st.columns(5)
    shown[0].metric("Customers", f"{scores.height:,}")
    shown[1].metric("Expected to cancel", f"{scores['score'].sum():.0f}")
    shown[2].metric(f"Champion {champion['sequence']}: {champion['metric']}", f"{champion['value']:.3f}")
    shown[3].metric("Lift of the highest tenth", f"{champion['lift']:.1f} ×")
    shown[4].metric("Calibration error", f"{champion['calibration_error']:.3f}")
    st.subheader("At risk, and why", anchor=False)
    st.html(_table("at-risk", risk_rows(scores.head(_SHOWN))))
    left, right = st.columns(2)
    with left:
        st.subheader("Predicted and happened", anchor=False)
        st.altair_chart(calibration_chart(measured["calibration"]), width="stretch")
    with right:
        st.subheader("Lift", anchor=False)
        st.altair_chart(lift_chart(measured.get("lift_curve", ())), width="stretch")
    st.subheader("Segments", anchor=False)
    st.html(_table("by-segment", segment_rows(measured["segments"], champion["metric"])))
    st.subheader("Champions", anchor=False)
    st.altair_chart(champions_chart(champions), width="stretch")
    st.html(_table("promoted", champion_history(champions)))
    with st.expander("Model card"):
        st.markdown(champion["card"])


def _table(name: str, rows: pl.DataFrame) -> str:
    texts = [[str(value) for value in row] for row in rows.iter_rows()]
    return table_html(name, rows.columns, texts, texts=len(rows.columns))


def risk_rows(scores: pl.DataFrame) -> pl.DataFrame:
    """Return scores as people read them: the chance, and what raises it most."""
    rows = [
        {
            "rank": row["rank"],
            "customer": row["contact_id"],
            "chance to cancel": f"{row['score']:.1%}",
            "why": "; ".join(reason_text(reason) for reason in json.loads(row["reasons"]))
            or "nothing in particular",
            **{name: json.loads(row["features"])[name] for name in ("plan", "country")},
        }
        for row in scores.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def reason_text(reason: dict[str, Any]) -> str:
    """Return a reason in words: the feature, its value, and what is typical."""
    return f"{reason['feature'].replace('_', ' ')} {_number(reason['value'])} (typical {_number(reason['typical'])})"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def calibration_chart(bins: list[dict[str, float]]) -> alt.LayerChart | alt.FacetChart:
    """Return what was predicted and what happened in each tenth of the rows."""
    rows = pl.DataFrame(bins)
    most = max(rows["predicted"].max() or 0, rows["happened"].max() or 0)
    points = (
        alt.Chart(rows)
        .mark_circle(size=80)
        .encode(
            x=alt.X("predicted:Q", axis=alt.Axis(format="%"), title="predicted"),
            y=alt.Y("happened:Q", axis=alt.Axis(format="%"), title="happened"),
            tooltip=["rows", alt.Tooltip("predicted", format=".1%"), alt.Tooltip("happened", format=".1%")],
        )
    )
    same = pl.DataFrame({"predicted": [0.0, most], "happened": [0.0, most]})
    line = alt.Chart(same).mark_line(strokeDash=[4, 4], color="gray").encode(x="predicted:Q", y="happened:Q")
    return alt.layer(line, points)


def lift_chart(curve: Sequence[Mapping[str, float]]) -> alt.LayerChart | alt.FacetChart:
    """Return how much more often those with the highest scores cancel, by how many of them are taken."""
    rows = pl.DataFrame(
        list(curve), schema={"share": pl.Float64(), "lift": pl.Float64(), "found": pl.Float64()}
    )
    shares = alt.X("share:Q", axis=alt.Axis(format="%"), title="customers, highest scores first")
    line = (
        alt.Chart(rows)
        .mark_line(point=True)
        .encode(
            x=shares,
            y=alt.Y("lift:Q", title="lift", scale=alt.Scale(domainMin=0)),
            tooltip=[
                alt.Tooltip("share", format=".0%"),
                alt.Tooltip("lift", format=".2f"),
                alt.Tooltip("found", format=".0%", title="of all who cancel"),
            ],
        )
    )
    chance = (
        alt.Chart(pl.DataFrame({"lift": [1.0]})).mark_rule(strokeDash=[4, 4], color="gray").encode(y="lift:Q")
    )
    return alt.layer(chance, line)


def segment_rows(segments: Sequence[Mapping[str, Any]], metric: str) -> pl.DataFrame:
    """Return segments as people read them."""
    return pl.DataFrame(
        [
            {
                "segment": one["segment"],
                "rows": one["rows"],
                "cancelled": one["positives"],
                metric: "not known" if one["value"] is None else f"{one['value']:.3f}",
                "predicted": f"{one['predicted']:.1%}",
                "happened": f"{one['happened']:.1%}",
            }
            for one in segments
        ]
    )


def champion_history(champions: pl.DataFrame) -> pl.DataFrame:
    """Return the champions as people read them, the newest first."""
    return pl.DataFrame(
        [
            {
                "champion": row["sequence"],
                "promoted": f"{row['promoted_at']:%Y-%m-%d}",
                row["metric"]: f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
                "lift": f"{row['lift']:.1f} ×",
                "learned from": f"{row['rows']:,} rows up to {row['last_cut']:%Y-%m-%d}",
            }
            for row in champions.sort("sequence", descending=True).iter_rows(named=True)
        ]
    )


def champions_chart(champions: pl.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """Return how good each champion was when it was promoted, with its interval."""
    rows = champions.select("sequence", "value", "low", "high", "promoted_at")
    base = alt.Chart(rows).encode(x=alt.X("sequence:O", title="champion", axis=alt.Axis(labelAngle=0)))
    scale = alt.Scale(zero=False)
    band = base.mark_rule().encode(y=alt.Y("low:Q", scale=scale, title="metric"), y2="high:Q")
    points = base.mark_circle(size=80).encode(
        y=alt.Y("value:Q", scale=scale), tooltip=["sequence", "promoted_at", "value"]
    )
    return alt.layer(band, points)


if __name__ == "__main__":
    main()
