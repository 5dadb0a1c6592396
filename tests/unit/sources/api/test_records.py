"""Bodies taken apart: exact bytes, the envelope's fields, and what is damaged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks.errors import PageUnreadable
from headworks.sources.api.paths import find, parts, placed
from headworks.sources.api.records import Envelope, FieldReader, outline, split

ITEMS = Envelope("data.items", ("meta.total", '"@next.link"'), ("error", "errors"))

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(records=st.lists(values, max_size=6), indent=st.sampled_from([None, 1, 4]), total=st.integers(0, 99))
def test_each_record_is_the_bytes_that_it_was(records: list[object], indent: int | None, total: int) -> None:
    written = [json.dumps(record, indent=indent).encode() for record in records]
    body = b'{"data" : {"items": [' + b" , ".join(written) + b']},\n "meta": {"total": %d}}' % total
    taken = split(body, ITEMS)
    assert taken.records == written
    assert taken.fields["meta.total"] == total


@given(
    records=st.lists(values, min_size=1, max_size=4),
    spoilt=st.sampled_from(["NaN", "-Infinity", "01", "tru"]),
)
def test_one_malformed_record_costs_no_other(records: list[object], spoilt: str) -> None:
    written = [json.dumps(record).encode() for record in records]
    written.insert(1, b'{"id": ' + spoilt.encode() + b', "text": "a ] , } \\" b"}')
    body = b'{"data":{"items":[' + b", ".join(written) + b']},"meta":{"total":3}}'
    taken = split(body, ITEMS)
    assert taken.records == written
    assert taken.fields["meta.total"] == 3


@pytest.mark.parametrize(
    ("path", "body", "records"),
    [
        ("", b'[1, 2.50, "x", null]', [b"1", b"2.50", b'"x"', b"null"]),
        ("data", b'\xef\xbb\xbf{"data":[1]}', [b"1"]),
        (
            "edges[].node",
            b'{"edges":[{"node":{"a": 1}},{"node":null},{"nod":2}]}',
            [b'{"a": 1}', b"null", b'{"nod":2}'],
        ),
        ("a[].b[]", b'{"a":[{"b":[1,2]},{"b":[3]}]}', [b"1", b"2", b"3"]),
        (
            "rates{}",
            b'{"rates":{"EUR":1.10,"USD":{"x":2}}}',
            [b'{"_key":"EUR","_value":1.10}', b'{"_key":"USD","x":2}'],
        ),
        ('"@odata.value"', b'{"@odata.value":[1]}', [b"1"]),
        ("data", b'{"data":[{"a":1},]}', [b'{"a":1}']),
        ("data", b'{"data":[{"a":"\\ud800"}]}', [b'{"a":"\\ud800"}']),
        ("data", b'{"data":[{"a":"\xff"}]}', [b'{"a":"\xff"}']),
    ],
)
def test_records_lie_at_any_path(path: str, body: bytes, records: list[bytes]) -> None:
    assert split(body, Envelope(path)).records == records


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (b"<html>", "not JSON"),
        (b"null", "not JSON"),
        (b"[]", "an array"),
        (b'{"data":{"items":[{"id":1},{"id', "truncated"),
        (b'{"data":{"items":[{"id":"x]}}', "truncated"),
        (b'{"data":{"items":[]},"error":"busy"}', "error says busy"),
        (b'{"data":{"items":[]},"errors":[{"message":"no"}]}', "errors says"),
        (b'{"data":{"items":[]}} trailing', "follows"),
    ],
)
def test_what_is_no_page_is_damaged_and_says_why(body: bytes, why: str) -> None:
    with pytest.raises(PageUnreadable, match=why):
        split(body, ITEMS)


@pytest.mark.parametrize(
    ("body", "vacant", "absent"),
    [
        (b'{"data":null}', "data is null", False),
        (b'{"data":[]}', r"data is \[\]", False),
        (b'{"data":{"items":null}}', "items is null", False),
        (b'{"data":{"items": { } }}', "items is {}", False),
        (b'{"data":{"items":false}}', "items is false", False),
        (b'{"data":{}}', "no data.items", True),
        (b'{"total":0}', "there is no data", True),
    ],
)
def test_what_is_in_the_place_of_records_that_are_not_there_is_said(
    body: bytes, vacant: str, absent: bool
) -> None:
    found = split(body, ITEMS)
    assert found.records == []
    assert re.search(vacant, found.vacant)
    assert found.absent is absent


def test_one_element_without_records_of_its_own_costs_no_other_its_records() -> None:
    body = b'{"a":[{"b":[1]},{"b":null},{},{"b":[2,3]}]}'
    assert split(body, Envelope("a[].b[]")).records == [b"1", b"2", b"3"]
    assert split(b'{"a":[{"c":[1]},{}]}', Envelope("a[].b[]")).absent


def test_fields_that_are_null_and_fields_that_are_not_there_are_told_apart() -> None:
    envelope = Envelope("data", ("next", "page.next", "links.0.href"))
    assert split(b'{"data":[],"next":null,"page":null}', envelope).fields == {"next": None, "page.next": None}
    assert split(b'{"data":[],"links":[{"href":"x"}]}', envelope).fields == {"links.0.href": "x"}


def test_empty_errors_are_no_error() -> None:
    assert split(b'{"data":{"items":[1]},"error":"","errors":[]}', ITEMS).records == [b"1"]


def test_an_object_is_the_one_record_where_one_page_is_all_there_is() -> None:
    assert split(b' {"id": 1} ', Envelope("", lone=True)).records == [b'{"id": 1}']
    with pytest.raises(PageUnreadable):
        split(b'{"id": 1}', Envelope(""))


def test_fields_of_records_are_read_raw_and_absent_ones_are_none() -> None:
    reader = FieldReader(("id", "at.day"))
    records = [b'{"id":1.0,"at":{"day":"x"}}', b'{"id":null}', b"3"]
    assert reader.read(records) == [(b"1.0", b'"x"'), (b"null", None), (None, None)]
    assert FieldReader(("id",)).read([b'{"id":12345678901234567890123}']) == [(b"12345678901234567890123",)]


@given(names=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4))
def test_any_name_can_be_written_in_a_path(names: list[str]) -> None:
    path = ".".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    assert list(parts(path)) == names
    assert find(placed({}, path, 7), path) == 7


@pytest.mark.parametrize("path", ["a.", ".a", "a..b", "a[0]", '"a', "a[]b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|dot"):
        parts(path)


ODD = {
    "a byte that is no UTF-8": b'{"id": 2, "a": "caf\xe9"}',
    "NaN": b'{"id": 2, "a": NaN}',
    "a bad escape": b'{"id": 2, "a": "\\x"}',
    "a lone surrogate": b'{"id": 2, "a": "\\ud800"}',
    "a great number": b'{"id": 2, "a": ' + b"9" * 400 + b"}",
    "a thousand levels": b'{"id": 2, "a": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "a trailing comma": b'{"id": 2, "a": 1,}',
}
"""Records that are odd, or that nobody can read."""
AROUND = {
    "rows": (b'{"rows": [%b], "next": "t", "more": true}', "next", "more"),
    "data.rows": (
        b'{"data": {"rows": [%b], "page": {"next": "t", "more": true}}}',
        "data.page.next",
        "data.page.more",
    ),
    "data.edges[].node": (
        b'{"data": {"edges": [{"node": %b}], "info": {"next": "t", "more": true}}}',
        "data.info.next",
        "data.info.more",
    ),
    "a.b.c": (b'{"a": {"b": {"c": [%b], "d": {"next": "t", "more": true}}}}', "a.b.d.next", "a.b.d.more"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("path", AROUND)
def test_a_record_that_is_odd_hides_no_field_alongside_it(path: str, odd: str) -> None:
    body, following, more = AROUND[path]
    found = split(body % ODD[odd], Envelope(path, (following, more)))
    assert found.fields == {following: "t", more: True}
    assert len(found.records) == 1
    seen: Any = outline(body % ODD[odd])
    for step in following.split("."):
        seen = seen[step]
    assert seen == "t"
