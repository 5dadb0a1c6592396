"""Texts that came with data do nothing in whatever they are shown: each hostile text through each output."""

from __future__ import annotations

import ast
import csv
import email
import html
import io
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dashboard.banner import Advice
from dashboard.page import advice_html, table_html
from dashboard.view import as_csv
from headworks.ops.account import account_markdown, account_text
from headworks.ops.alerts import Alert, Rejected
from headworks.ops.channels import Mail
from headworks.ops.escaping import (
    JOINER,
    chat,
    look_alike,
    markdown,
    one_line,
    printable,
    spreadsheet,
    table_cells,
)
from headworks.ops.recorder import Recorder
from headworks.reports import CheckReport, GateReport, LandingReport, RefineReport, RunReport, TableRef
from tests.support.hostile_texts import HOSTILE, MARK
from tests.support.pools import CHECKOUT

_MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
_DOES_SOMETHING = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal or a mail program obeys; the line break is ours."""

texts = pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
any_text = st.text(max_size=30) | st.sampled_from(HOSTILE)


def report(text: str) -> RunReport:
    """Make a report that has the text wherever data may bring one."""
    record = Recorder("run-1", "sales", "incremental", f"/lake/{text}", clock=lambda: _MOMENT)
    record.landings.append(
        LandingReport(
            dataset=text, stream=text, table=TableRef(table="bronze.t", version=1), warnings=(text,)
        )
    )
    record.refinements.append(
        RefineReport(dataset=text, table=TableRef(table="silver.t", version=1), rejected=1, reasons={text: 1})
    )
    check = CheckReport(scope=text, name=text, kind="anomaly", outcome="failed", detail=text)
    record.gate(GateReport(scope=text, open=False, checks=(check,), reasons=(text,)))
    record.links["run"] = "http://127.0.0.1:4200/runs/flow-run/1"
    record.links["other"] = text
    return record.report("gate closed", text)


def alert(text: str) -> Alert:
    example = Rejected(text, (text,), text).shown()
    return Alert(
        incident=text,
        kind="gate closed",
        title=text,
        details=(text,),
        examples=(example,),
        do=text,
        link=text,
    )


def rendered(source: str) -> set[str]:
    """Return the tags and attributes that Markdown makes of a source, with HTML and tables on."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return tags(renderer.render(source))


def tags(page: str) -> set[str]:
    """Return the tags and attributes of a page of HTML."""
    found: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.update({tag, *(f"{tag} {name}={value}" for name, value in attrs)})

    parser = Tags()
    parser.feed(page)
    return found


@texts
def test_an_artifact_shows_it_and_makes_nothing_of_it(text: str) -> None:
    """The page of a harmless text and of this one have the same elements."""
    page = account_markdown(report(text))
    # A long text makes a list in the place of a table.
    assert rendered(page) == rendered(account_markdown(report("harmless".ljust(len(text), "x"))))
    assert MARK in page
    # Prefect's second UI makes links of what it finds in a text after entities and escapes are read.
    found = html.unescape(page.replace("http://127.0.0.1:4200/runs/flow-run/1", ""))
    assert not re.search(r"(?i)(?:https?|ftp)://|www\.|@[\w.-]", found)
    assert "://phish" not in page
    assert "://tracker" not in page


@given(any_text)
def test_any_text_in_markdown_is_read_back_with_signs_that_look_alike(text: str) -> None:
    """In a table's cell and in a paragraph; but for the bar no sign is written that only a renderer takes away."""
    for source in (f"| a | b |\n|---|---|\n| {markdown(text)} | end |", f"begin\n\n{markdown(text)}\n\nend"):
        assert rendered(source) <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
        # Backslashes and entities read as CommonMark has them, and as one of Prefect's UIs shows them: as they are.
        page = MarkdownIt("commonmark").enable("table").render(source)
        for read in (html.unescape(re.sub(r"<[^>]*>", " ", page)), source.replace("\\|", "|")):
            seen = " ".join(read.replace(JOINER, "").split())
            assert " ".join(look_alike(text).split()) in seen


