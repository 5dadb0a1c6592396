"""The order of arrival does not matter: any partition of versions into streams and batches gives the same silver."""

from __future__ import annotations

import itertools
import tempfile

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headworks.silver.compare as compare_module
from headworks.settings import LakeSettings
from headworks.storage.store import Lake
from tests.support.items import NAME, land_items, refine_items, silver
from tests.support.sampled import examples
from tests.support.sources import Record

Versions = dict[tuple[int, int], int]
"""Values by key and cursor: no two versions of a key have the same cursor."""

versions = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(1, 6)), st.integers(0, 3), min_size=1, max_size=10
)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[Versions, list[list[tuple[int, Record]]]]:
    """Draw versions, and an arrival of them: rounds of (stream, record), with a refinement after each round."""
    known = draw(versions)
    records = [(str(key), str(value), cursor) for (key, cursor), value in known.items()]
    repeated = draw(st.lists(st.sampled_from(records), max_size=3))
    order = draw(st.permutations([*records, *repeated]))
    rounds: list[list[tuple[int, Record]]] = [[]]
    for record in order:
        rounds[-1].append((draw(st.integers(0, 2)), record))
        if draw(st.integers(0, 3)) == 0:
            rounds.append([])
    return known, rounds


def truth(known: Versions) -> dict[int, tuple[int, int]]:
    newest: dict[int, tuple[int, int]] = {}
    for (key, cursor), value in sorted(known.items()):
        newest[key] = (value, cursor)
    return newest


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals())
def test_any_order_of_arrival_gives_the_newest_version_of_each_key(
    arrival: tuple[Versions, list[list[tuple[int, Record]]]],
) -> None:
    known, rounds = arrival
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(LakeSettings(root=folder))
        streams: dict[int, list[Record]] = {0: [], 1: [], 2: []}
        for arriving in rounds:
            for stream, records in itertools.groupby(arriving, key=lambda pair: pair[0]):
                streams[stream] += [record for _, record in records]
                land_items(lake, streams[stream], f"{NAME}@s{stream}", size=3)
            if arriving:
                refine_items(lake)
        assert silver(lake) == truth(known)


@pytest.mark.parametrize("provenance", [True, False])
def test_an_old_backfill_does_not_overwrite_the_new(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, provenance: bool
) -> None:
    """With provenance in silver the older version is superseded; with the comparison taken out it wins."""
    if not provenance:
        monkeypatch.setattr(compare_module, "_not_older", lambda: pl.lit(True))
    land_items(lake, [("1", "20", 9)])
    refine_items(lake)
    land_items(lake, [("1", "10", 3)], f"{NAME}@backfill")
    refine_items(lake)
    assert silver(lake) == {1: (20, 9) if provenance else (10, 3)}
