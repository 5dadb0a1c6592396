"""What is personal stays in the tables that it belongs to: marked people are looked for in all that runs leave behind.

Several runs while the shop lives on, some that fail and some whose gate closes. What may hold personal data, and why,
is listed in ``docs/security.md``; ``REMAINS`` is that list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import psycopg
import pytest

from flows.sales import sales
from headworks.prefect.console import run_as_program
from headworks.settings import RejectLimits
from tests.flows.conftest import WORLD
from tests.flows.test_gate import change_orders
from tests.support import canaries
from tests.support.held import Operated
from tests.support.sales import Place
from tests.support.served import Answer, Upstream, served

pytestmark = pytest.mark.server

PEOPLE = ("Zqcanary", "zqcanary", "1931-02-28", "1931, 2, 28", "ZQCANARY")
"""Marks of names, e-mails, a birth date and free texts of the shop's customers, good and rejected ones."""

REMAINS = ("/ops/profiles",)
"""Where they may be: the commonest values of columns with few different ones, by which a shift is seen."""

_SPOIL = """
    INSERT INTO shop.customers
        (customer_id, name, email, country, segment, birth_date, created_at, updated_at)
    SELECT 7000000 + n, 'Zqcanary Person ' || n,
           CASE WHEN mod(n, 2) = 0 THEN 'zqcanary' || n || '@example.com' ELSE 'zqcanary' || n || ' at example' END,
           CASE WHEN mod(n, 10) = 3 THEN 'ZQCANARY land' ELSE sound.country END, sound.segment, '1931-02-28',
           sound.created_at, (SELECT max(updated_at) FROM shop.customers)
    FROM generate_series(%s::int, %s::int) AS n,
         (SELECT country, segment, created_at FROM shop.customers
          WHERE customer_id IS NOT NULL AND email LIKE '%%@%%.%%' ORDER BY customer_id LIMIT 1) AS sound
"""


@dataclass(frozen=True)
class Lived:
    """What the runs left behind."""

    place: Place
    printed: str
    people: Upstream
    results: Path
    server: Operated


@pytest.fixture
def lived(
    place: Place,
    prefect_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Lived]:
    """Four runs: well, gate closed, failed, recovered; each after a day of the shop with marked people in it."""
    monkeypatch.chdir(tmp_path)
    for name, value in place.variables().items():
        monkeypatch.setenv(name, value)
    codes = []
    with served(lambda asked: Answer()) as people:
        monkeypatch.setenv("HEADWORKS_ALERTS_KIND", "webhook")
        monkeypatch.setenv("HEADWORKS_ALERTS_URL", f"{people.url}/hook")
        for number, (closed, parameters) in enumerate(
            [(False, ()), (True, ()), (False, ("--param", "shop_api=absent-api")), (False, ())]
        ):
            with psycopg.connect(place.shop, autocommit=True) as connection:
                connection.execute(_SPOIL, (10 * number, 10 * number + 9))
            with pytest.MonkeyPatch.context() as patch:
                if closed:
                    change_orders(patch, limits=RejectLimits(rows=0))
                codes.append(run_as_program(sales, parameters))
            place.live(WORLD)
        printed = capfd.readouterr()
        assert codes == [0, 2, 1, 0], printed.err
        yield Lived(place, printed.out + printed.err, people, tmp_path / "results", Operated(prefect_server))


def test_marked_people_are_seen_in_no_log_state_artifact_alert_result_delta_log_footer_or_checkpoint(
    lived: Lived,
) -> None:
    root = lived.place.root
    assert len(lived.people.asked) >= 2, "nobody was notified, so no alert was looked at"
    assert canaries.seen(canaries.table_texts(root / "silver"), PEOPLE), "the marked people did not come"
    assert canaries.seen(canaries.table_texts(root / "quarantine"), PEOPLE), "no marked row was rejected"
    texts = chain(
        [("printed", lived.printed)],
        ((f"alert {n}", asked.body.decode()) for n, asked in enumerate(lived.people.asked)),
        canaries.server_texts(lived.server),
        canaries.file_texts(lived.results),
        canaries.log_texts(root),
        canaries.footer_texts(root),
        canaries.file_texts(root / "_headworks"),
        _operations(root),
    )
    found = canaries.seen(texts, PEOPLE)
    assert [where for where in found if not where.endswith(REMAINS)] == []


def _operations(root: Path) -> Iterator[tuple[str, str]]:
    """Walk over the rows of what headworks keeps of its own work."""
    return canaries.table_texts(root / "ops")
