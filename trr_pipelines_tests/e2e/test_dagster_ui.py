"""Tasks of a data engineer in Dagster's UI, in a real browser, against the whole stack."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.stacks import RunningStack, wait_for

PHOTOS = 6


@pytest.fixture(scope="module")
def batch(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A batch imported and rendered by the sensor only; photos and a file that is not an image."""
    folder = tmp_path_factory.mktemp("drop")
    for number in range(PHOTOS):
        (folder / f"{number}.jpg").write_bytes(saved(photo(900, 700, seed=number), "JPEG", quality=95))
    (folder / "note.jpg").write_text("not a picture")
    imported = json.loads(stack.trr("import", str(folder), "--source", "deadline", "--show", "The Valley", "--json"))
    assert imported["created"] == PHOTOS + 1
    (key,) = imported["batches"]

    def all_ended() -> bool:
        status = json.loads(stack.trr("status", "--json"))
        pending = [status["assets"]["pending"], *(kind["pending"] for kind in status["generations"].values())]
        return not any(pending)

    wait_for(all_ended, "the sensor to have the import rendered")
    wait_for(lambda: _latest_run(stack)["status"] == "SUCCESS", "the sensor's run to end")
    return str(key)


def _latest_run(stack: RunningStack) -> dict[str, str]:
    """The newest run, except those of schedules, which may start during the tests."""
    query = "{ runsOrError(limit: 9) { ... on Runs { results { runId status jobName tags { key } } } } }"
    response = httpx.post(f"{stack.dagster}/graphql", json={"query": query}, timeout=30).json()
    for run in response["data"]["runsOrError"]["results"]:
        if "dagster/schedule_name" not in {tag["key"] for tag in run["tags"]}:
            return dict(run)
    return {"runId": "", "status": "none", "jobName": ""}


def test_files_dropped_in_are_rendered_by_the_sensor(stack: RunningStack, batch: str) -> None:
    status = json.loads(stack.trr("status", "--json"))
    assert status["assets"] == {"pending": 0, "mirrored": PHOTOS, "failed": 1}
    assert status["generations"]["base"]["complete"] == PHOTOS
    assert status["generations"]["crop"]["complete"] == PHOTOS
    assert status["failed_by_reason"] == {"not_an_image": 1}
    assert "0 orphan objects, 0 rows without objects" in stack.trr("reconcile")


def test_the_asset_graph_shows_four_assets_that_are_filled(stack: RunningStack, batch: str, page: Page) -> None:
    page.goto(f"{stack.dagster}/locations/trr_pipelines/asset-groups/photos")
    for asset in ("original_images", "base_variants", "auto_crops", "crop_variants"):
        expect(page.get_by_text(asset).first).to_be_visible()
    expect(page.get_by_text("100% filled")).to_have_count(4)


def test_a_partition_shows_its_numbers_and_its_contact_sheet(stack: RunningStack, batch: str, page: Page) -> None:
    page.goto(f"{stack.dagster}/assets/base_variants?view=partitions&partition={batch}")
    for name in ("grid_bytes_before", "grid_bytes_after", "grid_reduction_percent", "card_p95_bytes"):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
    page.get_by_text("Show Markdown").first.click()
    picture = page.get_by_role("dialog").get_by_role("img", name=f"{PHOTOS} photos")
    expect(picture).to_be_visible()
    assert (picture.get_attribute("src") or "").startswith("data:image/webp;base64,")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


def test_the_full_contact_sheet_is_served(stack: RunningStack, batch: str, page: Page) -> None:
    page.goto(f"{stack.dagster}/assets/base_variants?view=partitions&partition={batch}")
    link = page.get_by_role("link", name=re.compile("contact_sheets.+thumb")).get_attribute("href")
    assert link is not None
    response = httpx.get(link)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    assert response.headers["x-content-type-options"] == "nosniff"


def test_numbers_plot(stack: RunningStack, batch: str, page: Page) -> None:
    page.goto(f"{stack.dagster}/assets/base_variants")
    page.get_by_text("Plots", exact=True).click()
    expect(page.get_by_text("grid_reduction_percent").first).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()


def test_failures_are_listed_with_their_reason(stack: RunningStack, batch: str, page: Page) -> None:
    page.goto(f"{stack.dagster}/assets/original_images?view=partitions&partition={batch}")
    expect(page.get_by_text("not_an_image").first).to_be_visible()
    expect(page.get_by_text("note.jpg").first).to_be_visible()


def test_checks_have_results_for_each_partition(stack: RunningStack, batch: str, page: Page) -> None:
    page.goto(f"{stack.dagster}/assets/base_variants?view=checks")
    for check in ("variant_sets_are_complete", "no_row_without_object", "grid_bytes_fell_by_70_percent"):
        expect(page.get_by_text(check).filter(visible=True).first).to_be_visible()
    page.get_by_text("variant_sets_are_complete").filter(visible=True).first.click()
    page.get_by_role("tab", name="Partitions").last.click()
    expect(page.get_by_text("Passed (1)")).to_be_visible()


def test_a_materialisation_launched_in_the_ui_succeeds(stack: RunningStack, batch: str, page: Page) -> None:
    before = _latest_run(stack)["runId"]
    page.goto(f"{stack.dagster}/assets/base_variants?view=partitions&partition={batch}")
    page.get_by_role("button", name="Materialize…").first.click()
    page.get_by_role("dialog").get_by_role("button", name="All", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Launch")).click()
    wait_for(lambda: _latest_run(stack)["runId"] != before, "the run that was launched")
    wait_for(lambda: _latest_run(stack)["status"] in ("SUCCESS", "FAILURE"), "the run to end")
    assert _latest_run(stack)["status"] == "SUCCESS"


def test_only_media_is_served_as_immutable(stack: RunningStack, batch: str) -> None:
    media = stack.home / "media"
    card = next(Path(media / "media-variants").rglob("card.webp")).relative_to(media)
    response = httpx.get(f"{stack.api}/media/{card}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert len(response.content) == (media / card).stat().st_size
    for path in ("/media/../postgres/PG_VERSION", "/media/%2e%2e/postgres/PG_VERSION", "/media/none.html", "/media/"):
        assert httpx.get(stack.api + path).status_code == 404
    assert httpx.get(f"{stack.api}/readyz").json() == {"status": "ready"}


def test_a_process_that_dies_is_restarted(stack: RunningStack, batch: str) -> None:
    started = time.monotonic()
    api = next(int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _is_api_of(folder, stack))
    os.kill(api, signal.SIGKILL)
    wait_for(lambda: _answers(f"{stack.api}/healthz"), "the API to be back")
    assert time.monotonic() - started < 60


def _is_api_of(folder: Path, stack: RunningStack) -> bool:
    try:
        command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
    except OSError:
        return False
    return b"trr_pipelines.api" in command and f"TRR_HOME={stack.home}".encode() in environment


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
