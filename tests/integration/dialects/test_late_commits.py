"""Transactions of MariaDB that commit out of order: up to the lag none is missed, longer ones are found by keys."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from headworks.bronze.ingest import IngestRequest
from headworks.bronze.key_sets import compare_keys
from headworks.bronze.readers import TableIngest
from headworks.names import Window
from headworks.storage.store import Lake
from tests.support.dialects import NAME, ids, make, table, take
from tests.support.items import bronze
from tests.support.mariadb import MariaDb

ROWS = 10_000
LAG_S = 3_600
# The server's clock continues while the test takes its seconds.
MARGIN_S = 300


def test_transactions_as_long_as_the_lag_are_taken_once_each(
    mariadb: MariaDb, maria: str, lake: Lake
) -> None:
    """10,000 rows of 24 writers at random, each commit at most the lag after the row's own moment.

    The day of the writers is in the past, and a reading at one of its moments is one that stays as far behind the
    present as that moment is, and the lag.
    """
    random, begun = Random(11), datetime.now(UTC).replace(tzinfo=None) - timedelta(days=3)
    make(maria)
    name = maria.rpartition("/")[2]
    writers = [_writer(mariadb, name) for _ in range(24)]
    oldest: dict[int, int] = {}
    written, moment, readings = 0, 0, 0
    while written < ROWS:
        moment += random.randint(1, 240)
        for number, since in list(oldest.items()):
            if moment - since > LAG_S - MARGIN_S - 240 or random.random() < 0.02:
                writers[number].commit()
                del oldest[number]
        number = random.randrange(len(writers))
        count = min(random.randint(1, 60), ROWS - written)
        at = begun + timedelta(seconds=moment)
        with writers[number].cursor() as cursor:
            rows = [(written + n, "v", at) for n in range(count)]
            cursor.executemany("INSERT INTO rows_t VALUES (%s, %s, %s)", rows)
        oldest.setdefault(number, moment)
        written += count
        if random.random() < 0.1:
            readings += 1
            behind = datetime.now(UTC).replace(tzinfo=None) - at
            take(table(maria, cursor="at", commit_lag_s=int(behind.total_seconds()) + LAG_S), lake)
    for writer in writers:
        writer.commit()
        writer.close()
    take(table(maria, cursor="at", commit_lag_s=0), lake)
    found = Counter(bronze(lake, NAME).get_column("id").to_list())
    assert readings > 20
    assert (set(range(ROWS)) - set(found), [key for key, times in found.items() if times > 1]) == (set(), [])


def test_longer_ones_are_passed_by_and_found_and_counted_by_the_next_comparison_of_keys(
    mariadb: MariaDb, maria: str, lake: Lake
) -> None:
    make(maria)
    name, past = maria.rpartition("/")[2], datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=3)
    slow, quick = _writer(mariadb, name), _writer(mariadb, name)
    _insert(slow, 1, past)
    # A clock that nobody declared may be set back by an hour, and so far the next run looks back.
    _insert(quick, 2, past + timedelta(minutes=90))
    quick.commit()
    reading = table(maria, cursor="at", commit_lag_s=60)
    take(reading, lake)
    slow.commit()
    take(reading, lake)
    assert ids(lake) == [2]
    landing = IngestRequest(lake, NAME, "run").landing()
    keys, *_ = compare_keys(landing, reading, TableIngest(reading).live(), 0.2)
    assert (keys.keys_noted, keys.missing) == (2, 1)
    assert "1 keys of the source are not in bronze" in keys.warnings[0]
    for writer in (slow, quick):
        writer.close()


@pytest.mark.parametrize("windowed", [False, True])
def test_a_transaction_longer_than_the_lag_is_waited_for_by_who_sees_it(
    mariadb: MariaDb, maria: str, lake: Lake, windowed: bool
) -> None:
    """It writes first and commits last; four runs. Who may not see it is warned."""
    make(maria)
    name = maria.rpartition("/")[2]
    slow, quick = _writer(mariadb, name), _writer(mariadb, name)
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=2)
    end = datetime.now(UTC) + timedelta(seconds=1)
    window = Window(start=past - timedelta(hours=1), end=end) if windowed else None
    _insert(quick, 1, past)
    quick.commit()
    _insert(slow, 2, datetime.now(UTC).replace(tzinfo=None))
    _insert(quick, 3, datetime.now(UTC).replace(tzinfo=None) + timedelta(milliseconds=10))
    quick.commit()
    reading = table(maria, cursor="at", commit_lag_s=0, window=window)
    report = take(reading, lake)
    assert (ids(lake), report.later) == ([1], 1)
    assert any("not finished" in warning for warning in report.warnings) is windowed
    slow.commit()
    for _ in range(3):
        take(reading, lake)
    assert ids(lake) == [1, 2, 3]
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE USER onlooker")
        cursor.execute(f"GRANT SELECT ON {name}.* TO onlooker")
    *_, last = table(mariadb.url(name, "onlooker"), cursor="at").read(None, None)
    assert "no PROCESS privilege" in " ".join(last.warnings)
    for writer in (slow, quick):
        writer.close()


def test_a_writer_is_seen_however_often_others_look_at_the_list_of_transactions(
    mariadb: MariaDb, maria: str, lake: Lake
) -> None:
    """The server renews its list only when nobody has looked for a while; what cannot be known is said."""
    make(maria)
    name = maria.rpartition("/")[2]
    slow, quick = _writer(mariadb, name), _writer(mariadb, name)
    reading = table(maria, cursor="at", commit_lag_s=0)
    with mariadb.connect() as connection, connection.cursor() as onlooker:
        for number in range(1, 20, 2):
            onlooker.execute("SELECT COUNT(*) FROM information_schema.INNODB_TRX")
            _insert(slow, number, datetime.now(UTC).replace(tzinfo=None))
            onlooker.execute("SELECT COUNT(*) FROM information_schema.INNODB_TRX")
            _insert(quick, number + 1, datetime.now(UTC).replace(tzinfo=None))
            quick.commit()
            take(reading, lake)
            # The second one's row comes after one that is not committed yet: it waits, as that one does.
            assert ids(lake) == list(range(1, number))
            slow.commit()
            take(reading, lake)
    assert ids(lake) == list(range(1, 21))


def test_a_list_of_transactions_that_is_never_renewed_is_said_to_bound_nothing(
    mariadb: MariaDb, maria: str, lake: Lake
) -> None:
    make(maria)
    ended = threading.Event()

    def look() -> None:
        with mariadb.connect() as connection, connection.cursor() as cursor:
            while not ended.is_set():
                cursor.execute("SELECT COUNT(*) FROM information_schema.INNODB_TRX")

    onlooker = threading.Thread(target=look)
    onlooker.start()
    try:
        *_, last = table(maria, cursor="at").read(None, None)
    finally:
        ended.set()
        onlooker.join()
    assert "was never renewed" in " ".join(last.warnings)


def _writer(mariadb: MariaDb, name: str) -> Any:
    connection = mariadb.connect(name)
    connection.autocommit(False)
    return connection


def _insert(writer: Any, number: int, at: datetime) -> None:
    with writer.cursor() as cursor:
        cursor.execute("INSERT INTO rows_t VALUES (%s, 'v', %s)", (number, at))
