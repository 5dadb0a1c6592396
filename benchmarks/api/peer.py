"""dlt's rest_api on the same server, into a Delta table: run by an environment of its own, which has nothing of ours.

It prints one line of JSON, as ``ways.py`` does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"


def main() -> None:
    """Land all pages with dlt."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument("--per-page", type=int, required=True)
    options = parser.parse_args()
    import dlt
    from dlt.sources.rest_api import rest_api_source

    paginator = {
        "type": "page_number",
        "base_page": 1,
        "page_param": "page",
        "total_path": "meta.pages",
    }
    source = rest_api_source(
        {
            "client": {"base_url": options.url, "paginator": paginator},
            "resources": [
                {
                    "name": "things",
                    "endpoint": {"path": "things", "params": {"per_page": 100}, "data_selector": "data"},
                    "table_format": "delta",
                    "parallelized": True,
                }
            ],
        }
    )
    with tempfile.TemporaryDirectory() as root:
        pipeline = dlt.pipeline(
            "bench",
            destination=dlt.destinations.filesystem(f"file://{root}/lake"),
            dataset_name="bench",
            pipelines_dir=f"{root}/state",
        )
        begun = time.perf_counter()
        pipeline.run(source)
        took_s = time.perf_counter() - begun
        rows = _rows(f"{root}/lake/bench/things")
    assert rows == options.pages * options.per_page, rows
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {"seconds": round(took_s, 3), "cpu_s": round(time.process_time(), 2), "peak_mb": round(peak_mb)}
        )
    )


def _rows(table: str) -> int:
    from deltalake import DeltaTable

    return int(DeltaTable(table).to_pyarrow_table(columns=["id"]).num_rows)


if __name__ == "__main__":
    main()
