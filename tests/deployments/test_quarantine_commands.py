"""What an operator does by hand about rejected rows and anomalies, on a lake that flows work on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.deployments.conftest import Command, Demo

pytestmark = pytest.mark.server


def headworks(demo: Demo, *arguments: str) -> Command:
    return demo.run("headworks.cli.main", *arguments)


def account(demo: Demo) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((demo.stack.root / "account.json").read_text())
    return read


def test_rejected_rows_are_listed_shown_judged_again_and_discarded(demo: Demo) -> None:
    listed = headworks(demo, "quarantine", "list")
    assert listed.code == 0, listed.err
    assert "malformed_email" in listed.out
    waiting = next(line for line in listed.out.splitlines() if "orphan_line" in line)
    assert waiting.split()[-1] == "waits"

    shown = headworks(
        demo, "quarantine", "show", "shop.customers", "--reason", "malformed_email", "--limit", "1"
    )
    assert "malformed_email" in shown.out
    assert re.search(r"from shop\.customers(@g\d+)?, sequence", shown.out)
    key = shown.out.partition(":")[0]

    released = headworks(
        demo,
        "quarantine",
        "release",
        "shop.customers",
        "--key",
        key,
        "--by",
        "ada",
        "--note",
        "the source was fixed",
    )
    assert released.code == 0, released.err
    # As many as there were readings of it: each row of bronze is judged by itself, and they are one record.
    assert re.search(r"(\d+) are still rejected: malformed_email", released.out), released.out
    assert released.out.startswith("1 records"), released.out

    discarded = headworks(
        demo,
        "quarantine",
        "discard",
        "shop.customers",
        "--key",
        key,
        "--by",
        "ada",
        "--note",
        "a test customer",
    )
    assert "1 records are discarded" in discarded.out
    assert "0 shown" in headworks(demo, "quarantine", "show", "shop.customers", "--key", key).out


def test_the_flow_judges_the_whole_quarantine_again_and_accounts_for_each_row(demo: Demo) -> None:
    """No rule was fixed, so no row passes: each is still rejected, or known in a newer version; nothing changes."""
    run = demo.run("flows.replay_quarantine", "--param", 'by="ada"', "--param", 'note="after the fix"')
    assert run.code == 0, run.err
    assert "Quarantine: judged again" in run.out
    replays = account(demo)["replays"]
    assert sum(one["judged"] for one in replays) > 50
    for one in replays:
        assert one["inserted"] + one["updated"] == 0
        assert one["judged"] == one["still_rejected"] + one["superseded"] + one["unchanged"], one
    assert account(demo)["status"] == "unchanged"


def test_an_unknown_reason_is_refused_with_those_that_there_are(demo: Demo) -> None:
    for action in (
        ["show"],
        ["release", "--by", "ada", "--note", "none"],
        ["discard", "--by", "ada", "--note", "none"],
    ):
        refused = headworks(
            demo, "quarantine", action[0], "shop.customers", "--reason", "nonsense", *action[1:]
        )
        assert refused.code == 1
        assert "no such reason" in refused.err
        assert "malformed_email" in refused.err


def test_an_unknown_dataset_is_refused_with_those_that_there_are(demo: Demo) -> None:
    refused = headworks(demo, "quarantine", "show", "shop.nothing")
    assert refused.code == 1
    assert "use one of shop.customers" in refused.err


def test_an_anomaly_is_accepted_listed_and_taken_back(demo: Demo) -> None:
    said = headworks(
        demo, "anomaly", "accept", "silver.shop.orders", "--check", "volume", "--from", "2026-11-27",
        "--to", "2026-11-28", "--reason", "Black Friday", "--by", "ada",
    )  # fmt: skip
    assert said.code == 0, said.err
    number = said.out.split()[1]
    assert "Black Friday" in headworks(demo, "anomaly", "list").out
    assert headworks(demo, "anomaly", "withdraw", number, "--reason", "wrong day", "--by", "ada").code == 0
    assert "accept (withdrawn)" in headworks(demo, "anomaly", "list").out
    wrong = headworks(
        demo, "anomaly", "label", "silver.shop.orders", "--from", "2026-11-28", "--to", "2026-11-27",
        "--reason", "typo", "--by", "ada",
    )  # fmt: skip
    assert wrong.code == 1
    assert "must lie before the end" in wrong.err


def test_silver_is_made_again_by_hand_and_nothing_is_lost_by_it(demo: Demo) -> None:
    for arguments in (["--dry-run"], [], []):
        made = headworks(demo, "silver", "rebuild", "shop.customers", *arguments)
        assert made.code == 0, made.err
        assert re.search(r"[\d,]+ rows of bronze were judged by the declaration of shop\.customers", made.out)
        assert ("0 of them are gone" in made.out) is (not arguments)
    wrong = headworks(demo, "silver", "rebuild", "shop.nothing")
    assert wrong.code == 1
    assert "use one of shop.customers" in wrong.err
