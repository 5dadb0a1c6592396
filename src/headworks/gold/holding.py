"""Gold's hold: a table whose gate closed stays closed, whatever later runs bring, until something is decided.

Later rows would thin what was found, so it is not judged again because they came. What came into silver since the last
good commit of the table is suspected. The hold goes when a person releases it, when a person takes a suspect out of
silver, when the source has replaced every row of all suspects, or when the table's code, contract or limits change. It
is kept as one object, which the commit that follows removes. A table that is published to a database and whose contract
there did not hold is held in the same way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from headworks.errors import ObjectLost, SettingsError
from headworks.names import dataset_folder
from headworks.quality.deliveries import Delivery, Span, deliveries, find, held_check, record, rows_in
from headworks.quality.gate import let_through, with_checks
from headworks.quality.judgements import Judgement, accepted_numbers, judgements
from headworks.reports import CheckReport, GateReport
from headworks.storage.store import Lake
from headworks.storage.translating import collected

_NEVER_LIFTED = {"account", "held"}


def gold_hold(lake: Lake, name: str) -> Delivery | None:
    """Return what holds a gold table; None where nothing does."""
    return hold_of(lake, f"gold.{name}")


def hold_of(lake: Lake, table: str) -> Delivery | None:
    """Return what holds a table, such as gold.sales or postgres/analytics/sales; None where nothing does."""
    try:
        return Delivery.model_validate(lake.get_object(_path(table)))
    except ObjectLost:
        return None


def made_holds(lake: Lake) -> tuple[Delivery, ...]:
    """Return what holds each gold table and each published table that is held."""
    there = lake.list_objects(_PUBLISHED)
    published = (Delivery.model_validate(lake.get_object(one.path)) for one in there)
    return (*gold_holds(lake), *published)


def published_name(schema: str, table: str) -> str:
    """Return what a published table is called where it is held."""
    return f"{_POSTGRES}{schema}/{table}"


def is_of_silver(one: Delivery) -> bool:
    """Return whether a delivery is one, and not the hold of what is made of silver."""
    return not one.dataset.startswith(("gold.", _POSTGRES))


_POSTGRES = "postgres/"
"""What the name of a published table begins with, as in its contract; no dataset's name has a slash."""
_PUBLISHED = "_headworks/published-holds"


def gold_holds(lake: Lake) -> tuple[Delivery, ...]:
    """Return what holds each gold table that is held."""
    found = (gold_hold(lake, name) for name in lake.datasets("gold"))
    return tuple(one for one in found if one is not None)


def with_hold(
    lake: Lake, name: str, code: int, gate: GateReport, moment: datetime
) -> tuple[GateReport, Delivery | None]:
    """Return the decision about a candidate of a table that may be held, and what then holds it."""
    one = gold_hold(lake, name)
    if one is None:
        return gate, None
    if one.state == "released":
        return _lifted(gate, one), one
    if one.judged_by.partition("/")[0] != str(code) or _suspects_are_gone(lake, one):
        return gate, None
    if one.judged_by != judged_by(lake, name, code):
        return _unless_accepted(gate, one, moment, judgements(lake, f"gold.{name}")), one
    return with_checks(gate, (*gate.checks, held_check(gate.scope, one, moment))), one


def judged_by(lake: Lake, name: str, code: int) -> str:
    """Return what a table is judged by: its code, and what people have accepted."""
    return f"{code}/{accepted_numbers(judgements(lake, f'gold.{name}'))}"


def hold_gold(
    lake: Lake,
    name: str,
    gate: GateReport,
    code: int,
    since: dict[str, int],
    run_id: str,
    moment: datetime,
) -> None:
    """Hold a table whose gate objected; ``since`` are the last writers of silver that it was made from before."""
    checks = tuple(check for check in gate.checks if check.outcome == "failed" and check.kind != "held")
    if not checks:
        return
    suspects = [
        one
        for dataset, writer in since.items()
        for one in deliveries(lake, dataset)
        if one.is_in_silver and one.writer > writer
    ]
    text = "|".join([name, *(one.id for one in suspects), *(check.name for check in checks)])
    one = Delivery(
        id=hashlib.blake2b(text.encode(), digest_size=4).hexdigest(),
        dataset=f"gold.{name}",
        state="held",
        spans=(),
        rows=sum(each.rows for each in suspects),
        runs=tuple(dict.fromkeys(run for each in suspects for run in each.runs)),
        at=moment,
        held_at=moment,
        run_id=run_id,
        checks=checks,
        judged_by=judged_by(lake, name, code),
        suspects=tuple(f"{each.dataset}/{each.id}" for each in suspects),
    )
    lake.put_object(_path(one.dataset), one.model_dump(mode="json"))
    record(lake, [one])


