"""Every check of the project made to fail by breaking what it guards: it says what and where.

A check that has no row in a table here fails the last test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetCheckSeverity, AssetKey, DagsterInstance, Definitions

from trr_pipelines.catalogue.database import Database
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import add_ended_photos, import_files, query, run, value
from trr_pipelines_tests.support.face_banks import add_person, add_photos, bank_query


@dataclass(frozen=True)
class Broken:
    """What was broken: the batch that it is in, and what the check must name."""

    batch: str
    named: str


Break = Callable[[Archive, str], Broken]

CARD = "from core.media_asset_variants where variant_key = 'card' and format = 'webp' order by id limit 1"


def delete_original(archive: Archive, batch: str) -> Broken:
    key = value(archive.database, "select min(hosted_key) from core.media_assets")
    archive.store.delete([key])
    return Broken(batch, key)


def delete_card(archive: Archive, batch: str) -> Broken:
    key = value(archive.database, f"select hosted_key {CARD}")
    archive.store.delete([key])
    return Broken(batch, key)


def delete_row_of_card(archive: Archive, batch: str) -> Broken:
    photo = value(
        archive.database,
        f"delete from core.media_asset_variants where id = (select id {CARD}) returning media_asset_id",  # noqa: S608  our own
    )
    return Broken(batch, str(photo))


def enlarge_card(archive: Archive, batch: str) -> Broken:
    change = "update core.media_asset_variants set width = 9999"
    photo = value(archive.database, f"{change} where id = (select id {CARD}) returning media_asset_id")
    return Broken(batch, str(photo))


def save_nothing(archive: Archive, batch: str) -> Broken:
    query(archive.database, "update core.media_assets set bytes = 500 where bytes is not null")
    return Broken(batch, batch)


def switch_crop(archive: Archive, batch: str) -> Broken:
    photo = value(
        archive.database,
        "update core.media_asset_crops set crop_signature = repeat('f', 64)"
        " where id = (select min(id) from core.media_asset_crops) returning media_asset_id",
    )
    return Broken(batch, str(photo))


def oversize(archive: Archive, batch: str) -> Broken:
    query(archive.database, "update core.media_assets set bytes = 20000001 where format = 'png'")
    return Broken(batch, "20,000,001 bytes, above 20,000,000")


def fail_a_source(archive: Archive, batch: str) -> Broken:
    return Broken(add_ended_photos(archive, "bravo", 20, failed=3), "bravo")


def wait(archive: Archive, batch: str) -> Broken:
    query(archive.database, "update core.media_assets set created_at = now() - interval '2 hours'")
    query(archive.database, "update core.variant_generations set state = 'pending', recipe = '' where kind = 'base'")
    return Broken(batch, batch)


OF_BATCHES: dict[tuple[str, str], Break] = {
    ("original_images", "originals_are_intact"): delete_original,
    ("original_images", "originals_within_guardrails"): oversize,
    ("original_images", "failure_rate_by_source"): fail_a_source,
    ("base_variants", "variant_sets_are_complete"): delete_row_of_card,
    ("base_variants", "no_row_without_object"): delete_card,
    ("base_variants", "nothing_was_upscaled"): enlarge_card,
    ("base_variants", "grid_bytes_fell_by_70_percent"): save_nothing,
    ("crop_variants", "active_crops_are_rendered"): switch_crop,
}
OF_ALL: dict[tuple[str, str], Break] = {
    **{("archive_health", name): act for (_, name), act in OF_BATCHES.items()},
    ("archive_health", "live_work_waits_less_than_an_hour"): wait,
}
OF_RETENTION = {("superseded_variants", "nothing_listed_is_referenced")}
OF_PEOPLE = {("facebank_images", name) for name in ("no_duplicate_faces", "approvals_untouched", "seeds_match_backend")}
JOBS = {"archive_health": "health", "facebank_images": "facebank_import", "superseded_variants": "retention"}
BLOCKING = {
    "originals_are_intact",
    "variant_sets_are_complete",
    "no_row_without_object",
    "active_crops_are_rendered",
    "nothing_listed_is_referenced",
    "no_duplicate_faces",
    "approvals_untouched",
}


@pytest.fixture
def batch(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> str:
    """Two rendered photos."""
    files = {"a.png": pictures.saved(pictures.photo(800, 500), "PNG"), "b.jpg": pictures.jpeg(90, 120)}
    name = import_files(archive, tmp_path / "in", files)
    run(archive, name, pool=render_pool)
    return name


def evaluate(
    defs: Definitions, instance: DagsterInstance, *checks: tuple[str, str], partition: str | None = None
) -> dict[str, AssetCheckEvaluation]:
    """What Dagster records of these checks, by name, when nothing but them runs."""
    keys = {AssetCheckKey(AssetKey(asset), name) for asset, name in checks}
    job = defs.resolve_job_def(JOBS.get(checks[0][0], "import_batch")).get_subset(asset_check_selection=keys)
    ended = job.execute_in_process(instance=instance, partition_key=partition, raise_on_error=False)
    found = {one.check_name: one for one in ended.get_asset_check_evaluations()}
    assert found.keys() == {name for _, name in checks}
    return found


def where(evaluation: AssetCheckEvaluation) -> str:
    entry: Any = evaluation.metadata["where"]
    return " ".join(str(row.data) for row in entry.records)


def assert_named(evaluation: AssetCheckEvaluation, named: str, partition: str | None) -> None:
    severity = AssetCheckSeverity.ERROR if evaluation.check_name in BLOCKING else AssetCheckSeverity.WARN
    assert (evaluation.passed, evaluation.severity, evaluation.partition) == (False, severity, partition)
    assert named in where(evaluation)


@pytest.mark.parametrize("check", OF_BATCHES, ids=lambda check: str(check[1]))
def test_a_check_of_batches_says_what_is_broken_and_where(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str, check: tuple[str, str]
) -> None:
    broken = OF_BATCHES[check](archive, batch)
    instance.add_dynamic_partitions("import_batches", [broken.batch])
    assert_named(evaluate(defs, instance, check, partition=broken.batch)[check[1]], broken.named, broken.batch)


@pytest.mark.parametrize("check", OF_ALL, ids=lambda check: str(check[1]))
def test_over_the_archive_the_broken_batch_is_named(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str, check: tuple[str, str]
) -> None:
    assert evaluate(defs, instance, check)[check[1]].passed
    broken = OF_ALL[check](archive, batch)
    evaluation = evaluate(defs, instance, check)[check[1]]
    assert_named(evaluation, broken.named, None)
    worst: Any = evaluation.metadata.get("worst_batches") or evaluation.metadata["where"]
    assert broken.batch in [row.data["batch"] for row in worst.records]


def test_the_check_of_retention_names_the_object(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str
) -> None:
    (check,) = OF_RETENTION
    assert evaluate(defs, instance, check)[check[1]].passed
    key = value(
        archive.database,
        "insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)"
        f" select hosted_bucket, hosted_key, 'orphan', bytes {CARD} returning hosted_key",
    )
    assert_named(evaluate(defs, instance, check)[check[1]], key, None)


def test_the_checks_of_the_face_bank_name_photo_and_person(
    defs: Definitions,
    instance: DagsterInstance,
    archive: Archive,
    bank: FaceBank,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from trr_pipelines.api.app import create_app

    for name, setting in backends.environment(archive).items():
        monkeypatch.setenv(name, setting)
    monkeypatch.setenv("SCREENALYTICS_DB_URL", bank.url.get_secret_value())
    person: UUID = add_person(database)
    (photo,) = add_photos(database, person, 1, seeds=1)
    instance.add_dynamic_partitions("facebank_people", [str(person)])
    with backends.serving(create_app(), backends.ADMIN_APP) as client:
        monkeypatch.setenv("TRR_API_URL", str(client.base_url))
        job = defs.resolve_job_def("facebank_import")
        ended = job.execute_in_process(instance=instance, partition_key=str(person))
        assert {one.check_name: one.passed for one in ended.get_asset_check_evaluations()} == {
            name: True for _, name in OF_PEOPLE
        }
        bank_query(bank, "alter table face_bank_images drop constraint face_bank_images_person_id_media_asset_id_key")
        bank_query(
            bank,
            "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height,"
            " source, caption, is_seed) select person_id, media_asset_id, link_id, served_url, sha256, width, height,"
            " source, caption, is_seed from face_bank_images",
        )
        bank_query(bank, "update person set reviews_changed = 3")
        bank_query(bank, "update face_bank_images set is_seed = false")
        found = evaluate(defs, instance, *OF_PEOPLE, partition=str(person))
    named = {"approvals_untouched": str(person)}
    for name, evaluation in found.items():
        assert_named(evaluation, named.get(name, str(photo.media_asset_id)), str(person))


def test_no_check_is_without_a_row_here(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    there_are = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    assert there_are == {*OF_BATCHES, *OF_ALL, *OF_RETENTION, *OF_PEOPLE}


def test_checks_have_the_partitions_of_their_assets(defs: Definitions) -> None:
    """Dagster does not refuse others, and its UI then shows results without a partition."""
    graph = defs.resolve_asset_graph()
    for check in graph.asset_check_keys:
        assert graph.get(check).partitions_def == graph.get(check.asset_key).partitions_def, check
