"""Amazon's APIs as moto answers for them: a table of DynamoDB, and a stream of CloudWatch's logs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers import flights
from tests.servers.process import free_port, running

TABLE, GROUP, STREAM = "planes", "nyc", "sightings"
BATCH = 25


@contextmanager
def aws(folder: Path) -> Iterator[str]:
    """Serve the planes as a table, and their first hundred as log events, at the URL that is given."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(
        ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], f"{url}/moto-api/", folder / "log"
    ):
        _fill_table(url)
        _fill_logs(url)
        yield url


def headers(service: str, operation: str) -> dict[str, str]:
    """Return what a request to one of the services must say; moto reads the service, and checks no signature."""
    signed = f"AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    version = {"dynamodb": "DynamoDB_20120810", "logs": "Logs_20140328"}[service]
    return {
        "Authorization": f"{signed}, Signature=none",
        "X-Amz-Target": f"{version}.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
    }


def planes() -> list[dict[str, Any]]:
    """Return six hundred planes, as many as fill a few pages."""
    return flights.planes().head(600).select("tailnum", "seats", "model").to_dicts()


def _call(url: str, service: str, operation: str, content: dict[str, Any]) -> None:
    httpx.post(
        url, headers=headers(service, operation), content=json.dumps(content), timeout=60
    ).raise_for_status()


def _fill_table(url: str) -> None:
    key = {"AttributeName": "tailnum", "KeyType": "HASH"}
    attribute = {"AttributeName": "tailnum", "AttributeType": "S"}
    shape = {"TableName": TABLE, "KeySchema": [key], "AttributeDefinitions": [attribute]}
    _call(url, "dynamodb", "CreateTable", {**shape, "BillingMode": "PAY_PER_REQUEST"})
    puts = [
        {
            "PutRequest": {
                "Item": {
                    "tailnum": {"S": row["tailnum"]},
                    "seats": {"N": str(row["seats"])},
                    "model": {"S": row["model"]},
                }
            }
        }
        for row in planes()
    ]
    for at in range(0, len(puts), BATCH):
        _call(url, "dynamodb", "BatchWriteItem", {"RequestItems": {TABLE: puts[at : at + BATCH]}})


def _fill_logs(url: str) -> None:
    named = {"logGroupName": GROUP, "logStreamName": STREAM}
    _call(url, "logs", "CreateLogGroup", {"logGroupName": GROUP})
    _call(url, "logs", "CreateLogStream", named)
    # Recent ones, since the service refuses what is older than two weeks.
    last = int(time.time() * 1000)
    events = [
        {"timestamp": last - 1000 + number, "message": json.dumps(row)}
        for number, row in enumerate(planes()[:100])
    ]
    _call(url, "logs", "PutLogEvents", {**named, "logEvents": events})
