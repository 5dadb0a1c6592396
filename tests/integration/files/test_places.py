"""What is wrong with a place for files is said by its class, without its secrets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from headworks.errors import CredentialsRefused, SettingsError, SourceMissing, SourceUnavailable
from headworks.settings import FilesSettings
from headworks.sources.files.location import Location
from tests.support.stores import Bucket


@contextmanager
def refusing_server() -> Iterator[str]:
    """A server that answers 403 to everything."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_is_wrong_with_a_location_is_said_by_its_class_without_its_secrets(
    s3: tuple[Any, dict[str, str]], tmp_path: Path
) -> None:
    _, options = s3

    def place(root: str, **changed: str) -> FilesSettings:
        return Bucket(None, "", {**options, **changed}).settings.model_copy(update={"root": root})

    with pytest.raises(SourceMissing, match="not there"):
        Location(FilesSettings(root=str(tmp_path / "nowhere")))
    with pytest.raises(SourceMissing, match="not there") as missing:
        list(Location(place("s3://no-such-bucket/in")).listed())
    with pytest.raises(SourceUnavailable) as unreachable:
        list(Location(place("s3://files/in", AWS_ENDPOINT_URL="http://127.0.0.1:9")).listed())
    with pytest.raises(SettingsError):
        Location(place("ftp://host/in"))
    with pytest.raises(SettingsError, match="nonsense"):
        Location(place("s3://files/in", NONSENSE="1"))
    with refusing_server() as url, pytest.raises(CredentialsRefused) as refused:
        list(Location(place("s3://files/in", AWS_ENDPOINT_URL=url)).listed())
    for caught in (missing, unreachable, refused):
        assert "s3-secret-never-shown" not in f"{caught.value} {caught.value.__cause__}"
