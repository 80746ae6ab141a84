"""A batch through Dagster: materialisations, checks per partition, numbers that plot, subsets, failures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, Definitions, ExecuteInProcessResult
from PIL import Image

from trr_pipelines.imaging.recipes import BASE
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, import_path, ledger_of, query, value

ASSETS = {"original_images", "base_variants", "auto_crops", "crop_variants"}
CHECKS = {
    ("original_images", "originals_are_intact"),
    ("original_images", "originals_within_guardrails"),
    ("original_images", "failure_rate_by_source"),
    ("base_variants", "variant_sets_are_complete"),
    ("base_variants", "no_row_without_object"),
    ("base_variants", "nothing_was_upscaled"),
    ("base_variants", "grid_bytes_fell_by_70_percent"),
    ("crop_variants", "active_crops_are_rendered"),
}


@pytest.fixture
def batch(archive: Archive, tmp_path: Path) -> str:
    files = {"a.png": pictures.saved(pictures.photo(900, 700), "PNG"), "b.jpg": pictures.jpeg(), "text.jpg": b"<html>"}
    return import_files(archive, tmp_path / "in", files)


def run(
    defs: Definitions,
    instance: DagsterInstance,
    batch: str,
    assets: Sequence[str] | None = None,
    *,
    raise_on_error: bool = True,
) -> ExecuteInProcessResult:
    instance.add_dynamic_partitions("import_batches", [batch])
    return defs.resolve_job_def("import_batch").execute_in_process(
        instance=instance,
        partition_key=batch,
        asset_selection=None if assets is None else [AssetKey(name) for name in assets],
        raise_on_error=raise_on_error,
    )


def metadata(result: ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """By asset: its materialisation's metadata, as values."""
    found = {}
    for event in result.get_asset_materialization_events():
        one = event.step_materialization_data.materialization
        found[one.asset_key.to_user_string()] = {name: entry.value for name, entry in one.metadata.items()}
    return found


def checks(result: ExecuteInProcessResult) -> dict[tuple[str, str], tuple[bool, str | None]]:
    return {
        (one.asset_key.to_user_string(), one.check_name): (one.passed, one.partition)
        for one in result.get_asset_check_evaluations()
    }


def test_a_batch_is_materialised_with_all_its_checks_in_its_partition(
    defs: Definitions, instance: DagsterInstance, batch: str
) -> None:
    result = run(defs, instance, batch)
    assert result.success
    assert set(metadata(result)) == ASSETS
    partitions = {event.partition for event in result.get_asset_materialization_events()}
    assert partitions == {batch}
    assert checks(result) == dict.fromkeys(CHECKS, (True, batch))
    for asset in ASSETS:
        assert instance.get_materialized_partitions(AssetKey(asset)) == {batch}


def test_all_numbers_are_numbers_and_say_what_the_run_did(
    defs: Definitions, instance: DagsterInstance, batch: str
) -> None:
    found = metadata(run(defs, instance, batch))
    base = found["base_variants"]
    numbers = [name for name in base if name.startswith(("run_", "grid_", "median_", "card_", "thumb_"))]
    assert len(numbers) > 10
    assert all(type(base[name]) in (int, float) for name in numbers)
    assert (base["complete"], base["failed"], base["run_photos"], base["run_objects_written"]) == (2, 0, 2, 20)
    assert base["dagster/partition_row_count"] == base["variant_rows"] == 12
    assert base["grid_bytes_after"] < base["grid_bytes_before"]
    originals = found["original_images"]
    assert (originals["photos"], originals["mirrored"], originals["failed"], originals["run_failed"]) == (3, 2, 1, 1)
    assert "not_an_image" in str(originals["failures"])
    assert found["crop_variants"]["variant_rows"] == 8
    assert (found["auto_crops"]["auto"], found["auto_crops"]["manual"]) == (2, 0)


def test_contact_sheets_are_small_pictures_in_markdown(
    defs: Definitions, instance: DagsterInstance, batch: str
) -> None:
    found = metadata(run(defs, instance, batch))
    for asset, sheet, title in (
        ("base_variants", "contact_sheet", "2 photos"),
        ("base_variants", "least_saved", "the 2 photos that save least: original left, card right"),
        ("crop_variants", "contact_sheet", "2 photos"),
    ):
        markdown = found[asset][sheet]
        assert len(markdown) <= 16 * 1024
        assert markdown.startswith(f"{title}\n\n![{title}](data:image/webp;base64,")
        picture = base64.b64decode(markdown.partition("base64,")[2].removesuffix(")"))
        with Image.open(io.BytesIO(picture), formats=["WEBP"]) as opened:
            assert opened.width >= 64
        assert "/contact_sheets/" in found[asset][f"{sheet}_full"]


