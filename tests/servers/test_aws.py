"""Amazon's ways of paging, as moto has them: a token that is an object, and one that comes again at the end."""

from __future__ import annotations

import json

from headworks.sources.api.paginate import Cursor
from headworks.sources.api.resource import Resource
from headworks.storage.store import Lake
from tests.servers.aws import GROUP, STREAM, TABLE, headers, planes
from tests.servers.exact import records, sums, take

TRUTH = planes()


def test_a_table_by_the_object_of_its_last_key(lake: Lake, aws_url: str) -> None:
    """DynamoDB takes the last evaluated key, an object, back in the body."""
    resource = Resource(
        path="/",
        method="POST",
        headers=headers("dynamodb", "Scan"),
        body={"TableName": TABLE},
        records="Items",
        pagination=Cursor(
            cursor_parameter="ExclusiveStartKey",
            cursor_field="LastEvaluatedKey",
            send_in="body",
            size_parameter="Limit",
            size_in="body",
            size=70,
        ),
        key=("tailnum.S",),
    )
    report = take(lake, aws_url, resource, batch_pages=2)
    held = [
        {"tailnum": row["tailnum"]["S"], "seats": int(row["seats"]["N"]), "model": row["model"]["S"]}
        for row in records(lake)
    ]
    assert sums(held, ("tailnum",), "seats") == sums(TRUTH, ("tailnum",), "seats")
    assert sorted(held, key=lambda row: row["tailnum"]) == sorted(TRUTH, key=lambda row: row["tailnum"])
    assert (report.pages, report.shown) == (9, True)


def test_a_stream_of_logs_whose_token_comes_again_at_the_end(lake: Lake, aws_url: str) -> None:
    """CloudWatch always gives a token; the same one again is the end."""
    resource = Resource(
        path="/",
        method="POST",
        headers=headers("logs", "GetLogEvents"),
        body={"logGroupName": GROUP, "logStreamName": STREAM, "startFromHead": True},
        records="events",
        pagination=Cursor(
            cursor_parameter="nextToken",
            cursor_field="nextForwardToken",
            send_in="body",
            same_ends=True,
            stable=True,
            size_parameter="limit",
            size_in="body",
            size=30,
        ),
    )
    report = take(lake, aws_url, resource)
    held = [json.loads(event["message"]) for event in records(lake)]
    assert held == TRUTH[:100]
    assert report.shown
