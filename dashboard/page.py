"""Pieces of the page as HTML: the banner, advice, and plain tables. Every text is escaped. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dashboard.banner import Advice, Banner

_FIT_A_PHONE = 4
"""So many columns are read side by side on a phone."""

STYLE = """
<style>
.block-container {max-width: 1180px; padding-top: 2.2rem; padding-bottom: 4rem}
.hw-banner {display: flex; flex-wrap: wrap; gap: .75rem 2.5rem; align-items: flex-start; padding: .9rem 1.2rem;
  border: 1px solid rgba(128,128,128,.28); border-left: 5px solid var(--hw-tone); border-radius: .5rem;
  background: rgba(128,128,128,.06)}
.hw-good {--hw-tone: #3c9a5f} .hw-notice {--hw-tone: #d09a2a} .hw-bad {--hw-tone: #d0473c}
.hw-state {flex: 1 1 24rem; min-width: 18rem}
.hw-state b {font-size: 1.05rem} .hw-state p {margin: .15rem 0 0; opacity: .85; overflow-wrap: anywhere}
.hw-dot {display: inline-block; width: .62rem; height: .62rem; border-radius: 50%; margin-right: .5rem;
  background: var(--hw-tone)}
.hw-state ul {margin: .45rem 0 0; padding-left: 1.1rem; font-size: .92rem; overflow-wrap: anywhere}
.hw-facts {display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0}
.hw-facts dt {font-size: .78rem; opacity: .65} .hw-facts dd {margin: 0}
.hw-facts small {display: block; opacity: .65}
.hw-scroll {max-height: 44rem; overflow: auto}
.hw-table {width: 100%; border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums}
.hw-table th {text-align: left; font-weight: 600; font-size: .8rem; opacity: .65;
  border-bottom: 1px solid rgba(128,128,128,.45); padding: .3rem .6rem; white-space: nowrap}
.hw-table td {padding: .3rem .6rem; border-bottom: 1px solid rgba(128,128,128,.18); white-space: nowrap}
.hw-table .hw-right {text-align: right; white-space: nowrap}
.hw-table tfoot td {font-weight: 600; border-bottom: none}
@media (max-width: 1000px) {
  [data-testid=stMetricValue], [data-testid=stMetricValue] * {font-size: 1.4rem}
  .hw-table {font-size: .78rem} .hw-table th {font-size: .7rem}
  .hw-table th, .hw-table td {padding: .25rem .3rem}
}
@media (max-width: 640px) {
  .hw-state {min-width: 12rem}
  .hw-many thead {display: none}
  .hw-many tr {display: grid; grid-template-columns: 1fr 1fr; padding: .4rem 0;
    border-bottom: 1px solid rgba(128,128,128,.35)}
  .hw-many td, .hw-many .hw-right {display: flex; justify-content: space-between; gap: .6rem; border: none}
  .hw-many td::before {content: attr(data-name); opacity: .65}
}
</style>
"""


def banner_html(banner: Banner) -> str:
    """Return the banner: the gate's state with its reasons, and how fresh the data is."""
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(warning)}</small></dd></div>"
        for name, value, warning in banner.facts
    )
    state = _state(banner.title, banner.text, banner.reasons)
    return (
        f'<div class="hw-banner hw-{banner.tone}" id="banner">{state}<dl class="hw-facts">{facts}</dl></div>'
    )


def advice_html(advice: Advice) -> str:
    """Return what is said in place of numbers."""
    state = _state(advice.title, advice.text, advice.reasons)
    do = f'<div class="hw-state"><b>What to do</b><p>{escape(advice.do)}</p></div>' if advice.do else ""
    return f'<div class="hw-banner hw-notice" id="advice">{state}{do}</div>'


def table_html(
    name: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: int = 1,
    foot: Sequence[str] = (),
) -> str:
    """Return a table; its first ``texts`` columns are texts, those after them numbers, set to the right.

    On a phone a row of many columns becomes a block of names and values, or the last columns would be cut.
    """
    many = len(header) > _FIT_A_PHONE

    def marks(place: int, tag: str) -> str:
        name = f' data-name="{escape(header[place])}"' if many and tag == "td" else ""
        return name if place < texts else f"{name} class=hw-right"

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{marks(place, tag)}>{escape(cell)}</{tag}>" for place, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    end = f"<tfoot><tr>{line(foot, 'td')}</tr></tfoot>" if foot else ""
    head = f"<thead><tr>{line(header, 'th')}</tr></thead>"
    kind = "hw-table hw-many" if many else "hw-table"
    table = f'<table class="{kind}" id="{escape(name)}">{head}<tbody>{body}</tbody>{end}</table>'
    return f'<div class="hw-scroll">{table}</div>'


def _state(title: str, text: str, reasons: Sequence[str]) -> str:
    listed = f"<ul>{''.join(f'<li>{escape(reason)}</li>' for reason in reasons)}</ul>" if reasons else ""
    return (
        f'<div class="hw-state"><b><span class="hw-dot"></span>{escape(title)}</b>'
        f"<p>{escape(text)}</p>{listed}</div>"
    )
