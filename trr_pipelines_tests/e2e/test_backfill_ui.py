"""A backfill that a data engineer launches in Dagster's UI, over many partitions at once."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.stacks import RunningStack, wait_for

# Runs are sequential; BACKFILL_PARTITIONS=40 is a realistic size.
PARTITIONS = int(os.environ.get("BACKFILL_PARTITIONS", "6"))
PATIENCE_SECONDS = 1500


def graphql(stack: RunningStack, query: str) -> dict[str, object]:
    response = httpx.post(f"{stack.dagster}/graphql", json={"query": query}, timeout=60)
    return dict(response.json()["data"])


def backfills(stack: RunningStack) -> list[dict[str, str]]:
    query = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status numPartitions } } } }"
    return graphql(stack, query)["partitionBackfillsOrError"]["results"]  # type: ignore[index,no-any-return]


def partitions(stack: RunningStack) -> int:
    query = '{ assetNodeOrError(assetKey: {path: ["base_variants"]}) { ... on AssetNode { partitionKeys } } }'
    return len(graphql(stack, query)["assetNodeOrError"]["partitionKeys"])  # type: ignore[index]


def test_a_backfill_of_many_partitions_launched_in_the_ui_completes(
    stack: RunningStack, page: Page, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "in", {f"{n}.jpg": jpeg(300, 200, seed=n) for n in range(PARTITIONS)})
    manifest = tmp_path / "photos.csv"
    rows = [f"{folder / f'{n}.jpg'},s{n:02}" for n in range(PARTITIONS)]  # one source each, so one partition each
    manifest.write_text("\n".join(["path,source", *rows]), encoding="utf-8")
    stack.trr("import", str(manifest), "--source", "archive", "--backfill")
    wait_for(lambda: partitions(stack) == PARTITIONS, "the partitions to be announced")
    page.goto(f"{stack.dagster}/locations/trr_pipelines/asset-groups/photos")
    page.get_by_role("button", name=re.compile("Materialize all")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="All", exact=True).first.click()
    dialog.get_by_role("button", name=re.compile("Launch")).click()
    wait_for(lambda: bool(backfills(stack)), "the backfill")
    assert backfills(stack)[0]["numPartitions"] == PARTITIONS
    finished = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED")
    wait_for(lambda: backfills(stack)[0]["status"] in finished, "the backfill to end", PATIENCE_SECONDS)
    assert backfills(stack)[0]["status"] == "COMPLETED_SUCCESS"
    status = json.loads(stack.trr("status", "--json"))
    assert status["generations"]["base"] == {"pending": 0, "complete": PARTITIONS, "failed": 0}
    assert status["generations"]["crop"] == {"pending": 0, "complete": PARTITIONS, "failed": 0}
    page.goto(f"{stack.dagster}/locations/trr_pipelines/asset-groups/photos")
    expect(page.get_by_text("100% filled")).to_have_count(4)
