"""Rendering into a real store and catalogue: complete sets, each rendered once, also with concurrent changes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.recipes import BASE, CROP, EncoderOptions
from trr_pipelines.imaging.render import Rendered, RenderRequest
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import invariants
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering import derivatives
from trr_pipelines.pipeline.rendering.derivatives import Outputs, render_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import (
    EDITOR,
    final_state,
    import_files,
    ledger_of,
    photo_ids,
    query,
    run,
    value,
)

PHOTO = pictures.jpeg(800, 600)
COMPLETE = {"original": "complete", "base": "complete", "crop": "complete"}


class WatchedPool(RenderPool):
    """A real pool that counts renders and calls `meanwhile` after each, before its rows are written."""

    def __init__(self, workers: int = 1, meanwhile: Callable[[], object] = lambda: None) -> None:
        super().__init__(workers)
        self.rendered: Counter[str] = Counter()
        self._meanwhile = meanwhile

    def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
        self.rendered[name] += 1
        rendered = super().render(data, request, name=name)
        self._meanwhile()
        return rendered


def variants(archive: Archive) -> list[dict[str, Any]]:
    return query(archive.database, "select * from core.media_asset_variants where superseded_at is null order by id")


def test_every_key_exists_in_every_format_as_recorded_in_its_row(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    ran = run(archive, batch, pool=render_pool).derivatives
    rows = variants(archive)
    assert {(row["variant_key"], row["format"], row["width"], row["height"]) for row in rows} == {
        (key, kind, width, height)
        for key, width, height in (
            ("thumb", 320, 240),
            ("card", 720, 540),
            ("detail", 800, 600),
            ("crop_card", 480, 600),
            ("crop_detail", 480, 600),
        )
        for kind in ("webp", "jpeg")
    }
    for row in rows:
        data = archive.store.get(row["hosted_key"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (row["bytes"], row["sha256"])
        assert row["hosted_url"] == archive.store.public_url(row["hosted_key"])
    assert (ran.complete, ran.objects_written, ran.rows_written) == (1, 10, 10)
    assert ledger_of(archive, "a.jpg") == COMPLETE
    (photo,) = query(archive.database, "select state, placeholder, dominant_color, metadata from core.media_assets")
    assert photo["state"] == "mirrored"
    assert photo["placeholder"]
    assert photo["dominant_color"].startswith("#")
    assert set(photo["metadata"]["variants"]) == {f"{row['variant_key']}.{row['format']}" for row in rows}


def test_a_second_run_renders_and_writes_nothing(archive: Archive, tmp_path: Path) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    with WatchedPool() as pool:
        run(archive, batch, pool=pool)
        before = variants(archive)
        again = run(archive, batch, "run-2", pool=pool)
        assert set(pool.rendered.values()) == {1}
    assert (again.derivatives.objects_written, again.derivatives.rows_written) == (0, 0)
    assert (again.derivatives.complete, again.derivatives.bytes_read) == (0, 0)
    assert variants(archive) == before


def test_a_photo_without_a_crop_gets_a_proposal_that_is_recorded(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}), pool=render_pool)
    (crop,) = query(archive.database, "select * from core.media_asset_crops")
    assert (crop["crop_mode"], crop["author"], crop["is_active"]) == ("auto", "auto", True)
    assert crop["reason"]
    assert {row["crop_signature"] for row in variants(archive)} == {"", crop["crop_signature"]}
    generation = query(archive.database, "select wanted, served from core.variant_generations where kind = 'crop'")
    assert generation == [{"wanted": crop["crop_signature"], "served": crop["crop_signature"]}]


@pytest.mark.parametrize(
    ("outputs", "keys", "ledger"),
    [
        (Outputs(auto_crops=False, crops=False), {"thumb", "card", "detail"}, ("complete", "pending")),
        (Outputs(base=False, crops=False), {"crop_card", "crop_detail"}, ("pending", "complete")),
        (Outputs(base=False, auto_crops=False), set(), ("pending", "pending")),
        (Outputs(base=False), {"crop_card", "crop_detail"}, ("pending", "complete")),
    ],
)
def test_a_run_makes_only_the_requested_outputs(
    archive: Archive,
    tmp_path: Path,
    render_pool: RenderPool,
    outputs: Outputs,
    keys: set[str],
    ledger: tuple[str, str],
) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    run(archive, batch, outputs=outputs, pool=render_pool)
    assert {row["variant_key"] for row in variants(archive)} == keys
    assert ledger_of(archive, "a.jpg") == {"original": "complete", "base": ledger[0], "crop": ledger[1]}
    run(archive, batch, "run-2", pool=render_pool)
    assert ledger_of(archive, "a.jpg") == COMPLETE


def test_a_photo_that_cannot_be_decoded_fails_alone_with_its_reason(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = import_files(archive, tmp_path / "in", {"cut.jpg": PHOTO[: len(PHOTO) // 2], "good.jpg": PHOTO})
    ran = run(archive, batch, pool=render_pool).derivatives
    assert dict(ran.ended) == {"complete": 1, "truncated": 1}
    assert ledger_of(archive, "cut.jpg") == {"original": "complete", "base": "truncated", "crop": "truncated"}
    states = query(archive.database, "select state, reason from core.media_assets order by source_url")
    assert [(row["state"], row["reason"]) for row in states] == [("failed", "truncated"), ("mirrored", None)]
    assert run(archive, batch, "run-2", pool=render_pool).derivatives.ended == {}
    assert reconcile(archive).is_clean


def test_a_new_recipe_replaces_the_whole_set_and_retires_the_old_one(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO, "b.jpg": pictures.jpeg(seed=2)})
    run(archive, batch, pool=render_pool)
    old = {row["hosted_key"] for row in variants(archive) if row["crop_signature"] == ""}
    crops = [row for row in variants(archive) if row["crop_signature"]]
    newer = replace(BASE, encoder=EncoderOptions(webp_method=0))
    monkeypatch.setattr(derivatives, "BASE", newer)
    ran = run(archive, batch, "run-2", pool=render_pool).derivatives
    rows = [row for row in variants(archive) if row["crop_signature"] == ""]
    assert {row["recipe"] for row in rows} == {newer.fingerprint}
    assert old.isdisjoint(row["hosted_key"] for row in rows)
    assert (len(rows), ran.objects_written, ran.rows_written) == (12, 12, 12)
    assert {row["hosted_key"] for row in query(archive.database, "select hosted_key from core.retired_objects")} == old
    assert [row for row in variants(archive) if row["crop_signature"]] == crops
    assert reconcile(archive).is_clean


def test_a_crop_changed_while_rendering_is_rendered_in_its_newest_form(archive: Archive, tmp_path: Path) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    mirror_originals(archive, Scope(batch=batch), "run-1")
    photo = photo_ids(archive)["a.jpg"]
    edits = iter([Crop("manual", 10, 20, 2), Crop("manual", 90, 80, 1.5)])
    latest = ""

    def edit() -> None:
        nonlocal latest
        crop = next(edits, None)
        if crop is not None:
            latest = set_crop(archive.database, photo, crop, author=EDITOR).signature

    began = time.monotonic()
    with WatchedPool(meanwhile=edit) as pool:
        tally = render_photos(archive, Scope(batch=batch), "run-1", pool=pool)
    assert time.monotonic() - began < 15, "dropped work must not wait for its lease to expire"
    assert tally.ended["stale"] >= 2  # depending on timing, the base set may be claimed together with the crop
    assert (tally.complete >= 1, tally.failed) == (True, 0)
    crops = {row["crop_signature"] for row in variants(archive) if row["crop_signature"]}
    assert crops == {latest}
    assert ledger_of(archive, "a.jpg") == COMPLETE
    assert invariants.active_crops_are_rendered(archive, batch).passed
    active = query(archive.database, "select crop_signature from core.media_asset_crops where is_active")
    assert active == [{"crop_signature": latest}]


def test_concurrent_runs_of_a_batch_render_no_photo_twice(archive: Archive, tmp_path: Path) -> None:
    files = {f"{number}.jpg": pictures.jpeg(300, 200, seed=number) for number in range(8)}
    batch = import_files(archive, tmp_path / "in", files)
    together = threading.Barrier(2)

    def run_batch(run_id: str) -> object:
        together.wait(10)
        return run(archive, batch, run_id, pool=pool)

    with WatchedPool(2) as pool, ThreadPoolExecutor(2) as threads:
        list(threads.map(run_batch, ["run-1", "run-2"]))
        assert (len(pool.rendered), set(pool.rendered.values())) == (8, {1})
    assert len(variants(archive)) == 80
    assert value(archive.database, "select count(distinct hosted_key) from core.media_asset_variants") == 80
    assert reconcile(archive).is_clean


KILLED_RUN = """
import sys
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.settings import load_settings
with open_archive(load_settings()) as archive:
    render_photos(archive, Scope(batch=sys.argv[1]), "killed")
