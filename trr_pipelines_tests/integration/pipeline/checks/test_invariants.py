"""Invariants of a batch and of the archive: they hold after a run, and fail when rows or objects are damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trr_pipelines.catalogue import checks
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import invariants
from trr_pipelines.pipeline.checks.invariants import Finding
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, query, run, value

Claim = Callable[[Archive, str | None], Finding]

CLAIMS: tuple[Claim, ...] = (
    invariants.originals_are_intact,
    invariants.variant_objects_are_intact,
    invariants.variant_sets_are_complete,
    invariants.active_crops_are_rendered,
    invariants.nothing_was_upscaled,
    invariants.grid_bytes_fell,
)
OBJECTS = {invariants.originals_are_intact, invariants.variant_objects_are_intact}


@pytest.fixture
def batch(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> str:
    """Two rendered photos, one of which is larger than any variant, and a file that is not a photo."""
    files = {"big.png": pictures.saved(pictures.photo(1500, 1000), "PNG"), "small.jpg": pictures.jpeg(90, 120)}
    name = import_files(archive, tmp_path / "in", {**files, "text.jpg": b"<html>"})
    run(archive, name, pool=render_pool)
    return name


def media(tmp_path: Path, key: str) -> Path:
    return tmp_path / "media" / key


def broken_claims(archive: Archive, batch: str) -> set[str]:
    """Claims that fail for the batch; the same must fail for the whole archive, which has no other batch."""
    of_batch, of_all = (
        {claim.__name__ for claim in CLAIMS if not claim(archive, what).passed} for what in (batch, None)
    )
    assert of_batch == of_all
    return of_batch


def test_all_claims_hold_after_a_run_and_count_what_they_checked(archive: Archive, batch: str) -> None:
    findings = {claim.__name__: claim(archive, batch) for claim in CLAIMS}
    assert [name for name, finding in findings.items() if not finding.passed] == []
    assert {name: finding.looked_at for name, finding in findings.items()} == {
        "originals_are_intact": 2,
        "variant_objects_are_intact": 20,
        "variant_sets_are_complete": 2,
        "active_crops_are_rendered": 2,
        "nothing_was_upscaled": 20,
        "grid_bytes_fell": 2,
    }


def test_all_claims_hold_of_an_unprocessed_batch(archive: Archive, tmp_path: Path) -> None:
    name = import_files(archive, tmp_path / "new", {"a.jpg": pictures.jpeg()})
    assert broken_claims(archive, name) == set()


FIRST = "(select id from core.media_asset_variants where variant_key = '{}' and format = 'webp' order by id limit 1)"
WORDS = {key: FIRST.format(key) for key in ("card", "crop_card")}


@pytest.mark.parametrize(
    ("damage", "claims"),
    [
        ("delete from core.media_asset_variants where id = {card}", {"variant_sets_are_complete"}),
        ("delete from core.media_asset_variants where variant_key = 'card'", {"variant_sets_are_complete"}),
        ("update core.media_asset_variants set recipe = 'x' where id = {card}", {"variant_sets_are_complete"}),
        ("update core.media_asset_variants set source_version = 'x' where id = {card}", {"variant_sets_are_complete"}),
        (
            "update core.media_asset_variants set superseded_at = now() where id = {card}",
            {"variant_sets_are_complete"},
        ),
        ("delete from core.media_asset_variants where id = {crop_card}", {"active_crops_are_rendered"}),
        ("update core.media_asset_variants set recipe = 'x' where id = {crop_card}", {"active_crops_are_rendered"}),
        (
            "update core.media_asset_variants set crop_signature = 'other' where id = {crop_card}",
            {"active_crops_are_rendered"},
        ),
        (
            "update core.media_asset_variants set crop_signature = 'other' where crop_signature <> ''",
            {"active_crops_are_rendered"},
        ),
        (
            "update core.media_asset_crops set crop_signature = repeat('f', 64)",
            {"active_crops_are_rendered"},
        ),
        ("update core.media_asset_variants set bytes = bytes + 1 where id = {card}", {"variant_objects_are_intact"}),
        (
            "update core.media_asset_variants set sha256 = repeat('0', 64) where id = {crop_card}",
            {"variant_objects_are_intact"},
        ),
        ("update core.media_assets set sha256 = repeat('0', 64) where format = 'png'", {"originals_are_intact"}),
        (
            "update core.media_asset_variants set width = 91 where width = 90 and variant_key = 'card'",
            {"nothing_was_upscaled"},
        ),
        (
            "update core.media_asset_variants set width = 801 where width = 800 and variant_key = 'crop_detail'",
            {"nothing_was_upscaled"},
        ),
        ("update core.media_asset_variants set crop_zoom = 2 where crop_signature <> ''", {"nothing_was_upscaled"}),
    ],
)
def test_a_damaged_row_violates_its_claim(archive: Archive, batch: str, damage: str, claims: set[str]) -> None:
    query(archive.database, damage.format(**WORDS))
    assert broken_claims(archive, batch) == claims


@pytest.mark.parametrize(
    ("kind", "claim"),
    [
        ("original", "originals_are_intact"),
        ("base", "variant_objects_are_intact"),
        ("crop", "variant_objects_are_intact"),
    ],
)
@pytest.mark.parametrize("damage", ["delete", "same length", "cut"])
def test_a_damaged_object_violates_its_claim(
    archive: Archive, batch: str, tmp_path: Path, kind: str, claim: str, damage: str
) -> None:
    key = value(
        archive.database,
        "select hosted_key from core.media_assets where %(kind)s = 'original' and hosted_key is not null"
        " union all select hosted_key from core.media_asset_variants"
        " where %(kind)s <> 'original' and (crop_signature <> '') = (%(kind)s = 'crop') order by 1 limit 1".replace(
            "%(kind)s", f"'{kind}'"
        ),
    )
    file = media(tmp_path, key)
    data = file.read_bytes()
    if damage == "delete":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    assert broken_claims(archive, batch) == {claim}
    finding = next(candidate for candidate in CLAIMS if candidate.__name__ == claim)(archive, batch)
    assert (finding.broken_count, finding.broken[0]["key"]) == (1, key)


def test_every_violation_is_counted_and_ten_are_shown(archive: Archive, batch: str, tmp_path: Path) -> None:
    for row in query(archive.database, "select hosted_key from core.media_asset_variants"):
        media(tmp_path, row["hosted_key"]).unlink()
    finding = invariants.variant_objects_are_intact(archive, batch)
    assert (finding.broken_count, len(finding.broken)) == (20, 10)
    assert finding.broken[0]["found"] == "no object"
    assert finding.worst_batches == [{"batch": batch, "broken": 20}]


def test_a_grid_that_saved_too_little_is_reported_with_the_worst_photos(archive: Archive, batch: str) -> None:
    query(
        archive.database,
        "update core.media_assets a set bytes = 2 * v.bytes from core.media_asset_variants v"
        " where v.media_asset_id = a.id and v.variant_key = 'card' and v.format = 'webp'",
    )
    finding = invariants.grid_bytes_fell(archive, batch)
    assert finding.passed is False
    assert finding.numbers["median_reduction_percent"] < 70
    assert {row["photo"] for row in finding.broken} == {
        str(row["media_asset_id"])
        for row in query(archive.database, "select distinct media_asset_id from core.media_asset_variants")
    }


def test_open_and_failed_work_violates_no_claim(archive: Archive, batch: str) -> None:
    query(archive.database, "update core.variant_generations set state = 'pending' where kind <> 'original'")
    query(archive.database, "delete from core.media_asset_variants")
    assert broken_claims(archive, batch) == set()


def test_checks_of_the_archive_name_the_worst_batches(
    archive: Archive, batch: str, tmp_path: Path, render_pool: RenderPool
) -> None:
    other = import_files(archive, tmp_path / "other", {"a.jpg": pictures.jpeg(200, 200, seed=5)}, source="bravo")
    run(archive, other, pool=render_pool)
    query(archive.database, "delete from core.media_asset_variants where variant_key = 'thumb'")
    finding = invariants.variant_sets_are_complete(archive, None)
    assert (finding.looked_at, finding.broken_count) == (3, 3)
    assert finding.worst_batches == [{"batch": batch, "broken": 2}, {"batch": other, "broken": 1}]
    query(archive.database, "update core.media_assets set bytes = 1000 where batch_key = %s", other)
    finding = invariants.grid_bytes_fell(archive, None)
    assert [row["batch"] for row in finding.broken] == [other]
    assert finding.broken[0]["median reduction percent"] < 70


def test_photos_of_a_large_archive_are_sampled_at_random(archive: Archive, batch: str) -> None:
    query(
        archive.database,
        "insert into core.media_assets (source, source_url, batch_key, state, sha256, bytes, width, height, format,"
        " frames, hosted_bucket, hosted_key, hosted_url)"
        " select 'deadline', n, %s, 'mirrored', encode(sha256(n::text::bytea), 'hex'), 1, 1, 1, 'jpeg', 1, 'local',"
        " 'media/' || n || '.jpg', 'http://127.0.0.1:1/' || n from generate_series(1, 500) as n",
        batch,
    )
    with archive.database.transaction() as conn:
        draws = [[row.media_asset_id for row in checks.sampled_objects(conn, 20, "original")] for _ in range(2)]
    for drawn in draws:
        assert 10 <= len(drawn) <= 20
        assert len(set(drawn)) == len(drawn)
    assert draws[0] != draws[1]


def test_large_batches_are_sampled_evenly(archive: Archive, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "SAMPLE", 4)
    assert invariants.variant_objects_are_intact(archive, batch).looked_at == 8
