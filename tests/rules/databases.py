"""The rules of reading databases: where each is in the code, and the tests that fail without it."""

from __future__ import annotations

from tests.rules.base import rule

_SQL = "src/headworks/sources/sql"
_LEFT = "tests/integration/databases/test_left_out.py"
_TIES = f"{_LEFT}::test_rows_that_share_a_value_are_read_in_each_later_run_whatever_their_key"
_WAYS = f"{_LEFT}::test_a_row_that_is_not_read_is_counted_or_said_not_to_be_known"
_CLOCKS = "tests/integration/databases/test_clocks.py"

_VALUES = "tests/integration/dialects/test_held_values.py"
_LATE = "tests/integration/dialects/test_late_commits.py"
_ALONGSIDE = f"{_VALUES}::test_a_value_of_another_type_is_kept_beside_by_name_and_its_neighbours_land"

RULES = (
    rule(
        "a FLOAT of MariaDB is asked for with all of its digits",
        f"{_SQL}/reflection.py",
        '    return column * literal_column("1E0") if isinstance(column.type, mysql.FLOAT) else column',
        "    return column",
        f"{_VALUES}::test_a_float_of_mariadb_comes_with_all_of_its_digits",
    ),
    rule(
        "a day is written with a year of four digits",
        f"{_SQL}/rows.py",
        '_PLAIN_DAY = r"^\\d{4}-\\d{2}-\\d{2}$"',
        '_PLAIN_DAY = r"^.*$"',
        _ALONGSIDE,
    ),
    rule(
        "a value that SQLite holds against its column's type is kept beside",
        f"{_SQL}/reflection.py",
        "(self.loose and not isinstance(self.dtype, pl.String))",
        "False",
        _ALONGSIDE,
    ),
    rule(
        "transactions of MariaDB that write bound a run",
        f"{_SQL}/presents.py",
        "    if oldest is None or oldest >= lagging:",
        "    if True:",
        f"{_LATE}::test_a_transaction_longer_than_the_lag_is_waited_for_by_who_sees_it",
    ),
    rule(
        "an old copy of MariaDB's list of transactions bounds nothing",
        f"{_SQL}/presents.py",
        "            if found[0]:",
        "            if True:",
        f"{_LATE}::test_a_writer_is_seen_however_often_others_look_at_the_list_of_transactions",
    ),
    rule(
        "rows that came among those which were passed by their key are read",
        f"{_SQL}/left.py",
        '    if count == start.get("passed"):',
        "    if True:",
        _TIES,
    ),
    rule(
        "a window is bounded by the transactions that run",
        f"{_SQL}/ending.py",
        '    done = {"done": True} if windowed and not unfinished else {}',
        '    done = {"done": True} if windowed else {}',
        _WAYS,
    ),
    rule(
        "row-level security that hides rows is reported",
        f"{_SQL}/snapshot.py",
        "        return (_HIDDEN,)",
        "        return ()",
        _WAYS,
    ),
    rule(
        "a run looks back to the earlier of two clocks",
        f"{_SQL}/bound.py",
        "    floor = earliest if earliest != latest else None",
        "    floor = None",
        f"{_CLOCKS}::test_a_long_transaction_is_waited_for_by_whichever_clock_it_writes",
    ),
    rule(
        "an hour that a clock shows twice is read twice",
        f"{_SQL}/clocks.py",
        "        return max(offsets) - min(offsets)",
        "        return timedelta()",
        f"{_CLOCKS}::test_the_hour_that_a_declared_clock_shows_twice_is_read_twice",
    ),
    rule(
        "a table that lies before where it was read up to is said",
        f"{_SQL}/left.py",
        '    if read or left.later or "cursor" not in start or "key" in start:',
        "    if True:",
        f"{_LEFT}::test_a_table_that_lies_before_where_it_was_read_up_to_is_said",
    ),
)