def with_published_hold(
    lake: Lake,
    gate: GateReport,
    table: str,
    text: str,
    version: int,
    run_id: str,
    moment: datetime,
    *,
    dry_run: bool = False,
) -> GateReport:
    """Return the decision about a ``table`` that is to be published, and hold it where its contract failed there.

    Later rows would thin what was found. It goes by a person's release, when a delivery is taken out of silver, when
    the contract's ``text`` changes, or when each check that failed counts no bad row at all any more. An earlier
    ``version`` of gold, as of a rollback, is judged by itself.
    """
    one = hold_of(lake, table)
    if one is not None and one.state == "released":
        return _lifted(gate, one)
    contract = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    judged = one is None or one.judged_by != contract or version < one.writer or _taken_out_since(lake, one)
    now = {check.name: check for check in gate.checks}
    corrected = one is not None and all(_counts_nothing(now.get(check.name)) for check in one.checks)
    if one is not None and not judged and not corrected:
        return with_checks(gate, (*gate.checks, held_check(gate.scope, one, moment)))
    checks = tuple(check for check in gate.checks if check.outcome == "failed")
    if checks and (one is None or version >= one.writer) and not dry_run:
        number = hashlib.blake2b(f"{table}|{version}|{contract}".encode(), digest_size=4).hexdigest()
        made = Delivery(
            id=number, dataset=table, state="held", spans=(), at=moment, held_at=moment, run_id=run_id,
            checks=checks, judged_by=contract, writer=version,
        )  # fmt: skip
        lake.put_object(_path(table), made.model_dump(mode="json"))
        record(lake, [made])
    return gate


def _counts_nothing(check: CheckReport | None) -> bool:
    """Return whether a check of a contract counts bad rows, and found none: not thinned by good ones, but gone."""
    counted = re.findall(
        r"\b(?:missing|invalid|duplicate|failed_rows)_count=(\d+)", check.detail if check else ""
    )
    return check is not None and check.outcome == "passed" and bool(counted) and set(counted) == {"0"}


def _taken_out_since(lake: Lake, one: Delivery) -> bool:
    """Return whether anything was taken out of silver since a published table is held."""
    since = one.held_at
    return since is not None and any(
        each.state == "discarded" and each.at is not None and each.at > since for each in deliveries(lake)
    )


def release_gold(lake: Lake, one: Delivery, *, by: str, note: str, run_id: str, moment: datetime) -> Delivery:
    """Let the next candidate of a held table pass what held it."""
    there = hold_of(lake, one.dataset)
    if there is None or there.id != one.id:
        raise SettingsError(
            f"{one.dataset} is not held by {one.id} any more.",
            where=one.dataset,
            do="nothing; headworks delivery list shows what is held.",
        )
    if there.state == "released":
        return there
    done = there.turned("released", run_id=run_id, moment=moment, by=by, note=note)
    lake.put_object(_path(one.dataset), done.model_dump(mode="json"))
    record(lake, [done])
    return done


def undo_gold(lake: Lake, one: Delivery, *, by: str, note: str, run_id: str, moment: datetime) -> Delivery:
    """Take the release of a held table back, as long as nothing was committed by it."""
    there = hold_of(lake, one.dataset)
    if there is not None and there.state == "held" and there.run_id == run_id and there.by:
        return there  # an earlier try of the same run did it, and its answer was lost
    if there is None or there.state != "released":
        raise SettingsError(
            f"There is no release of {one.dataset} that could be undone: it was committed, or it is held.",
            where=one.dataset,
            do="roll the product back, or discard what came into silver: headworks delivery list.",
        )
    done = there.turned("held", run_id=run_id, moment=moment, by=by, note=note)
    done = done.model_copy(update={"before": None})
    lake.put_object(_path(one.dataset), done.model_dump(mode="json"))
    record(lake, [done])
    return done


