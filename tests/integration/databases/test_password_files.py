"""A password that is nowhere in the URL: libpq's password file and service file, really connected with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from headworks.bronze.ingest import IngestRequest, ingest
from headworks.bronze.readers import TableIngest
from headworks.errors import CredentialsRefused
from headworks.prefect.blocks import load_database
from headworks.prefect.local.postgres import ANALYTICS, Postgres
from headworks.prefect.local.processes import free_port
from headworks.settings import LakeSettings
from headworks.sources.sql.reader import reader_of
from headworks.sources.sql.table import Table
from headworks.storage.store import Lake

PASSWORD = "a pass:word\\with % signs"
ROWS = 5


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A Postgres that lets nobody in without a password, with a table in its second database."""
    # Not pytest's folder: root's Postgres runs as another user, who has to get there.
    folder = Path(tempfile.mkdtemp(prefix="headworks-passwords-"))
    postgres = Postgres(folder / "data", free_port(5443), PASSWORD)
    process = postgres.start()
    try:
        with psycopg.connect(postgres.url(ANALYTICS)) as connection:
            connection.execute("CREATE TABLE things (id int PRIMARY KEY)")
            connection.execute(f"INSERT INTO things SELECT generate_series(1, {ROWS})")
        yield postgres
    finally:
        Postgres.stop(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def without_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let libpq find no file of the person who runs the tests."""
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "absent"))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "absent"))


def landed(tmp_path: Path) -> int:
    """Land the table by the variables of its block; return how many rows came."""
    lake = Lake(LakeSettings(root=str(tmp_path / "lake")))
    source = reader_of(
        load_database("far-database"), Table(schema_name="public", name="things"), run_id="run"
    )
    return sum(
        report.landed for report in ingest(IngestRequest(lake, "raw.things", "run"), TableIngest(source))
    )


def password_file(server: Postgres, tmp_path: Path, mode: int = 0o600, password: str = PASSWORD) -> Path:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{server.port}:{ANALYTICS}:headworks:{escaped}\n")
    file.chmod(mode)
    return file


@pytest.mark.parametrize("named", ["in PGPASSFILE", "in the URL"])
def test_the_password_comes_from_a_password_file(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    url, file = f"postgresql://headworks@127.0.0.1:{server.port}/{ANALYTICS}", password_file(server, tmp_path)
    if named == "in PGPASSFILE":
        monkeypatch.setenv("PGPASSFILE", str(file))
    else:
        url = f"{url}?passfile={file}"
    monkeypatch.setenv("HEADWORKS_FAR_DATABASE_URL", url)
    assert landed(tmp_path) == ROWS


def test_everything_comes_from_a_service_file(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services.conf"
    file.write_text(
        f"[far]\nhost=127.0.0.1\nport={server.port}\ndbname={ANALYTICS}\nuser=headworks\npassword={PASSWORD}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    monkeypatch.setenv("HEADWORKS_FAR_DATABASE_URL", "postgresql:///?service=far")
    assert landed(tmp_path) == ROWS


@pytest.mark.parametrize("fault", ["no file", "readable by others", "another password"])
def test_a_file_that_does_not_help_is_a_refusal_that_shows_no_password(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """libpq passes by a file that others may read."""
    if fault != "no file":
        password = "another-never-shown" if fault == "another password" else PASSWORD
        mode = 0o644 if fault == "readable by others" else 0o600
        monkeypatch.setenv("PGPASSFILE", str(password_file(server, tmp_path, mode, password)))
    monkeypatch.setenv(
        "HEADWORKS_FAR_DATABASE_URL", f"postgresql://headworks@127.0.0.1:{server.port}/{ANALYTICS}"
    )
    with pytest.raises(CredentialsRefused) as caught:
        landed(tmp_path)
    if fault == "readable by others":
        assert "chmod 600" in str(caught.value)
    assert "never-shown" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
