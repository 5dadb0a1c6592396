"""Alerts: one when an incident begins, one when it is over, by every channel, and without secrets or personal data."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import SecretStr

from headworks.errors import CredentialsRefused, SourceUnavailable
from headworks.ops.alerts import Alert, Rejected, alert_of, masked
from headworks.ops.channels import Mail, Slack, Webhook
from headworks.ops.incidents import heal, notify, open_incidents
from headworks.reports import CheckReport, GateReport, RunReport
from headworks.storage.store import Lake
from tests.support.served import Answer, Asked, Upstream, served

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
SECRET = "T00-never-shown"


def report(status: str, **fields: Any) -> RunReport:
    return RunReport.model_validate(
        {
            "run_id": "run-7",
            "flow": "sales",
            "mode": "incremental",
            "status": status,
            "started_at": NOW,
            "finished_at": NOW,
            "links": {"This run": "http://prefect/runs/7"},
            **fields,
        }
    )


CLOSED = report(
    "gate closed",
    gates=(
        GateReport(
            scope="gold.sales.daily",
            open=False,
            checks=(CheckReport(scope="gold.sales.daily", name="total", kind="total", outcome="failed"),),
            reasons=("total of revenue survives: failed (silver 10, gold 9)",),
        ),
    ),
)


class Receiver:
    """Keeps what it is reported."""

    def __init__(self) -> None:
        self.got: list[Alert] = []

    def send(self, alert: Alert) -> None:
        self.got.append(alert)


class Silent:
    """A channel that is down."""

    def send(self, alert: Alert) -> None:
        raise SourceUnavailable("down")


@pytest.fixture
def hook() -> Iterator[tuple[Upstream, list[Any], list[int]]]:
    """A server that keeps what is posted to it, and answers what the list of statuses says."""
    posted: list[Any] = []
    statuses: list[int] = []

    def answer(asked: Asked) -> Answer:
        posted.append(json.loads(asked.body))
        return Answer(status=statuses.pop(0) if statuses else 200)

    with served(answer) as upstream:
        yield upstream, posted, statuses


def test_an_alert_says_what_failed_where_to_look_and_what_to_do() -> None:
    alert = alert_of(CLOSED, (Rejected("shop.people", ("v|min",), '{"name": "Ada", "year": 1815}'),))
    assert alert is not None
    output = alert.text()
    for part in (
        "gate is closed",
        "silver 10, gold 9",
        "http://prefect/runs/7",
        "What to do",
        'shop.people, v|min: {"name": "xxx", "year": 9999}',
    ):
        assert part in output


@pytest.mark.parametrize("status", ["published", "unchanged", "dry run", "refused"])
def test_a_run_that_ended_well_or_left_the_work_to_another_calls_for_no_alert(status: str) -> None:
    assert alert_of(report(status)) is None


def test_examples_keep_their_shape_and_none_of_their_content() -> None:
    assert masked('{"iban": "DE89 3704", "ö": 1.5}') == '{"iban": "xx99 9999", "x": 9.9}'
    assert len(masked("a" * 1000)) < 250


def test_an_incident_is_told_once_until_it_heals_and_then_once_more(lake: Lake) -> None:
    receiver = Receiver()
    alert = alert_of(report("failed", message="the source is away"))
    assert alert is not None
    assert [notify(lake, [receiver], alert) for _ in range(3)] == [True, False, False]
    assert [each.incident for each in open_incidents(lake)] == ["flow sales"]
    assert [heal(lake, [receiver], "flow sales") for _ in range(2)] == [True, False]
    assert open_incidents(lake) == ()
    assert notify(lake, [receiver], alert)
    assert [each.healed for each in receiver.got] == [False, True, False]


def test_an_incident_that_turns_into_another_kind_is_told_again(lake: Lake) -> None:
    receiver = Receiver()
    for each in (report("failed", message="away"), CLOSED, CLOSED):
        alert = alert_of(each)
        assert alert is not None
        notify(lake, [receiver], alert)
    assert [each.kind for each in receiver.got] == ["run failed", "gate closed"]


def test_what_a_channel_did_not_take_is_told_by_the_others_and_again_by_all(lake: Lake) -> None:
    receiver = Receiver()
    alert = alert_of(CLOSED)
    assert alert is not None
    with pytest.raises(SourceUnavailable):
        notify(lake, [Silent(), receiver], alert)
    assert notify(lake, [receiver], alert)
    assert len(receiver.got) == 2


def test_a_webhook_gets_the_fields_and_the_text(hook: tuple[Upstream, list[Any], list[int]]) -> None:
    upstream, posted, _ = hook
    alert = alert_of(CLOSED)
    assert alert is not None
    Webhook(url=SecretStr(f"{upstream.url}/{SECRET}")).send(alert)
    assert (posted[0]["kind"], posted[0]["incident"]) == ("gate closed", "flow sales")
    assert posted[0]["text"] == alert.text()


def test_slack_gets_a_text(hook: tuple[Upstream, list[Any], list[int]]) -> None:
    upstream, posted, _ = hook
    alert = alert_of(CLOSED)
    assert alert is not None
    Slack(url=SecretStr(f"{upstream.url}/{SECRET}")).send(alert)
    assert set(posted[0]) == {"text"}
    assert "gate is closed" in posted[0]["text"]


def test_an_error_of_a_webhook_does_not_tell_its_address(hook: tuple[Upstream, list[Any], list[int]]) -> None:
    upstream, _, statuses = hook
    statuses.append(500)
    alert = alert_of(CLOSED)
    assert alert is not None
    for url in (f"{upstream.url}/{SECRET}", f"http://127.0.0.1:1/{SECRET}"):
        with pytest.raises(SourceUnavailable) as caught:
            Webhook(url=SecretStr(url)).send(alert)
        assert SECRET not in repr(caught.value)
        assert caught.value.__cause__ is None


def test_no_log_at_all_holds_the_address_of_a_webhook(
    hook: tuple[Upstream, list[Any], list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    alert = alert_of(CLOSED)
    assert alert is not None
    with caplog.at_level(logging.DEBUG):
        Webhook(url=SecretStr(f"{hook[0].url}/{SECRET}")).send(alert)
    assert SECRET not in caplog.text


class Mailbox:
    """An SMTP server's handler that keeps mails, and knows one user."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        body = message.get_content()
        self.mails.append((envelope.rcpt_tos, f"{message['Subject']}\n{body}"))
        return "250 kept"

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        known = isinstance(login, LoginPassword) and login.password == b"right"
        return AuthResult(success=known, handled=False)