@texts
def test_a_table_artifact_makes_nothing_of_it_and_shows_no_entity(text: str) -> None:
    """Prefect's first UI reads cells as Markdown, its second shows them as they are."""
    (row,) = table_cells([{"message": text, "rows": 7, "none": None}])
    assert (row["rows"], row["none"]) == (7, None)
    assert not {tag.split()[0] for tag in rendered(row["message"])} & {"a", "img", "script"}
    # What makes a link of every address finds none.
    assert not re.search(r"://|www\.(?!\u2060)", row["message"])
    assert "&#" not in row["message"]
    assert MARK in row["message"]


def test_every_table_artifact_is_made_of_such_cells() -> None:
    calls = [
        (path.name, node)
        for folder in ("src/headworks/prefect", "tasks", "flows")
        for path in (CHECKOUT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "create_table_artifact"
    ]
    assert len(calls) >= 3
    for name, call in calls:
        assert isinstance(call.args[0], ast.Call), name
        assert getattr(call.args[0].func, "id", "") == "table_cells", name


@texts
def test_a_terminal_obeys_nothing_of_it(text: str) -> None:
    for shown in (account_text(report(text)), alert(text).text(), one_line(text), printable(text)):
        assert not _DOES_SOMETHING.search(shown)
        assert MARK in shown
    assert "\n" not in one_line(text)


@texts
def test_a_chat_shows_it_in_a_block_that_it_cannot_leave(text: str) -> None:
    sent = chat(alert(text).title, alert(text).body(), "http://127.0.0.1:4200/runs/1")
    assert sent.count("```") == 2
    assert sent.startswith("```\n")
    inside = sent.split("```")[1]
    assert "`" not in inside
    for text_of_slack in (sent, chat("title", "", text)):
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text_of_slack)


@texts
def test_a_mail_has_its_own_headers_and_one_line_for_each_thing(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(Mail, "_deliver", lambda self, message: sent.append(message.as_bytes()))
    Mail(host="h", sender="a@example.com", recipients=("b@example.com",)).send(alert(text))
    message = email.message_from_bytes(sent[0], policy=email.policy.default)
    assert set(message.keys()) == {
        "From",
        "To",
        "Subject",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    assert message["To"] == "b@example.com"
    lines = message.get_content().splitlines()
    assert len([line for line in lines if line.startswith("What to do: ")]) == 1
    assert len(lines) == 6


@texts
def test_a_sheet_computes_nothing_and_numbers_stay_numbers(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()  # no frame holds half a character
    rows = pl.DataFrame({"day": [date(2026, 1, 5)], "country": [text], "category": [text], "units": [-3]})
    rows = rows.with_columns(pl.lit(Decimal("-1.50")).alias("revenue_eur"))
    (written,) = csv.DictReader(io.StringIO(as_csv(rows)))
    assert (written["units"], written["revenue_eur"]) == ("-3", "-1.50")
    for cell in (written["country"], written["category"]):
        assert unicodedata.normalize("NFKC", cell.strip())[:1] not in {"=", "+", "-", "@", ""}
        assert cell[:1] not in {"\t", "\r", "\n"}


def test_a_columns_own_name_is_no_formula_either() -> None:
    assert spreadsheet(pl.DataFrame({"=1+1": ["a"]})).write_csv().startswith("'=1+1")


@texts
def test_the_dashboard_shows_it_as_text(text: str) -> None:
    def page(shown: str) -> str:
        return table_html("t", (shown,), ((shown, shown),)) + advice_html(
            Advice(shown, shown, shown, (shown,))
        )

    assert tags(page(text)) == tags(page("harmless"))


def test_an_example_names_dataset_rule_and_field_and_no_value() -> None:
    record = '{"email": "ada@example.com", "born": "1815-12-10", "ada@example.com": 1, "tags": ["Ada"]}'
    shown = Rejected("shop.customers", ("email_form",), record).shown()
    assert shown.startswith(
        'shop.customers, email_form: {"email": "xxx@xxxxxxx.xxx", "born": "9999-99-99", "xxx@xxxxxxx.xxx": 9'
    )
    assert "ada" not in shown.lower()
