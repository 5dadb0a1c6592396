"""An export is submitted once, waited for, and its result read; each step resumes, what fails is submitted again."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from headworks.errors import AddressRefused, HeadworksError, ReadIncomplete, WaitTooLong
from tests.hostile.shapes import SHAPES, Things
from tests.hostile.test_shapes import held, nothing, read, source
from tests.support.served import Answer, Asked, served

FILES, PAGES = SHAPES["an export, its files"], SHAPES["an export, its pages"]


@pytest.mark.parametrize("shape", [FILES, PAGES], ids=["files", "pages"])
def test_a_run_that_was_killed_at_any_batch_waits_for_the_same_job(shape: Any) -> None:
    for batches in range(1, 5):
        api = Things()
        with served(api.answer) as upstream:
            reading = source(upstream.url, shape.described, pages=2)
            came = read(reading, nothing(), batches=batches)
            if not (came.position or {})["done"]:
                read(reading, came)
        held(shape, api, came)
        assert len(api.jobs) == 1
        assert len(came.records) == len(api.rows)


def test_the_job_is_in_the_position_before_anything_of_its_result() -> None:
    api = Things()
    with served(api.answer) as upstream:
        came = read(source(upstream.url, FILES.described), nothing(), batches=1)
    assert (came.records, (came.position or {})["job"]) == ([], "j 0")


def test_a_job_that_fails_is_submitted_again_and_not_for_ever() -> None:
    for fails in (1, 3, 4):
        api = Things(fails=fails)
        with served(api.answer) as upstream:
            reading = source(upstream.url, FILES.described)
            if fails > 3:
                with pytest.raises(ReadIncomplete, match="failed"):
                    read(reading, nothing())
            else:
                held(FILES, api, read(reading, nothing()))
        assert len(api.jobs) == min(fails, 3) + 1


def test_a_job_that_takes_long_is_left_to_the_next_run() -> None:
    api = Things()
    with served(api.answer) as upstream:
        patient = source(upstream.url, FILES.described)
        export = {**FILES.described["export"], "longest_s": 1, "poll_s": 1}
        hasty = source(upstream.url, {**FILES.described, "export": {**export, "done": ["never"]}})
        came = nothing()
        with pytest.raises(WaitTooLong, match="'r"):
            read(hasty, came)
        assert (came.position or {})["job"] == "j 0"
        hasty_again = source(upstream.url, FILES.described)
        came.position = {**(came.position or {}), "described": _described(hasty_again)}
        held(FILES, api, read(patient, came))
    assert len(api.jobs) == 1


def _described(reading: Any) -> list[str]:
    from headworks.sources.api.progress import described_as

    return list(described_as(reading.resource, reading.api.settings.base_url))


def test_a_file_that_has_fewer_records_than_the_job_says_is_no_complete_reading() -> None:
    api = Things()

    def short(asked: Asked) -> Answer:
        answer = api.answer(asked)
        if asked.path.endswith("/file/1"):
            return Answer(b'{"id": 1, "n": 1, "at": "2026-01-01T01:00:00Z"}\n')
        return answer

    with served(short) as upstream:
        came = nothing()
        with pytest.raises(HeadworksError, match="announced 18"):
            read(source(upstream.url, FILES.described), came)
    assert came.shown is not True


@pytest.mark.parametrize("allowed", [True, False])
def test_files_elsewhere_are_got_without_credentials_and_only_from_hosts_that_are_named(
    allowed: bool,
) -> None:
    api = Things()
    with served(api.answer) as files:
        elsewhere = files.url.replace("127.0.0.1", "localhost")

        def moved(asked: Asked) -> Answer:
            answer = api.answer(asked)
            if asked.method == "GET" and answer.body.startswith(b"{"):
                said = json.loads(answer.body)
                for one in said["files"]:
                    one["url"] = elsewhere + urlsplit(one["url"]).path + "?signature=s-1234567890"
                return Answer(json.dumps(said).encode(), headers=answer.headers)
            return answer

        with served(moved) as upstream:
            export = {**FILES.described["export"], "file_hosts": ["local*"] if allowed else []}
            came = nothing()
            reading = source(upstream.url, {**FILES.described, "export": export})
            if not allowed:
                with pytest.raises(AddressRefused):
                    read(reading, came)
                return
            held(FILES, api, read(reading, came))
            assert "signature" not in json.dumps(came.position)
    assert len(files.asked) == 2
    assert not any("authorization" in asked.headers for asked in files.asked)


@pytest.mark.parametrize(
    "wrong",
    [
        {"job_field": "job"},
        {"state_field": "status"},
        {"file_field": "file"},
        {"total_field": "count"},
        {"status_path": "/exports/{job}"},
        {"done": ["running"]},
        {"done": ["queued"], "longest_s": 30},
        {"file_field": "files[].name"},
        {"total_field": None},
    ],
)
def test_an_export_that_is_described_wrongly_is_an_error_or_not_called_complete(
    wrong: dict[str, Any],
) -> None:
    api = Things()
    with served(api.answer) as upstream:
        came = nothing()
        try:
            read(
                source(upstream.url, {**FILES.described, "export": {**FILES.described["export"], **wrong}}),
                came,
            )
        except HeadworksError:
            return
    assert came.shown is False or len(came.newest()) == len(api.rows)
