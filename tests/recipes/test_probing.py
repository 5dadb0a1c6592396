"""What ``headworks probe`` proposes is right, or it says what it cannot know; nothing of it reads a part in green."""

from __future__ import annotations

from random import Random

import pytest

from headworks.sources.api.probe import probe
from headworks.sources.api.resource import Resource
from tests.recipes.odd_shapes import SHAPES
from tests.recipes.probing import ROWS, Address, addresses, look, shape_of

SAMPLED = Random(19).sample([one for one in addresses() if not one.name.startswith("shape")], 14)
LOOKED = [(one, ROWS[number % 2]) for number, one in enumerate(SAMPLED)]
LOOKED += [(one, ROWS[1]) for one in addresses() if one.name.startswith("shape")]


@pytest.mark.parametrize(("address", "rows"), LOOKED, ids=lambda one: str(getattr(one, "name", one)))
def test_a_proposal_reads_all_of_it_now_and_when_it_has_grown_or_does_not_say_so(
    address: Address, rows: int
) -> None:
    with address.serve(rows) as looked:
        outcome = look(looked)
    assert "GREEN" not in outcome.what, outcome
    assert outcome.what != "failed", outcome
    if rows == ROWS[1]:
        assert outcome.what == ("right" if address.knowable else "not known"), outcome


def test_what_was_tried_is_said_three_pages_the_end_and_a_second_run() -> None:
    with shape_of("paging.next.after")(47) as looked:
        found = probe(looked.client, looked.path, {"limit": "10"})
    assert Resource.model_validate(found.resource).pagination.kind == "cursor"
    said = "\n".join(found.reasons)
    assert "tried: 5 pages were read like this, with 10, 10, 10 and more records, each of them new" in said
    assert "the end: was reached after 47 records, and is shown to be the end" in said
    assert "a second run: read 47 records to its end" in said
    assert found.unknown == []


def test_a_total_that_contradicts_the_one_page_is_no_single_page() -> None:
    with shape_of("cut short")(47) as looked:
        found = probe(looked.client, looked.path, {})
    assert "pagination" not in found.resource
    assert any("how pages follow each other" in one for one in found.unknown)


@pytest.mark.parametrize("rows", [7, 47, 50])
def test_a_refusal_of_the_page_past_the_last_is_described(rows: int) -> None:
    (wordpress,) = [one for one in addresses() if one.name == "vendor wordpress posts"]
    with wordpress.serve(rows) as looked:
        found = Resource.model_validate(probe(looked.client, looked.path, looked.parameters).resource)
    assert found.pagination.kind == "page_numbers"
    assert (found.pagination.past_end, found.pagination.past_end_statuses) == ("missing", (400,))
    with wordpress.serve(rows) as looked:
        assert look(looked).what == "right"


def test_pages_by_cursor_are_preferred_to_places_by_number_where_a_service_has_both() -> None:
    with shape_of("scim by cursor")(47) as looked:
        found = Resource.model_validate(probe(looked.client, looked.path, {}).resource)
    assert found.pagination.kind == "cursor"
    with shape_of("scim by index")(47) as looked:
        found = Resource.model_validate(probe(looked.client, looked.path, {}).resource)
    assert (found.pagination.kind, found.completeness.total_field) == ("offset", "totalResults")


def test_there_are_shapes_enough() -> None:
    assert len(list(addresses())) >= 60
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
