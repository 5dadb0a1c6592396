"""The rules of types that change: what does not fit widens or is refused by name, and is never cast."""

from __future__ import annotations

from tests.rules.base import rule

DRIFT, EXACT, STAMPING, FOLLOWING, DELTA = (
    "src/headworks/storage/drift.py",
    "src/headworks/storage/exact.py",
    "src/headworks/bronze/stamping.py",
    "src/headworks/silver/evolution.py",
    "src/headworks/storage/delta.py",
)
DATASET, PARSE, EXPRESSIONS, MIRROR, REFINEMENT = (
    "src/headworks/silver/dataset.py",
    "src/headworks/silver/parse.py",
    "src/headworks/silver/expressions.py",
    "src/headworks/silver/mirror.py",
    "src/headworks/silver/refinement.py",
)

_WIDER, _EXACTLY = "tests/unit/storage/test_wider.py", "tests/unit/storage/test_exact.py"
_F, _D = "tests/integration/test_following.py", "tests/integration/databases/test_drift.py"
_READ = "tests/unit/silver/test_exact_reading.py"

RULES = (
    rule(
        "no float holds every whole number of 64 bits",
        DRIFT,
        "    if pl.Int64() in kinds:\n        return None\n",
        "",
        f"{_WIDER}::test_the_wider_of_any_two_flat_types_holds_the_extremes_of_both",
    ),
    rule(
        "a decimal that is widened keeps its whole digits",
        DRIFT,
        "    digits = max(one.precision - one.scale, other.precision - other.scale)\n",
        "    digits = max(one.precision, other.precision) - scale\n",
        f"{_WIDER}::test_the_wider_of_any_two_flat_types_holds_the_extremes_of_both",
    ),
    rule(
        "a value in another type is turned back and compared",
        EXACT,
        "    return value.is_null() | (there_and_back == value).fill_null(False)",
        "    return value.is_null() | there_and_back.is_not_null()",
        f"{_EXACTLY}::test_every_flat_type_in_every_other",
    ),
    rule(
        "what bronze cannot hold is refused and not cast",
        STAMPING,
        "    return in_types(frame.select(kept), types, where, CHANGE_THE_QUERY)",
        "    return frame.select(pl.col(name).cast(types[name], strict=False) for name in kept)",
        f"{_D}::test_what_bronze_cannot_hold_is_refused_before_anything_is_written",
    ),
    rule(
        "names of columns that differ in nothing but case are refused",
        STAMPING,
        "        check_names(new, bronze, where)\n",
        "        pass\n",
        f"{_D}::test_what_bronze_cannot_hold_is_refused_before_anything_is_written",
    ),
    rule(
        "silver follows its declaration",
        REFINEMENT,
        "    silver = following(work, dataset, silver, dry_run=dry_run)\n",
        "",
        f"{_F}::test_a_wider_type_keeps_every_value_over_later_runs",
    ),
    rule(
        "silver's types change in a try, which takes away the rejected rows that silver never named",
        FOLLOWING,
        "    attempt = put_rejected(lake, dataset, attempt, pl.DataFrame(schema=SCHEMA))\n",
        "",
        f"{_F}::test_rejected_rows_stay_readable_and_count_once_over_a_widening",
    ),
    rule(
        "gold is made again of a silver whose types grew",
        FOLLOWING,
        "        CHANGE: silver.transaction(CHANGE) + 1,\n",
        "",
        f"{_F}::test_gold_is_made_again_of_a_silver_whose_types_grew",
    ),
    rule(
        "a column that is declared no longer is taken out only where it is named as dropped",
        FOLLOWING,
        "    lost = [name for name in drift.dropped if name not in wanted.dropped]\n",
        "    lost: list[str] = []\n",
        f"{_F}::test_a_column_that_is_declared_no_longer_is_refused_until_it_is_named_as_dropped",
    ),
    rule(
        "a value goes into its declared type exactly, or is rejected",
        PARSE,
        "    exact = exactly(made, given, dtype)\n",
        "    exact = made.cast(dtype, strict=False)\n",
        f"{_F}::test_a_value_that_its_declared_type_does_not_hold_is_rejected_and_its_neighbours_land",
    ),
    rule(
        "versions are ordered by the exact value of a cursor with a fraction",
        DATASET,
        "        return pl.Float64() if kept.is_float() else kept\n",
        "        return pl.Int64()\n",
        f"{_F}::test_versions_are_ordered_by_the_exact_value_of_any_cursor",
    ),
    rule(
        "a cursor that is not finite has no place in the order",
        PARSE,
        "    return pl.when(made.is_finite()).then(made) if kind == pl.Float64() else made",
        "    return made",
        f"{_F}::test_a_cursor_that_is_not_finite_is_older_than_any_other",
    ),
    rule(
        "no append leaves a cast to delta-rs",
        DELTA,
        "            return in_types(rows, self.schema, self.name, _WRITTEN_AS_IT_IS)\n",
        "            return rows\n",
        f"{_F}::test_a_commit_never_casts_what_its_table_does_not_hold",
    ),
    rule(
        "a decimal with more digits than are kept is not rounded",
        EXPRESSIONS,
        "    return pl.when(fits).then(text).cast(",
        "    return text.cast(",
        f"{_READ}::test_a_decimal_is_what_its_text_says_or_null",
    ),
    rule(
        "a year has four digits",
        EXPRESSIONS,
        "    day = pl.when(pl.col(column).str.contains(_DAY)).then(pl.col(column))\n",
        "    day = pl.col(column)\n",
        f"{_READ}::test_a_day_has_four_digits_of_a_year",
    ),
    rule(
        "a mirror keeps NaN and infinity",
        MIRROR,
        "allow_nan=True, allow_inf=True",
        "allow_nan=False, allow_inf=False",
        f"{_F}::test_a_mirror_keeps_what_no_rule_would_take",
    ),
)
