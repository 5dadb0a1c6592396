"""What came already is recognised, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headworks.sources.api.fields import RecordFields
from headworks.sources.api.memory import MOST_KEYS, Held, Memory, digest
from headworks.sources.api.paginate import Single
from headworks.sources.api.resource import Incremental, Resource
from headworks.sources.api.values import Values, kept, moment_us, restored
from headworks.sources.api.watermark import Watermark

NOW = datetime(2026, 3, 5, 8, 0, tzinfo=UTC)


def test_a_row_that_went_back_to_what_it_was_is_landed_again() -> None:
    memory, key = Memory(()), [b"1"]
    landed = [memory.recognise([version], key).landing for version in (b"A", b"A", b"B", b"A")]
    assert landed == [[True], [False], [True], [True]]


def test_records_without_a_key_are_told_apart_only_by_what_is_expected() -> None:
    memory = Memory([digest(b"x"), digest(b"x")])
    assert memory.recognise([b"x", b"x", b"x", b"y"], None).landing == [False, False, True, True]
    assert memory.expected() == []


def test_a_null_or_absent_key_is_no_key() -> None:
    memory = Memory(())
    assert memory.recognise([b"a", b"a"], [None, None]).landing == [True, True]


PAGES = st.lists(
    st.lists(
        st.tuples(st.sampled_from([b"1", b"2", b"3", b"4", None]), st.sampled_from([b"A", b"B"])), max_size=3
    ),
    max_size=8,
)


@given(PAGES, PAGES)
def test_what_is_held_is_the_last_version_of_each_key_after_each_page_whatever_comes_later(
    first: list[list[tuple[bytes | None, bytes]]], second: list[list[tuple[bytes | None, bytes]]]
) -> None:
    held: dict[str, str] = {}
    for pages in (first, second):
        memory, kept, met = Memory((), Held(held)), [], set[str]()
        for page in pages:
            memory.recognise([record for _, record in page], [key for key, _ in page])
            for key, record in page:
                if key is not None:
                    held = {**held, digest(key): digest(record)}
                    met.add(digest(key))
            kept.append((memory.held(), held, set(met)))
        # Asked for at the end alone, as a position that is kept late.
        for snapshot, versions, keys in kept:
            assert snapshot is not None
            found, came = snapshot.settled()
            assert {one: found[one] for one in versions} == versions
            assert keys <= came
        held = {one: version for one, version in held.items() if one in met}


def test_a_record_without_a_key_lands_once_as_long_as_its_bytes_are_the_same() -> None:
    position = Held({})
    for landing in ([True, True, True], [False, False, False]):
        memory = Memory((), position)
        came = [b"a", b"a", b"b"]
        assert memory.recognise(came, [None, None, None]).landing == landing
        held = memory.held_now()
        assert held is not None
        position = held
    assert memory.recognise([b"a"], [None]).landing == [True], "a third one"


@pytest.mark.parametrize("key", [("id",), ("id", "line"), ("id", "at.day")])
def test_keys_of_records_are_equal_where_all_their_parts_are(key: tuple[str, ...]) -> None:
    fields = RecordFields(Resource(path="/x", records="data", pagination=Single(), key=key))
    records = [
        b'{"id":1,"line":"2,3","at":{"day":1}}',
        b'{"at":{"day":1},"line":"2,3","id":1}',
        b'{"id":2,"line":"2,3","at":{"day":1}}',
        b'{"id":null,"line":"2,3","at":{"day":1}}',
        b'{"line":"2,3","at":{"day":1}}',
        b"not json",
    ]
    first, second, other, *none = fields.keys(records) or []
    assert first == second != other
    assert none == [None, None, None]


def test_a_second_scan_counts_anew_and_lands_nothing_twice() -> None:
    memory, keys = Memory(()), [b"1", b"2"]
    assert memory.recognise([b"A", b"B"], keys).fresh == 2
    memory.begin_scan()
    again = memory.recognise([b"A", b"B"], keys)
    assert (again.landing, again.fresh) == ([False, False], 2)


@pytest.mark.parametrize("came", [MOST_KEYS // 2, MOST_KEYS, MOST_KEYS + 100, MOST_KEYS * 3 // 2])
def test_at_least_half_of_the_most_keys_is_known_again_and_at_most_all_of_them(came: int) -> None:
    memory = Memory(())
    keys = [b"%d" % number for number in range(came)]
    for first in range(0, came, 100):
        assert all(memory.recognise(keys[first : first + 100], keys[first : first + 100]).landing)
    known = [key for key in reversed(keys) if not any(memory.recognise([key], [key]).landing)]
    assert set(keys[-MOST_KEYS // 2 :]) <= set(known)
    assert len(known) <= MOST_KEYS + 100


@pytest.mark.parametrize(
    ("format_", "written"),
    [
        ("iso", "2026-03-05T08:00:00.250000Z"),
        ("date", "2026-03-05"),
        ("epoch", str(int(NOW.timestamp()))),
        ("epoch_ms", str(int(NOW.timestamp()) * 1000 + 250)),
    ],
)
def test_a_watermark_is_written_early_and_never_late(format_: str, written: str) -> None:
    values = Values(Incremental.model_validate({"parameter": "since", "field": "at", "format": format_}))
    assert values.since(moment_us(NOW + timedelta(milliseconds=250))) == written


@given(us=st.integers(0, 4_000_000_000_000_000), back=st.integers(0, 10_000))
def test_an_exclusive_parameter_goes_back_at_least_one_unit_and_a_lookback_as_far_as_it_says(
    us: int, back: int
) -> None:
    spec = {"parameter": "since", "field": "at", "format": "epoch_ms", "inclusive": False, "lookback_s": back}
    values = Values(Incremental.model_validate(spec))
    sent = int(values.since(us))
    assert sent * 1000 <= us - max(1000, back * 1_000_000)


def test_numbers_keep_all_their_digits_on_the_way_through_json() -> None:
    values = Values(Incremental(parameter="since", field="v", format="number"))
    value = values.read(12345678901234567890)
    assert restored(kept(value)) == value
    assert value is not None
    assert values.since(value) == "12345678901234567890"


def test_a_watermark_stops_at_now_and_knows_its_ties() -> None:
    spec = Incremental(parameter="since", field="at")
    mark = Watermark(spec, None, None, NOW)
    early, late = b'"2026-03-01T00:00:00Z"', b'"2030-01-01T00:00:00Z"'
    mark.see([early, late, b"17", None], [b"early", b"late", b"odd", b"none"])
    assert mark.next_mark() == moment_us(NOW)
    assert mark.ties() == [digest(b"late")]


def test_a_lookback_needs_moments_and_a_template_its_place() -> None:
    with pytest.raises(ValidationError, match="cursor of moments"):
        Incremental(parameter="since", field="v", format="number", lookback_s=5)
    with pytest.raises(ValidationError, match="where the value goes"):
        Incremental(parameter="since", field="v", template="x")