@pytest.fixture
def mail_server() -> Iterator[tuple[Controller, Mailbox]]:
    """A real SMTP server on a port of its own."""
    mailbox = Mailbox()
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=port, authenticator=mailbox.login, auth_require_tls=False
    )
    controller.start()
    try:
        yield controller, mailbox
    finally:
        controller.stop()


def mail(controller: Controller, password: str | None = None) -> Mail:
    return Mail(
        host="127.0.0.1",
        port=controller.port,
        security="none",
        user="headworks" if password else None,
        password=SecretStr(password) if password else None,
        sender="headworks@example.com",
        recipients=("ada@example.com", "charles@example.com"),
    )


def test_a_mail_reaches_every_recipient_with_the_text(mail_server: tuple[Controller, Mailbox]) -> None:
    controller, mailbox = mail_server
    alert = alert_of(CLOSED)
    assert alert is not None
    mail(controller, "right").send(alert)
    ((recipients, content),) = mailbox.mails
    assert recipients == ["ada@example.com", "charles@example.com"]
    assert content.strip().startswith("[headworks] sales: the gate is closed")
    assert "silver 10, gold 9" in content


def test_a_wrong_password_is_told_without_it(mail_server: tuple[Controller, Mailbox]) -> None:
    controller, mailbox = mail_server
    alert = alert_of(CLOSED)
    assert alert is not None
    with pytest.raises(CredentialsRefused) as caught:
        mail(controller, SECRET).send(alert)
    assert SECRET not in repr(caught.value)
    assert mailbox.mails == []


def test_a_server_without_tls_gets_no_mail_where_tls_is_asked_for(
    mail_server: tuple[Controller, Mailbox],
) -> None:
    controller, mailbox = mail_server
    alert = alert_of(CLOSED)
    assert alert is not None
    with pytest.raises(SourceUnavailable):
        mail(controller).model_copy(update={"security": "starttls"}).send(alert)
    assert mailbox.mails == []
