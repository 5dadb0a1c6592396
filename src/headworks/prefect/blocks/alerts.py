"""The block that says who is notified when something needs a person."""

from __future__ import annotations

from typing import Any, Literal

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr, TypeAdapter

from headworks.ops.channels import Channel, Mail, Slack, Webhook

_channel: TypeAdapter[Webhook | Slack | Mail] = TypeAdapter(Channel)


class AlertChannel(Block):
    """Where alerts go: a webhook, a Slack webhook, or mails."""

    _block_type_name = "Headworks Alerts"
    _block_type_slug = "headworks-alerts"
    _description = "Who is notified when a run fails, the gate closes, or a promise of freshness is broken."
    _documentation_url = HttpUrl(
        "https://github.com/headworks/headworks/blob/main/docs/operations.md#hearing-of-what-matters"
    )
    _code_example = """
    ```python
    from headworks.prefect.blocks import AlertChannel

    AlertChannel(kind="slack", url="https://hooks.slack.com/services/a-secret").save("example-alerts", overwrite=True)
    channel = AlertChannel.load("example-alerts").to_settings()
    ```
    """

    kind: Literal["webhook", "slack", "mail"] = Field(description="What the alerts go out by.")
    url: SecretStr | None = Field(
        default=None, description="For webhook and slack: the address, which is a secret."
    )
    host: str | None = Field(default=None, description="For mail: the SMTP server.")
    port: int = Field(default=587, description="For mail: its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="For mail: how the connection is secured."
    )
    user: str | None = Field(default=None, description="For mail: user to log in as.")
    password: SecretStr | None = Field(default=None, description="For mail: that user's password.")
    sender: str | None = Field(default=None, description="For mail: address that mails come from.")
    recipients: list[str] = Field(default_factory=list, description="For mail: addresses that mails go to.")

    def to_settings(self) -> Webhook | Slack | Mail:
        """Return the engine's channel; raises pydantic's error where a field of its kind is missing."""
        fields: dict[str, Any] = {"kind": self.kind}
        if self.kind == "mail":
            names = ("host", "port", "security", "user", "password", "sender")
            fields |= {name: getattr(self, name) for name in names} | {"recipients": tuple(self.recipients)}
        else:
            fields["url"] = self.url
        return _channel.validate_python(fields)
