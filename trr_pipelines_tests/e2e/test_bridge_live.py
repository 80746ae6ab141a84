"""The bridge in a running stack: what changes in the application is followed there and here, without a command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from trr_pipelines.catalogue.embedded import EmbeddedPostgres, embedded_postgres
from trr_pipelines_tests.support.applications import Rows, new_application, set_name
from trr_pipelines_tests.support.bridged_stacks import BridgedStack, bridged_stack
from trr_pipelines_tests.support.stacks import running, wait_for

CHECKS = ("no_published_url_is_dead", "nothing_of_others_was_changed", "published_is_what_was_rendered")


@pytest.fixture(scope="module")
def bridged(postgres: EmbeddedPostgres, server_home: Path) -> Iterator[BridgedStack]:
    """`trr up`, bridged to an application with one photo, which was taken by a sync of everything."""
    server_home.mkdir()
    with new_application(postgres) as url, running(bridged_stack(server_home / ".trr", url), server_home) as stack:
        bridged = BridgedStack(stack, Rows(url))
        bridged.add_indexes()
        bridged.photo(bridged.rows.person("Zoe"), "images/people/Zoe (1).JPG")
        assert json.loads(stack.trr("bridge", "sync", "--json"))["photos"] == 1
        yield bridged


def recorded(bridged: BridgedStack) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Dagster has of the newest materialisation of `published_variants`: numbers, and checks with theirs."""
    numbers = "metadataEntries { label ... on IntMetadataEntry { intValue } }"
    data = bridged.stack.graphql(
        f'{{ assetOrError(assetKey: {{path: ["published_variants"]}}) {{ ... on Asset {{'
        f" assetMaterializations(limit: 1) {{ {numbers} }} }} }}"
        f' assetNodeOrError(assetKey: {{path: ["published_variants"]}}) {{ ... on AssetNode {{ assetChecksOrError {{'
        f" ... on AssetChecks {{ checks {{ name executionForLatestMaterialization {{ evaluation {{ success {numbers}"
        f" }} }} }} }} }} }} }} }}"
    )

    def by_label(entries: list[dict[str, Any]]) -> dict[str, Any]:
        return {entry["label"]: entry.get("intValue") for entry in entries}

    newest = data["assetOrError"].get("assetMaterializations") or [{"metadataEntries": []}]
    checks = {}
    for check in data["assetNodeOrError"]["assetChecksOrError"]["checks"]:
        evaluation = (check["executionForLatestMaterialization"] or {}).get("evaluation")
        if evaluation is not None:
            checks[check["name"]] = {"success": evaluation["success"], **by_label(evaluation["metadataEntries"])}
    return by_label(newest[0]["metadataEntries"]), checks


def test_changes_are_followed_in_both_directions(bridged: BridgedStack) -> None:
    rows = bridged.rows
    ana = rows.person("Ana")
    asset, link = bridged.photo(ana, "images/people/Ana (1).JPG")
    wait_for(lambda: "display_url" in bridged.metadata(asset), "an inserted photo to be published")
    card = bridged.metadata(asset)["display_url"]
    assert card.startswith(f"{bridged.stack.api}/media/media-variants/{asset}/")
    assert httpx.get(card).headers["content-type"] == "image/webp"

    # A crop and a seed that are set there.
    bridged.set_intent(link, 20.25, 70.5, 1.5)
    rows.execute("update core.media_links set facebank_seed = true where id = %s", link)

    def seeds_here() -> int:
        person = bridged.request("GET", f"/api/v1/admin/people/{ana}")
        return int(person["counts"]["facebank_seeds"])

    wait_for(lambda: seeds_here() == 1, "a seed that was set there")
    wait_for(lambda: "crop_display_url" in bridged.link(link), "the crop of a link")
    assert bridged.link(link)["active_crop_signature"] == "manual:20.250:70.500:1.500"
    assert "crop_display_url" not in bridged.metadata(asset)

    # A crop and a seed that are edited here.
    photo = f"/api/v1/admin/media-assets/{asset}"
    (signature,) = {one["crop"]["signature"] for one in bridged.request("GET", photo)["links"]}
    wanted = {"x": 80.0, "y": 30.0, "zoom": 2.0, "mode": "manual"}
    headers = {"If-Match": f'"{signature}"'}
    bridged.request("PUT", f"{photo}/crop?link_id={link}", json=wanted, headers=headers)
    bridged.request("PATCH", f"/api/v1/admin/person/{ana}/gallery/{link}/facebank-seed", json={"facebank_seed": False})
    wait_for(lambda: bridged.link(link)["thumbnail_crop"] == wanted, "an edited crop")
    wait_for(lambda: not bridged.link(link)["facebank_seed"], "an edited seed")
    wait_for(lambda: bridged.link(link)["active_crop_signature"] == set_name(wanted), "the files of an edited crop")
    assert httpx.get(bridged.link(link)["crop_detail_url"]).headers["content-type"] == "image/webp"
    assert seeds_here() == 0

    # Dagster's event log has it with numbers.
    wait_for(lambda: set(recorded(bridged)[1]) == set(CHECKS), "the checks of the last run")
    numbers, checks = recorded(bridged)
    wanted_numbers = {"rows": 2, "published": 2, "due": 0, "failing": 0, "overwritten": 0}
    assert {name: numbers[name] for name in wanted_numbers} == wanted_numbers
    assert all(check["success"] and check["looked_at"] > 0 for check in checks.values()), checks

    # A row that is deleted there, once the hourly look is due.
    rows.execute("delete from core.media_assets where id = %s", asset)
    catalogue = Rows(embedded_postgres(bridged.stack.home).url("trr"))

    def is_forgotten() -> bool:
        # Again and again, because a look that is under way records when it began.
        catalogue.execute("update core.application_state set value = value - 'deletions' where name = 'looks'")
        return bridged.request("GET", f"/api/v1/admin/people/{ana}")["counts"]["total"] == 0

    wait_for(is_forgotten, "a deleted row to be forgotten")
    assert httpx.get(card).status_code == 200, "browsers may have its URL for a while"
