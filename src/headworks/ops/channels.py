"""Channels that alerts go out by: a webhook, a Slack webhook, a mail. Each has deadlines and shows no secret."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

import httpx
from pydantic import Field, SecretStr

from headworks.errors import CredentialsRefused, SettingsError, SourceUnavailable
from headworks.ops.alerts import Alert
from headworks.ops.escaping import chat, one_line
from headworks.redaction import guard_http_logs, know
from headworks.settings import Settings

_TIMEOUT_S = 15.0


class Webhook(Settings):
    """A URL that takes the alert as JSON."""

    kind: Literal["webhook"] = "webhook"
    url: SecretStr = Field(description="Where the alert is posted to as JSON; it may hold a key.")

    def send(self, alert: Alert) -> None:
        """Post the alert's fields, and its text."""
        _post(self.url, {**alert.model_dump(mode="json"), "text": alert.text()})


class Slack(Settings):
    """An incoming webhook of Slack, or of whatever takes the same."""

    kind: Literal["slack"] = "slack"
    url: SecretStr = Field(description="The incoming webhook's URL, which is a secret.")

    def send(self, alert: Alert) -> None:
        """Post the alert's text."""
        sign = ":white_check_mark:" if alert.healed else ":rotating_light:"
        _post(self.url, {"text": f"{sign} {chat(alert.title, alert.body(), alert.link)}"})


class Mail(Settings):
    """A mail by SMTP."""

    kind: Literal["mail"] = "mail"
    host: str = Field(description="The SMTP server.")
    port: int = Field(default=587, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is secured; none only on your own machine."
    )
    user: str | None = Field(default=None, description="User to log in as; none to send without.")
    password: SecretStr | None = Field(default=None, description="That user's password.")
    sender: str = Field(description="Address that mails come from.")
    recipients: tuple[str, ...] = Field(min_length=1, description="Addresses that mails go to.")

    def send(self, alert: Alert) -> None:
        """Send the alert's text as a mail of its own."""
        message = EmailMessage()
        message["From"], message["To"] = self.sender, ", ".join(self.recipients)
        message["Subject"] = f"[headworks] {' '.join(one_line(alert.title).split())}"
        message.set_content(alert.text())
        where = f"smtp://{self.host}:{self.port}"
        try:
            self._deliver(message)
        except smtplib.SMTPAuthenticationError as problem:
            raise CredentialsRefused(
                "The mail server does not accept user and password.", where=where, do="check the alert block."
            ) from problem
        except (OSError, smtplib.SMTPException) as problem:
            raise SourceUnavailable(
                f"The mail could not be sent: {type(problem).__name__}.",
                where=where,
                do="check the server, its port and how the connection is secured.",
            ) from problem

    def _deliver(self, message: EmailMessage) -> None:
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None and self.password is not None:
                server.login(self.user, self.password.get_secret_value())
            server.send_message(message)


Channel = Annotated[Webhook | Slack | Mail, Field(discriminator="kind")]
"""A channel by its ``kind``."""


class Sends(Protocol):
    """Whatever an alert can go out by."""

    def send(self, alert: Alert) -> None:
        """Send it, or raise an error of ours."""
        ...


def _post(url: SecretStr, content: dict[str, object]) -> None:
    parts = urlsplit(url.get_secret_value())
    # The path of such an address is its secret.
    where = f"{parts.scheme}://{parts.hostname}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            "A webhook's address begins with http:// or https://.",
            where="the alert block",
            do="write it in full.",
        )
    know(url.get_secret_value(), parts.path)
    guard_http_logs()
    try:
        answer = httpx.post(url.get_secret_value(), json=content, timeout=_TIMEOUT_S, follow_redirects=False)
    except httpx.HTTPError as problem:
        raise SourceUnavailable(
            f"The alert could not be sent: {type(problem).__name__}.",
            where=where,
            do="check the address in the alert block.",
        ) from None
    if not answer.is_success:
        raise SourceUnavailable(
            f"The alert was not taken: {answer.status_code}.",
            where=where,
            do="check the address in the alert block.",
        )
