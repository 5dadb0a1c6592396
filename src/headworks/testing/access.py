"""Who may read the hostile API, and the secrets that must never be seen anywhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from headworks.testing.server import Server, serving
from headworks.testing.wire import Asked, Reply

SECRET = "hw-s3cret-7f1b9c"
"""Part of every secret that the kit hands out: what a test looks for where no secret may be."""
USER = "reader"
TOKEN_PATH = "/oauth/token"
COOKIE = f"session={SECRET}-cookie"


class Access:
    """Decides whether a request may read."""

    def grant(self, asked: Asked, now: float) -> Reply | None:
        """Answer a request for a token, where it is one."""
        return None

    def refuse(self, asked: Asked, now: float) -> Reply | None:
        """Answer a request that may not read; None lets it through."""
        return None

    def headers(self) -> Mapping[str, str]:
        """Return the headers that each page carries for the sake of access."""
        return {}


class Open(Access):
    """Everybody may read."""


@dataclass
class Keyed(Access):
    """Who shows the secret may read: as a bearer token, with a password, in a header, or in the query."""

    kind: str = "bearer"
    secret: str = f"{SECRET}-key"

    def refuse(self, asked: Asked, now: float) -> Reply | None:
        """Answer 401 where the secret is missing."""
        password = base64.b64encode(f"{USER}:{self.secret}".encode()).decode()
        shown = {
            "bearer": asked.headers.get("authorization") == f"Bearer {self.secret}",
            "basic": asked.headers.get("authorization") == f"Basic {password}",
            "header": asked.headers.get("x-api-key") == self.secret,
            "query": asked.query.get("api_key") == self.secret,
        }[self.kind]
        return None if shown else unauthorized()

    def headers(self) -> Mapping[str, str]:
        """Hand out a session cookie with each page."""
        return {"Set-Cookie": f"{COOKIE}; Path=/"}


@dataclass
class OAuth(Access):
    """Client credentials for tokens that work for a number of requests, then never again.

    ``issued`` counts the tokens. A token dies in silence: what the token's answer says of its life is not true.
    """

    requests_a_token: int = 10
    client_id: str = USER
    client_secret: str = f"{SECRET}-client"
    issued: int = 0
    left: dict[str, int] = field(default_factory=dict)

    def grant(self, asked: Asked, now: float) -> Reply | None:
        """Hand out a token to who knows the client's secret, in the body or as a password."""
        if asked.path != TOKEN_PATH:
            return None
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        password = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        in_body = (form.get("client_id"), form.get("client_secret")) == (self.client_id, self.client_secret)
        in_header = asked.headers.get("authorization") == f"Basic {password}"
        if form.get("grant_type") != "client_credentials" or not (in_body or in_header):
            return Reply.of({"error": "invalid_client"}, 401)
        self.issued += 1
        token = f"{SECRET}-token-{self.issued}"
        self.left[token] = self.requests_a_token
        return Reply.of({"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def refuse(self, asked: Asked, now: float) -> Reply | None:
        """Answer 401 where the token is unknown or used up."""
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self.left.get(token, 0) <= 0:
            return unauthorized()
        self.left[token] -= 1
        return None


def unauthorized() -> Reply:
    """Answer 401, as APIs do."""
    return Reply.of({"error": "unauthorized"}, 401, **{"WWW-Authenticate": 'Bearer realm="hostile"'})


@dataclass
class CredentialLeakProbe:
    """A server on another port that answers with a page and keeps what it was sent."""

    server: Server

    @property
    def url(self) -> str:
        """The address that must get no credentials; another host name for the same machine."""
        return f"http://localhost:{self.server.port}"

    def stolen(self) -> list[str]:
        """Return each part of a request in which a secret of the kit came along."""
        found = []
        for asked in self.server.asked:
            parts = [asked.target, *(f"{name}: {value}" for name, value in asked.headers.items())]
            found += [part for part in parts if _secret_in(part)]
        return found


def _secret_in(text: str) -> bool:
    """Return whether a secret is in a text, plain or as a password of basic authentication."""
    if SECRET in text:
        return True
    coded = text.rpartition("Basic ")[2]
    try:
        return SECRET in base64.b64decode(coded, validate=True).decode("utf-8", "replace")
    except ValueError:
        return False


@contextmanager
def thieving() -> Iterator[CredentialLeakProbe]:
    """Serve a probe as long as the block runs. It answers with a page that looks like the end of any style."""
    page = {
        "data": {"items": [], "things": {"edges": [], "pageInfo": {}}},
        "items": [],
        "rows": [],
        "results": [],
    }
    with serving(lambda asked: Reply.of(page)) as server:
        yield CredentialLeakProbe(server)