def test_partitions_link_to_the_galleries_that_show_their_photos(
    defs: Definitions, instance: DagsterInstance, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRR_ADMIN_URL", "https://admin.example")
    files = {f"{number}.jpg": pictures.jpeg(seed=number) for number in range(2)}
    batch = import_files(archive, tmp_path / "in", files, show="The [Valley]", season=2)
    import_path(archive, tmp_path / "in" / "0.jpg", person="Ann Lee")
    found = metadata(run(defs, instance, batch, ["original_images"]))
    assert found["original_images"]["galleries"].splitlines() == [
        r"- [The \[Valley\]](https://admin.example/admin/trr-shows/the-valley), photos of this batch: 2",
        "- [Ann Lee](https://admin.example/admin/trr-people/ann-lee), photos of this batch: 1",
    ]


def test_materialising_a_finished_batch_writes_nothing(
    defs: Definitions, instance: DagsterInstance, batch: str
) -> None:
    run(defs, instance, batch)
    again = metadata(run(defs, instance, batch))
    for asset in ("original_images", "base_variants"):
        for name in ("run_photos", "run_objects_written", "run_rows_written", "run_bytes_written", "run_bytes_read"):
            assert again[asset][name] == 0
    assert again["base_variants"]["complete"] == 2


@pytest.mark.parametrize(
    ("assets", "ledger"),
    [
        (["base_variants"], {"original": "complete", "base": "complete", "crop": "pending"}),
        (["auto_crops"], {"original": "complete", "base": "pending", "crop": "complete"}),
        (["crop_variants"], {"original": "complete", "base": "pending", "crop": "pending"}),
        (["auto_crops", "crop_variants"], {"original": "complete", "base": "pending", "crop": "complete"}),
    ],
)
def test_a_selection_makes_what_was_selected_and_checks_that_alone(
    defs: Definitions,
    instance: DagsterInstance,
    archive: Archive,
    batch: str,
    assets: list[str],
    ledger: dict[str, str],
) -> None:
    run(defs, instance, batch, ["original_images"])
    result = run(defs, instance, batch, assets)
    assert set(metadata(result)) == set(assets)
    assert set(checks(result)) == {check for check in CHECKS if check[0] in assets}
    assert all(passed for passed, _ in checks(result).values())
    assert ledger_of(archive, "b.jpg") == ledger


def test_a_lost_original_stops_what_would_be_made_from_it(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str
) -> None:
    run(defs, instance, batch, ["original_images"])
    archive.store.delete([value(archive.database, "select min(hosted_key) from core.media_assets")])
    result = run(defs, instance, batch, raise_on_error=False)
    assert not result.success
    assert checks(result)[("original_images", "originals_are_intact")] == (False, batch)
    assert "base_variants" not in metadata(result)


def test_a_damaged_variant_fails_its_check_and_there_is_no_sheet(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str, tmp_path: Path
) -> None:
    run(defs, instance, batch)
    for row in query(archive.database, "select hosted_key from core.media_asset_variants where variant_key = 'thumb'"):
        (tmp_path / "media" / row["hosted_key"]).write_bytes(b"rotten")
    archive.store.delete([item.key for item in archive.store.list("contact_sheets/")])
    result = run(defs, instance, batch, raise_on_error=False)
    assert checks(result)[("base_variants", "no_row_without_object")] == (False, batch)
    assert "contact_sheet" not in metadata(result)["base_variants"]


def test_warnings_stop_nothing(defs: Definitions, instance: DagsterInstance, archive: Archive, tmp_path: Path) -> None:
    batch = import_files(
        archive, tmp_path / "tiny", {"a.webp": pictures.saved(pictures.photo(64, 48), "WEBP", quality=5)}
    )
    result = run(defs, instance, batch)
    assert result.success
    assert checks(result)[("base_variants", "grid_bytes_fell_by_70_percent")][0] is False
    assert len(metadata(result)) == len(ASSETS)


def test_a_batch_that_the_catalogue_does_not_know_fails_by_name(
    defs: Definitions, instance: DagsterInstance, archive: Archive
) -> None:
    result = run(defs, instance, "20260212-unknown-00001", raise_on_error=False)
    assert not result.success
    failed = [event for event in result.all_events if event.event_type is DagsterEventType.STEP_FAILURE]
    assert "no import batch '20260212-unknown-00001'" in str(failed[0].step_failure_data.error)


def test_partitions_are_stale_by_the_recipe(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert graph.get(AssetKey("base_variants")).code_version == BASE.fingerprint
    for check in graph.asset_check_keys:
        if (check.asset_key.to_user_string(), check.name) in CHECKS:
            assert graph.get(check).partitions_def == graph.get(check.asset_key).partitions_def
