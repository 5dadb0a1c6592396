"""The companies and the faults of the long campaign, and a small sample of the statistics."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.corruption.companies.ledger import ENTRIES, LEDGER
from tests.corruption.company import Company, Frames
from tests.corruption.faults import FORMS, STRENGTHS, VARIANTS, faults_of
from tests.corruption.measure import COMPANIES
from tests.corruption.scores import clean_table, faults_table
from tests.corruption.statistics import measure

MADE_UP = [one for name, one in COMPANIES.items() if name not in {"shop", "flights"}]
HISTORY = 8


def lived(company: Company, seed: int = 3) -> list[Frames]:
    return [day.frames for day in company.days(seed, HISTORY)]


@pytest.fixture(scope="module", params=MADE_UP, ids=lambda one: one.name)
def company(request: pytest.FixtureRequest) -> Company:
    one: Company = request.param
    return one


def test_a_life_is_decided_by_its_seed(company: Company) -> None:
    one, same, other = lived(company), lived(company), lived(company, seed=4)
    names = [dataset.name for dataset in company.datasets]
    assert all(a[name].equals(b[name]) for a, b in zip(one, same, strict=True) for name in names)
    assert not all(a[name].equals(b[name]) for a, b in zip(one, other, strict=True) for name in names)


def test_clean_rows_break_no_rule_of_their_own(company: Company) -> None:
    for frames in lived(company):
        for dataset in company.datasets:
            typed = frames[dataset.name].select(made.alias(name) for name, made in dataset.columns.items())
            good, failures = dataset.schema.filter(typed)
            assert good.height == typed.height, failures.counts()


def test_keys_of_clean_rows_are_of_one_row_and_references_have_their_parents(company: Company) -> None:
    parents: dict[str, set[object]] = {}
    for frames in lived(company):
        for dataset in company.datasets:
            rows = frames[dataset.name]
            parents.setdefault(dataset.name, set()).update(rows.get_column(dataset.key[0]).to_list())
            assert not rows.select(dataset.key).is_duplicated().any()
            for reference in dataset.references:
                assert set(rows.get_column(reference.columns[0]).to_list()) <= parents[reference.parent]


def test_faults_come_in_three_variants_and_touch_about_as_many_rows_as_their_strength_says(
    company: Company,
) -> None:
    frames = lived(company)
    faults = faults_of(company, frames[:-1])
    by_form = {(one.form.name, one.dataset) for one in faults}
    assert len(faults) == VARIANTS * len(by_form)
    assert len({one.form.name for one in faults}) >= 25
    for fault in faults:
        before = frames[-1][fault.dataset]
        if before.is_empty():
            continue
        for strength, share in STRENGTHS.items():
            after, touched = fault.corrupted(frames[-1], frames[-2::-1][:3], share, seed=1)
            assert after[fault.dataset].schema == before.schema, fault.name
            most = 2 if fault.form.name == "a value vanishes" else 1
            assert len(touched) <= max(most * before.height * share + 1, 5), (fault.name, strength)
            again, _ = fault.corrupted(frames[-1], frames[-2::-1][:3], share, seed=1)
            assert after[fault.dataset].equals(again[fault.dataset]), fault.name


def test_forms_have_names_of_their_own_and_three_variants_where_they_name_more_than_one() -> None:
    assert len({one.name for one in FORMS}) == len(FORMS)
    assert {len(one.changes) for one in FORMS} <= {1, VARIANTS}


def test_a_sample_of_the_statistics_is_measured_and_the_same_again() -> None:
    """Two measurements with one seed agree in every verdict; nulls where none may be are held back row by row."""
    chosen = {"seed": 5, "clean": 2, "faults": 6, "only": "null", "warm_up": 9}
    one, same = measure(LEDGER, **chosen), measure(LEDGER, **chosen)  # type: ignore[arg-type]
    assert [(v.fault.name, v.end) for v in one.verdicts] == [(v.fault.name, v.end) for v in same.verdicts]
    assert {v.end for v in one.verdicts if v.fault.form.name.startswith("key")} <= {"held back", "stopped"}
    assert one.clean == 2
    assert clean_table([one])[1].startswith(LEDGER.name)
    assert any("aim 95%" in line for line in faults_table([one]))


def test_the_ledger_has_a_month_a_delivery_and_an_outage_that_is_caught_up() -> None:
    sizes = [day.frames[ENTRIES].height for day in islice(LEDGER.days(1, 99), 95, 98)]
    assert sizes[1] == 0
    assert sizes[2] > 1.3 * sizes[0]
