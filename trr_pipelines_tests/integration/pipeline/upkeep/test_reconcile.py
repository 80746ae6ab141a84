"""Reconciling a real store with a real catalogue: orphan objects and missing objects, named, without false alarms."""

from __future__ import annotations

from pathlib import Path

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering.contact_sheets import make_contact_sheet
from trr_pipelines.pipeline.upkeep.reconcile import EXAMPLES, reconcile
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, query, run


@pytest.fixture
def batch(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> str:
    name = import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg(), "text.jpg": b"<html>"})
    run(archive, name, pool=render_pool)
    return name


def test_an_empty_archive_is_clean(archive: Archive) -> None:
    report = reconcile(archive)
    assert (report.is_clean, report.objects_checked, report.rows_checked) == (True, 0, 0)


def test_after_a_run_every_object_has_its_row_and_every_row_its_object(archive: Archive, batch: str) -> None:
    report = reconcile(archive)
    assert (report.is_clean, report.objects_checked, report.rows_checked) == (True, 11, 11)


@pytest.mark.parametrize("folder", ["originals", "variants", "crops"])
def test_an_object_without_a_row_is_an_orphan_and_named(archive: Archive, batch: str, folder: str) -> None:
    key = f"{folder}/no/such/row.webp"
    archive.store.put_if_absent(key, b"x", content_type="image/webp")
    report = reconcile(archive)
    assert (report.orphan_objects, report.rows_without_objects, report.orphan_examples) == (1, 0, (key,))
    assert not report.is_clean


def test_a_row_without_an_object_is_found_and_named(archive: Archive, batch: str) -> None:
    keys = sorted(
        row["hosted_key"]
        for row in query(
            archive.database,
            "select hosted_key from core.media_assets where hosted_key is not null"
            " union all (select hosted_key from core.media_asset_variants order by id limit 2)",
        )
    )
    archive.store.delete(keys)
    report = reconcile(archive)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 3)
    assert report.missing_examples == tuple(keys)


def test_superseded_rows_need_their_objects_and_retired_ones_do_not(archive: Archive, batch: str) -> None:
    query(archive.database, "update core.media_asset_variants set superseded_at = now() where crop_signature <> ''")
    assert reconcile(archive).is_clean
    (card,) = query(
        archive.database,
        "delete from core.media_asset_variants where variant_key = 'card' and format = 'webp' returning *",
    )
    assert reconcile(archive).orphan_objects == 1
    query(
        archive.database,
        "insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes) values (%s, %s, %s, %s)",
        card["hosted_bucket"],
        card["hosted_key"],
        card["media_asset_id"],
        card["bytes"],
    )
    assert reconcile(archive).is_clean
    archive.store.delete([card["hosted_key"]])
    assert reconcile(archive).is_clean


def test_contact_sheets_are_not_orphans(archive: Archive, batch: str) -> None:
    assert make_contact_sheet(archive, batch, "thumb") is not None
    assert reconcile(archive).is_clean


def test_the_number_of_examples_is_limited(archive: Archive) -> None:
    for number in range(EXAMPLES + 5):
        archive.store.put_if_absent(f"crops/{number:03}.webp", b"x", content_type="image/webp")
    report = reconcile(archive)
    assert (report.orphan_objects, len(report.orphan_examples)) == (EXAMPLES + 5, EXAMPLES)
    assert report.report()["orphan_objects"] == EXAMPLES + 5