def decide_gold(
    lake: Lake,
    one: Delivery,
    action: str,
    *,
    by: str,
    note: str,
    run_id: str,
    moment: datetime,
    dry_run: bool = False,
) -> Delivery:
    """Decide about a gold table that is held: release it, or undo that; a dry run says what it would be.

    Raises `SettingsError` for a discard, since silver has what is suspected, and each suspect is a delivery.
    """
    if action == "discard":
        raise SettingsError(
            f"{one.dataset} is held for what came into silver since its last good commit.",
            where=one.dataset,
            do="discard the delivery that is wrong, which takes it out of silver: "
            f"{', '.join(one.suspects) or 'see headworks delivery list'}.",
        )
    if dry_run:
        return one.turned("released" if action == "release" else "held", run_id=run_id, moment=moment)
    act = release_gold if action == "release" else undo_gold
    return act(lake, one, by=by, note=note, run_id=run_id, moment=moment)


def forget_hold(lake: Lake, name: str) -> None:
    """Forget what held a table that was committed."""
    forget_made_hold(lake, f"gold.{name}")


def forget_made_hold(lake: Lake, table: str) -> None:
    """Forget what held a table that was committed, or published."""
    if hold_of(lake, table) is not None:
        lake.remove_object(_path(table))


def find_any(lake: Lake, text: str) -> Delivery:
    """Return a delivery, or the hold of a gold table or a published one, by its id, or by how it begins."""
    mine = [one for one in made_holds(lake) if one.id == text or (len(text) > 3 and one.id.startswith(text))]
    return mine[0] if len(mine) == 1 else find(lake, text)


def _lifted(gate: GateReport, one: Delivery) -> GateReport:
    names = {check.name for check in one.checks}
    checks = [
        let_through(check, one.by, one.note)
        if check.outcome == "failed" and check.name in names and check.kind not in _NEVER_LIFTED
        else check
        for check in gate.checks
    ]
    return with_checks(gate, checks)


def _unless_accepted(
    gate: GateReport, one: Delivery, moment: datetime, said: Sequence[Judgement]
) -> GateReport:
    """Return the decision where somebody has accepted an anomaly: all that held the table has to be accepted."""
    accepted = {check.name for check in gate.checks if check.outcome == "accepted"}
    left: tuple[CheckReport, ...] = tuple(
        check
        for check in one.checks
        if check.name not in accepted and not any(each.makes_normal(check.name, moment) for each in said)
    )
    if not left:
        return gate
    still = one.model_copy(update={"checks": left})
    return with_checks(gate, (*gate.checks, held_check(gate.scope, still, moment)))


def _suspects_are_gone(lake: Lake, one: Delivery) -> bool:
    """Return whether a person took a suspect out of silver, or the source replaced every row of all of them."""
    if not one.suspects:
        return False
    wanted: dict[str, set[str]] = {}
    for text in one.suspects:
        dataset, _, number = text.rpartition("/")
        wanted.setdefault(dataset, set()).add(number)
    spans: dict[str, list[Span]] = {}
    for dataset, numbers in wanted.items():
        there = {each.id: each for each in deliveries(lake, dataset) if each.is_in_silver}
        if not there.keys() >= numbers:
            return True
        spans[dataset] = [span for number in numbers for span in there[number].spans]
    for dataset, mine in spans.items():
        silver = lake.must_open("silver", dataset)
        left = silver.scan().filter(rows_in(mine)).select(pl.len())
        if int(collected(left, silver.name).item()):
            return False
    return True


def _path(table: str) -> str:
    if table.startswith(_POSTGRES):
        # A table of Postgres may have any name.
        return f"{_PUBLISHED}/{hashlib.blake2b(table.encode(), digest_size=12).hexdigest()}.json"
    return f"_headworks/gold-holds/{dataset_folder(table.removeprefix('gold.'))}.json"
