"""The repairs that docs/checks.md names for each claim, by the commands it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import invariants
from trr_pipelines.pipeline.checks.invariants import Finding
from trr_pipelines.pipeline.upkeep import retention
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, ledger_of, photo_ids, query, run, value
from trr_pipelines_tests.support.commands import Trr

PHOTO = pictures.jpeg(800, 600)
CARD = "from core.media_asset_variants where variant_key = 'card' and format = 'webp'"
VARIANTS = "update core.media_asset_variants set"

Claim = Callable[[Archive, str | None], Finding]


@pytest.fixture
def batch(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> str:
    """A complete photo, and one that was truncated on its way."""
    name = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO, "cut.jpg": pictures.jpeg(seed=1)[:4000]})
    run(archive, name, pool=render_pool)
    return name


@pytest.fixture
def photo(archive: Archive, batch: str) -> UUID:
    return photo_ids(archive)["a.jpg"]


@pytest.fixture
def trr(tmp_path: Path, database_url: str, empty_database_url: str) -> Trr:
    """`trr` on the test's archive."""
    return Trr(
        tmp_path,
        TRR_DATABASE_URL=database_url,
        TRR_DAGSTER_PG_URL=empty_database_url,
        TRR_MEDIA_STORE=f"file:{tmp_path / 'media'}",
        TRR_RENDER_PROCESSES="1",
    )


def file_of(archive: Archive, tmp_path: Path, sql: str) -> Path:
    return tmp_path / "media" / value(archive.database, f"select hosted_key {sql}")


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


damaging = pytest.mark.parametrize("damage", [delete, cut, empty])


@damaging
@pytest.mark.parametrize("repair", ["backup", "the same file"])
def test_an_original_is_restored_from_a_backup_or_by_its_file(
    archive: Archive, photo: UUID, trr: Trr, tmp_path: Path, damage: Callable[[Path], None], repair: str
) -> None:
    path = file_of(archive, tmp_path, "from core.media_assets where state = 'mirrored'")
    damage(path)
    assert not invariants.originals_are_intact(archive, None).passed
    assert trr.here("reconcile").code == 1
    if repair == "backup":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PHOTO)
    else:
        assert trr("replace", str(photo), tmp_path / "in/a.jpg").code == 0
    assert invariants.originals_are_intact(archive, None).passed
    assert trr.here("reconcile", "--hashes").code == 0


def test_a_better_file_takes_the_place_of_a_lost_original(
    archive: Archive, photo: UUID, trr: Trr, tmp_path: Path
) -> None:
    lost = file_of(archive, tmp_path, "from core.media_assets where state = 'mirrored'")
    lost.unlink()
    (tmp_path / "better.jpg").write_bytes(pictures.jpeg(1000, 750))
    assert trr("replace", str(photo), tmp_path / "better.jpg").code == 0
    assert trr("run").code == 0
    assert invariants.originals_are_intact(archive, None).passed
    assert ledger_of(archive, "a.jpg") == {"original": "complete", "base": "complete", "crop": "complete"}
    (missing,) = trr.here("reconcile", "--json").json["missing_examples"]  # the earlier version, which is kept
    assert lost.name in missing


@damaging
@pytest.mark.parametrize("which", ["variant_key = 'card'", "crop_signature <> ''"])
def test_derivatives_are_rendered_again(
    archive: Archive, photo: UUID, trr: Trr, tmp_path: Path, damage: Callable[[Path], None], which: str
) -> None:
    for row in query(archive.database, f"select hosted_key from core.media_asset_variants where {which}"):  # noqa: S608
        damage(tmp_path / "media" / row["hosted_key"])
    assert not invariants.variant_objects_are_intact(archive, None).passed
    assert trr.here("reconcile").code == 1
    assert trr("reprocess", str(photo)).code == 0
    assert trr("run").code == 0
    assert invariants.variant_objects_are_intact(archive, None).passed
    assert trr.here("reconcile", "--hashes").code == 0


@pytest.mark.parametrize(
    ("claim", "sql"),
    [
        (invariants.variant_sets_are_complete, f"delete {CARD}"),
        (invariants.variant_sets_are_complete, f"{VARIANTS} recipe = 'other' where variant_key = 'card'"),
        (
            invariants.active_crops_are_rendered,
            "update core.media_asset_crops set crop_signature = repeat('f', 64) where is_active",
        ),
        (invariants.nothing_was_upscaled, f"{VARIANTS} width = 9999 where variant_key = 'card'"),
        (invariants.variant_objects_are_intact, f"{VARIANTS} bytes = bytes + 1 where variant_key = 'card'"),
    ],
)
def test_rows_that_were_changed_by_hand_are_written_again(
    archive: Archive, photo: UUID, trr: Trr, claim: Claim, sql: str
) -> None:
    query(archive.database, sql)
    assert not claim(archive, None).passed
    assert trr("reprocess", str(photo)).code == 0
    assert trr("run").code == 0
    assert claim(archive, None).passed


def test_photos_of_a_source_that_works_again_are_reprocessed_by_their_reason(
    archive: Archive, batch: str, trr: Trr, tmp_path: Path
) -> None:
    query(
        archive.database,
        "update core.variant_generations set state = 'failed', reason = 'fetch_failed' where kind = 'original'"
        " and media_asset_id = %s",
        photo_ids(archive)["cut.jpg"],
    )
    (tmp_path / "in/cut.jpg").write_bytes(pictures.jpeg(seed=1))
    assert "1 photos queued" in trr("reprocess", "--reason", "fetch_failed").out
    assert trr("run").code == 0
    assert ledger_of(archive, "cut.jpg")["original"] == "complete"


@pytest.mark.parametrize("command", [("run", "--batch"), ("unpark",)])
def test_a_parked_batch_is_run_again(archive: Archive, photo: UUID, batch: str, trr: Trr, command: Any) -> None:
    trr("reprocess", str(photo))
    query(
        archive.database, "insert into core.dispatches (scope, failures) values (%s, %s)", f"batch:{batch}",
        MAX_RUN_FAILURES,
    )  # fmt: skip
    assert trr("run", "--json").json == []
    assert trr(*command, batch if command[0] == "run" else f"batch:{batch}").code == 0
    assert value(archive.database, "select failures from core.dispatches") == 0
    assert trr("run").code == 0
    assert ledger_of(archive, "a.jpg")["base"] == "complete"


def test_the_removal_list_is_cleared(archive: Archive, batch: str, trr: Trr) -> None:
    query(
        archive.database,
        "insert into core.removal_list (hosted_bucket, hosted_key, why, bytes)"
        f" select hosted_bucket, hosted_key, 'orphan', bytes {CARD}",
    )
    assert retention.referenced(archive)
    assert trr.here("gc", "--undo").code == 0
    assert retention.referenced(archive) == []