"""


def test_leases_of_a_killed_run_are_taken_over_when_they_expire(archive: Archive, tmp_path: Path) -> None:
    files = {f"{number}.jpg": pictures.jpeg(300, 200, seed=number) for number in range(3)}
    batch = import_files(archive, tmp_path / "in", files)
    mirror_originals(archive, Scope(batch=batch), "run-1")
    (hung,) = query(archive.database, "select id, source_url from core.media_assets where source_url like '%%/1.jpg'")
    assert archive.settings.database_url is not None
    environment = {
        "TRR_DATABASE_URL": archive.settings.database_url.get_secret_value(),
        "TRR_MEDIA_STORE": archive.settings.media_store,
        "TRR_RENDER_PROCESSES": "1",
        "TRR_RENDER_FAILPOINT": f"sleep:{hung['id']} ({hung['source_url']})",
    }
    with subprocess.Popen([sys.executable, "-c", KILLED_RUN, batch], env=os.environ | environment) as process:
        is_held = "select count(*) from core.variant_generations where run_id = 'killed' and media_asset_id = %s"
        while not value(archive.database, is_held, hung["id"]):
            assert process.poll() is None
            time.sleep(0.02)
        while not (children := psutil.Process(process.pid).children()):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []

    query(archive.database, "update core.variant_generations set lease_until = now() where lease_until is not null")
    run(archive, batch, "run-2")
    undisturbed = final_state(archive.database)
    assert {row["state"] for row in undisturbed["ledger"]} == {"complete"}
    assert all(row["is_free"] for row in undisturbed["ledger"])
    assert len(undisturbed["variants"]) == 30
    assert reconcile(archive).is_clean


@pytest.mark.parametrize("damage", [b"", b"damaged", PHOTO[:-1] + b"\0"])
def test_an_original_damaged_in_the_store_is_not_rendered(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, damage: bytes
) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    mirror_originals(archive, Scope(batch=batch), "run-1")
    key = value(archive.database, "select hosted_key from core.media_assets")
    (tmp_path / "media" / key).write_bytes(damage)
    tally = render_photos(archive, Scope(batch=batch), "run-1", pool=render_pool)
    assert dict(tally.ended) == {"storage_unavailable": 1}
    assert variants(archive) == []
    (tmp_path / "media" / key).write_bytes(PHOTO)
    query(archive.database, "update core.variant_generations set next_attempt_at = now() where state = 'failed'")
    assert render_photos(archive, Scope(batch=batch), "run-2", pool=render_pool).complete == 1
    assert value(archive.database, "select state from core.media_assets") == "mirrored"


def test_objects_left_by_an_earlier_run_are_reused(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    run(archive, batch, pool=render_pool)
    before = [{k: v for k, v in row.items() if k not in ("id", "created_at")} for row in variants(archive)]
    query(archive.database, "delete from core.media_asset_variants")
    query(archive.database, "update core.variant_generations set state = 'pending' where kind <> 'original'")
    assert reconcile(archive).orphan_objects == 10
    ran = run(archive, batch, "run-2", pool=render_pool).derivatives
    assert (ran.objects_written, ran.rows_written) == (0, 10)
    assert [{k: v for k, v in row.items() if k not in ("id", "created_at")} for row in variants(archive)] == before
    assert reconcile(archive).is_clean


def test_the_keys_of_a_crop_set_contain_its_signature_and_recipe(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}), pool=render_pool)
    for row in variants(archive):
        if row["crop_signature"]:
            assert f"/{row['crop_signature']}/{CROP.fingerprint}/" in row["hosted_key"]
        else:
            assert f"/{row['source_version'][:16]}/{BASE.fingerprint}/" in row["hosted_key"]
