"""Pages that are not plain JSON: what is cut short is damaged or doubted, what does not fit is refused alone."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from headworks.errors import HeadworksError, PageUnreadable
from headworks.sources.api.formats import MISFIT, UNENDED, Format
from headworks.sources.api.judging import Reply
from headworks.sources.api.records import Body, Envelope
from headworks.sources.api.resource import Resource
from tests.hostile.test_shapes import nothing, read, source
from tests.support.served import Answer, Answering, served

ROWS = [{"id": number, "name": f'a "b", {number}'} for number in range(1, 6)]
CSV = "id,name\n" + "".join(f'{row["id"]},"a ""b"", {row["id"]}"\n' for row in ROWS)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
XML = "<r>" + "".join(f"<e><id>{row['id']}</id></e>" for row in ROWS) + "</r>"
KINDS = {"csv": (CSV, ""), "ndjson": (LINES, ""), "xml": (XML, "r.e")}


def split(text: str | bytes, **described: Any) -> Body:
    resource = Resource.model_validate({"path": "/x", "pagination": {"kind": "single"}, **described})
    body = text if isinstance(text, bytes) else text.encode()
    form = Format(resource, Envelope(resource.records))
    return form.body(Reply(200, "OK", {}, body), body)[0]


def _giving(body: bytes, kind: str) -> Answering:
    return lambda _: Answer(body, headers={"Content-Type": kind})


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere_is_never_read_as_a_whole_one(kind: str) -> None:
    text, records = KINDS[kind]
    whole = split(text, format=kind, records=records)
    assert len(whole.records) == len(ROWS)
    assert not whole.doubt
    for end in range(len(text)):
        try:
            found = split(text[:end], format=kind, records=records)
        except PageUnreadable:
            continue
        # Between two lines nothing of the file itself says so: that is seen by HTTP, or by an announced number.
        between = text[:end].endswith("\n") or end == 0
        # A line of JSON without its end is whole all the same.
        assert between or found.doubt == UNENDED or (kind == "ndjson" and text[end] == "\n"), text[:end][-20:]


def test_a_row_that_does_not_fit_its_header_is_refused_alone() -> None:
    found = split("a,b\n1,2\n3\n4,5,6\n7,8\n", format="csv")
    assert [json.loads(record) for record in found.records] == [
        {"a": "1", "b": "2"},
        ["3"],
        ["4", "5", "6"],
        {"a": "7", "b": "8"},
    ]
    assert dict(found.faults) == {1: MISFIT, 2: MISFIT}
    more = split(b'{"v": [["a"], [1], [1, 2], []]}', records="v", header_row=True)
    assert [bytes(record) for record in more.records] == [b'{"a":1}', b"[1, 2]", b"{}"]
    assert dict(more.faults) == {1: MISFIT}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"error": "no such export"}', "csv"),
        ('{"error": "no such export", "message": "no"}\n', "ndjson"),
        ("<html><body>Sign in</body></html>", "csv"),
        ("", "csv"),
        ("a,a\n1,2\n", "csv"),
        ('<!DOCTYPE r [<!ENTITY x "lol">]><r><e><id>&x;</id></e></r>', "xml"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><e><id>&x;</id></e></r>', "xml"),
    ],
)
def test_what_is_no_page_of_the_kind_is_an_error_and_not_an_empty_page(text: str, kind: str) -> None:
    with served(lambda _: Answer(text.encode(), headers={"Content-Type": "text/plain"})) as api:
        records = "r.e" if kind == "xml" else ""
        described = {
            "path": "/x",
            "format": kind,
            "records": records,
            "key": [],
            "pagination": {"kind": "single"},
        }
        with pytest.raises(HeadworksError):
            read(source(api.url, described), nothing())


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_file_that_is_cut_is_damaged(kind: str) -> None:
    text, records = KINDS[kind]
    packed = gzip.compress(text.encode())
    described = {
        "path": "/x",
        "format": kind,
        "records": records,
        "pagination": {"kind": "single", "whole": True},
    }
    for body, complete in ((packed, True), (packed[:-9], False)):
        with served(_giving(body, "application/gzip")) as api:
            if complete:
                came = read(source(api.url, described), nothing())
                assert (len(came.records), came.shown) == (len(ROWS), True)
            else:
                with pytest.raises(PageUnreadable):
                    read(source(api.url, described), nothing())


def test_one_element_of_xml_is_one_record_and_none_is_none() -> None:
    for count in (0, 1, 2):
        entries = "".join(f"<e a='1'>{number}</e>" for number in range(count))
        found = split(f"<r><n>{count}</n>{entries}</r>", format="xml", records="r.e")
        assert [json.loads(one) for one in found.records] == [
            {"@a": "1", "#text": str(n)} for n in range(count)
        ]


def test_an_array_that_is_described_and_never_there_is_reported() -> None:
    described = {
        "path": "/x",
        "records": "a",
        "arrays": ["b"],
        "pagination": {"kind": "single", "whole": True},
    }
    for body, shown in (
        (b'{"a": [{"id": 1}], "b": []}', True),
        (b'{"a": [{"id": 1}], "c": [{"id": 2}]}', False),
    ):
        with served(_giving(body, "application/json")) as api:
            assert read(source(api.url, described), nothing()).shown is shown
