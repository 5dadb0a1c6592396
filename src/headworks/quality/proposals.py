"""Rules proposed from what good deliveries look like: text that a person may adopt into the dataset's schema.

Only what held in each row of thousands is proposed, with its evidence. Nothing becomes a rule by itself: what has held
so far may be chance or custom, and only a person knows whether it has to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import dataframely as dy
from pydantic import Field

from headworks.quality.profiles import ColumnProfile, Profile
from headworks.reports import Report

LEAST_ROWS = 1_000
_NEWEST = 60
_SAME_UNIT = 3.0
_MOST_VALUES = 20


class Proposal(Report):
    """A rule that has held so far, as text for a schema, and what it is known from."""

    name: str
    kind: Literal["rule", "column"] = Field(
        description="rule: a method of the schema. column: an argument of the column's declaration."
    )
    text: str
    evidence: str


def proposals(profiles: Sequence[Profile], schema: type[dy.Schema]) -> tuple[Proposal, ...]:
    """Return the rules that each row of the newest good deliveries kept and the schema does not have."""
    known = profiles[-_NEWEST:]
    if not known:
        return ()
    return (*_columns(known, schema.columns()), *_relations(known), *_determined(known))


def as_text(found: Sequence[Proposal], schema: str) -> str:
    """Return proposals as people adopt them: arguments of columns as comments, rules as methods."""
    columns = [f"# {one.name}: {one.text}   # {one.evidence}" for one in found if one.kind == "column"]
    rules = [one.text for one in found if one.kind == "rule"]
    return "\n\n".join([*(["\n".join([f"# in {schema}:", *columns])] if columns else []), *rules])


def _columns(known: Sequence[Profile], declared: Mapping[str, Any]) -> Iterator[Proposal]:
    for newest in known[-1].columns:
        there = [(one, column) for one in known if (column := one.column(newest.name)) is not None]
        rows = sum(one.rows - column.nulls for one, column in there)
        column = declared.get(newest.name)
        if rows < LEAST_ROWS or column is None:
            continue
        evidence = f"in all of {rows:,} rows of {len(there)} deliveries"
        if column.nullable and not any(mine.nulls for _, mine in there):
            yield Proposal(
                name=newest.name, kind="column", text="nullable=False", evidence=f"given {evidence}"
            )
        seen = [mine for _, mine in there]
        if newest.kind == "number" and not newest.identifier:
            yield from _signs(newest.name, seen, column, evidence)
        if newest.kind == "text" and not newest.identifier:
            yield from _values(newest.name, seen, evidence)


def _signs(name: str, seen: Sequence[ColumnProfile], declared: Any, evidence: str) -> Iterator[Proposal]:
    bounded = any(getattr(declared, limit, None) is not None for limit in ("min", "min_exclusive"))
    if bounded or any(one.negatives for one in seen):
        return
    above = not any(one.zeros for one in seen)
    text = "min_exclusive=0" if above else "min=0"
    yield Proposal(
        name=name,
        kind="column",
        text=text,
        evidence=f"{'above' if above else 'not below'} nothing {evidence}",
    )


def _values(name: str, seen: Sequence[ColumnProfile], evidence: str) -> Iterator[Proposal]:
    """Propose the values of a column, where the newer half of the deliveries had no new one."""
    counted = [one.categories for one in seen]
    if any(one is None for one in counted):
        return
    half = len(counted) // 2
    older = {value for one in counted[:half] for value in one or ()}
    newer = {value for one in counted[half:] for value in one or ()}
    if not newer <= older or not 1 < len(older) <= _MOST_VALUES:
        return
    values = ", ".join(repr(value) for value in sorted(older))
    yield _rule(
        f"known_{name}", f'pl.col("{name}").is_in([{values}])', f"One of {len(older)} values {evidence}."
    )


def _relations(known: Sequence[Profile]) -> Iterator[Proposal]:
    names = {name for one in known for name in one.relations}
    for name in sorted(names):
        counted = [one.relations.get(name, (0, 1)) for one in known if one.relations]
        asked = sum(of for _, of in counted)
        if asked < LEAST_ROWS or any(held < of for held, of in counted):
            continue
        made = _relation(name, known[-1])
        if made is not None:
            yield _rule(*made, f"{name} in all of {asked:,} rows of {len(counted)} deliveries.")


def _relation(name: str, newest: Profile) -> tuple[str, str] | None:
    """Return the name of a rule and its expression; None for a relation that is probably chance."""
    words = name.split()
    if " null as " in name:
        one, other = words[0], words[-1]
        return f"{one}_null_as_{other}", f'pl.col("{one}").is_null() == pl.col("{other}").is_null()'
    if words[1] == "=":
        whole, one, sign, other = words[0], words[2], words[3], words[4]
        parts = f"{_number(one)} {sign} {_number(other)}"
        close = f"({_number(whole)} - {parts if sign == '*' else f'({parts})'}).abs() <= 0.0101"
        called = f"{whole}_is_{one}_{'plus' if sign == '+' else 'times'}_{other}"
        return called, f'({close}) | (pl.col("{one}") == 0) | (pl.col("{other}") == 0)'
    one, other = words[0], words[2]
    mine, theirs = newest.column(one), newest.column(other)
    if (
        mine is None
        or theirs is None
        or (f"{other} <= {one}" in newest.relations and _always(newest, other, one))
    ):
        return None
    if mine.kind == "number" and not _same_unit(mine, theirs):
        return None
    if mine.dtype != theirs.dtype:
        return None
    return f"{one}_not_above_{other}", f'pl.col("{one}") <= pl.col("{other}")'


def _always(profile: Profile, one: str, other: str) -> bool:
    held, asked = profile.relations[f"{one} <= {other}"]
    return held == asked


def _same_unit(one: ColumnProfile, other: ColumnProfile) -> bool:
    """Return whether two numbers are of about the same size; else that one is never above the other says nothing."""
    if not one.quantiles or not other.quantiles:
        return False
    a, b = one.quantiles[3], other.quantiles[3]
    return a > 0 and b > 0 and 1 / _SAME_UNIT <= a / b <= _SAME_UNIT


def _determined(known: Sequence[Profile]) -> Iterator[Proposal]:
    """Propose what one column says of another: the currency of each country."""
    for name in sorted({name for one in known for name in one.pairs}):
        one, _, other = name.partition(" and ")
        if "given" in name.split() or not all(name in each.pairs for each in known):
            continue
        rows = sum(sum(each.pairs[name].values()) for each in known)
        pairs = {tuple(pair.split(" | ", 1)) for each in known for pair in each.pairs[name]}
        newest = {tuple(pair.split(" | ", 1)) for pair in known[-1].pairs[name]}
        for left, right, turned in ((one, other, False), (other, one, True)):
            ways = {(b, a) if turned else (a, b) for a, b in pairs}
            says = dict(sorted(ways))
            if rows < LEAST_ROWS or len(says) != len(ways) or len(set(says.values())) < 2 or not newest:
                continue
            yield _rule(
                f"{right}_of_{left}",
                f'pl.col("{left}").replace_strict({says!r}, default=pl.col("{right}")) == pl.col("{right}")',
                f"Each {left} has one {right} in all of {rows:,} rows of {len(known)} deliveries.",
            )


def _number(name: str) -> str:
    return f'pl.col("{name}").cast(pl.Float64)'


def _rule(name: str, expression: str, evidence: str) -> Proposal:
    called = re.sub(r"\W+", "_", name).strip("_").lower()
    text = f'@dy.rule()\ndef {called}(cls) -> pl.Expr:\n    """{evidence}"""\n    return {expression}'
    return Proposal(name=called, kind="rule", text=text, evidence=evidence)
