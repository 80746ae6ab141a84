"""The rerender job: scattered photos as one run, and what it may say of the partitions that it touched."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, Definitions, ExecuteInProcessResult

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.recipes import CROP
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import EDITOR, import_files, ledger_of, photo_ids, query, run, value


@pytest.fixture
def photos(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> dict[str, UUID]:
    """Rendered photos of two batches."""
    for source in ("bravo", "deadline"):
        files = {f"{source}-{n}.jpg": pictures.jpeg(300, 200, seed=n + len(source)) for n in range(2)}
        run(archive, import_files(archive, tmp_path / source, files, source=source), source, pool=render_pool)
    return photo_ids(archive)


def rerender(
    defs: Definitions, instance: DagsterInstance, *photo_ids: UUID, scope: str = "crops"
) -> ExecuteInProcessResult:
    config = {"photo_ids": [str(photo_id) for photo_id in photo_ids], "scope": scope}
    return defs.resolve_job_def("rerender").execute_in_process(
        instance=instance, run_config={"ops": {"rerender_scattered_photos": {"config": config}}}
    )


def edit(archive: Archive, photo_id: UUID) -> str:
    return set_crop(archive.database, photo_id, Crop("manual", 10, 10, 2), author=EDITOR).signature


def logged(result: ExecuteInProcessResult) -> tuple[set[tuple[str, str | None]], set[tuple[str, str | None]]]:
    """Materialisations and observations, by asset and partition."""
    materialised = {
        (event.asset_key.to_user_string(), event.partition)
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    observed = {
        (event.asset_key.to_user_string(), event.partition)
        for event in result.get_asset_observation_events()
        if event.asset_key
    }
    return materialised, observed


BRAVO, DEADLINE = "20260212-bravo-00001", "20260212-deadline-00001"


def test_edits_of_several_batches_are_one_run_that_materialises_their_partitions(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID]
) -> None:
    edited = [photos["bravo-0.jpg"], photos["deadline-1.jpg"]]
    wanted = {edit(archive, photo) for photo in edited}
    result = rerender(defs, instance, *edited)
    assert result.success
    materialised, observed = logged(result)
    assert materialised == {
        (asset, batch) for asset in ("base_variants", "crop_variants") for batch in (BRAVO, DEADLINE)
    }
    assert observed == set()
    rows = query(
        archive.database,
        "select distinct crop_signature from core.media_asset_variants where media_asset_id = any(%s)"
        " and crop_signature <> '' and superseded_at is null",
        edited,
    )
    assert {row["crop_signature"] for row in rows} == wanted


def test_its_materialisations_carry_the_recipe_and_their_checks(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID]
) -> None:
    edit(archive, photos["bravo-0.jpg"])
    result = rerender(defs, instance, photos["bravo-0.jpg"])
    record = instance.get_latest_materialization_event(AssetKey("crop_variants"))
    assert record is not None
    assert record.asset_materialization is not None
    assert record.asset_materialization.tags is not None
    assert record.asset_materialization.tags["dagster/code_version"] == CROP.fingerprint
    check = AssetCheckKey(AssetKey("crop_variants"), "active_crops_are_rendered")
    (found,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=5)
    assert found.event is not None
    evaluation = found.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    assert (evaluation.passed, evaluation.partition) == (True, BRAVO)
    assert result.success


@pytest.mark.parametrize("other", ["pending", "outdated", "failed"])
def test_one_photo_never_turns_a_partition_green(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID], other: str
) -> None:
    change = {
        "pending": "state = 'pending'",
        "outdated": "recipe = 'old'",
        "failed": "state = 'failed', reason = 'truncated'",
    }[other]
    query(
        archive.database,
        f"update core.variant_generations set {change} where kind = 'base' and media_asset_id = %s",  # noqa: S608
        photos["bravo-1.jpg"],
    )
    edit(archive, photos["bravo-0.jpg"])
    materialised, observed = logged(rerender(defs, instance, photos["bravo-0.jpg"]))
    if other == "failed":  # it has ended, and the partition says so in its figures
        assert materialised == {("base_variants", BRAVO), ("crop_variants", BRAVO)}
    else:
        assert (materialised, observed) == ({("crop_variants", BRAVO)}, {("base_variants", BRAVO)})


def test_the_scope_is_free_again_when_the_run_has_ended(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID]
) -> None:
    edit(archive, photos["bravo-0.jpg"])
    rerender(defs, instance, photos["bravo-0.jpg"])
    assert query(archive.database, "select scope, epoch, lease_until from core.dispatches") == [
        {"scope": "crops", "epoch": 2, "lease_until": None}
    ]


def test_photos_without_work_are_left_alone(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID]
) -> None:
    before = value(archive.database, "select max(updated_at) from core.variant_generations")
    assert rerender(defs, instance, *photos.values(), scope="").success
    assert value(archive.database, "select max(updated_at) from core.variant_generations") == before
    assert ledger_of(archive, "bravo-0.jpg") == {"original": "complete", "base": "complete", "crop": "complete"}


def test_a_partition_that_is_edited_again_is_checked_again(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID]
) -> None:
    photo = photos["bravo-0.jpg"]
    for zoom in (2.0, 3.0):
        set_crop(archive.database, photo, Crop("manual", 10, 10, zoom), author=EDITOR)
        result = rerender(defs, instance, photo)
        assert result.success
        checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            [AssetCheckKey(AssetKey("crop_variants"), "active_crops_are_rendered")]
        )
        (latest,) = checks.values()
        assert latest.run_id == result.run_id


def test_a_run_takes_edits_along_that_came_after_it_was_asked_for(
    defs: Definitions, instance: DagsterInstance, archive: Archive, photos: dict[str, UUID]
) -> None:
    edited = {photo: edit(archive, photo) for photo in (photos["bravo-0.jpg"], photos["deadline-1.jpg"])}
    assert rerender(defs, instance, photos["bravo-0.jpg"]).success
    for photo, signature in edited.items():
        served = "select served from core.variant_generations where kind = 'crop' and media_asset_id = %s"
        assert value(archive.database, served, photo) == signature


def retry(defs: Definitions, instance: DagsterInstance, **config: object) -> ExecuteInProcessResult:
    return defs.resolve_job_def("retry_failures").execute_in_process(
        instance=instance, run_config={"ops": {"ask_for_failures": {"config": config}}}, raise_on_error=False
    )


def metadata_of(result: ExecuteInProcessResult, op: str) -> dict[str, object]:
    (output,) = [event for event in result.all_events if event.is_successful_output and event.step_key == op]
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def test_failures_are_retried_by_reason_and_source_and_the_run_reports_what_was_fixed(
    defs: Definitions, instance: DagsterInstance, archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    cut = pictures.jpeg()[:4000]
    run(archive, import_files(archive, tmp_path / "in", {"cut.jpg": cut}), pool=render_pool)
    dry = retry(defs, instance, reason="truncated", source="deadline", dry_run=True)
    assert metadata_of(dry, "ask_for_failures") == {"photos": 1, "bytes_to_read": len(cut), "photos_capped": False}
    assert ledger_of(archive, "cut.jpg")["base"] == "truncated"
    asked = retry(defs, instance, reason="truncated", source="deadline")
    assert metadata_of(asked, "ask_for_failures")["id"] == 1
    again = rerender(defs, instance, *photo_ids(archive).values(), scope="retries")
    assert metadata_of(again, "rerender_scattered_photos")["retry_1"] == "0 of 1 fixed, 1 still truncated"


@pytest.mark.parametrize("config", [{"reason": "bad_luck"}, {"source": "nowhere"}])
def test_an_unknown_reason_or_source_is_refused_by_name(
    defs: Definitions, instance: DagsterInstance, config: dict[str, str]
) -> None:
    result = retry(defs, instance, **config)
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert next(iter(config.values())) in failed.step_failure_data.error.message  # type: ignore[union-attr]
