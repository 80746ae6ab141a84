"""A new recipe while photos are served: readers see the complete old set or the complete new one."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.recipes import BASE, CROP, EncoderOptions
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering import derivatives
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, query, run

PHOTOS = 12
SERVED = """
select media_asset_id, recipe, crop_signature <> '' as is_crop, array_agg(hosted_key) as keys
from core.media_asset_variants where superseded_at is null
group by media_asset_id, recipe, crop_signature <> ''
"""


def test_no_payload_mixes_sets_or_lacks_an_object_while_a_recipe_changes(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n}.jpg": pictures.jpeg(300, 200, seed=n) for n in range(PHOTOS)}
    batch = import_files(archive, tmp_path / "in", files)
    run(archive, batch, pool=render_pool)
    newer = replace(BASE, encoder=EncoderOptions(webp_method=0))
    monkeypatch.setattr(derivatives, "BASE", newer)
    monkeypatch.setattr(derivatives, "CROP", replace(CROP, encoder=EncoderOptions(webp_method=0)))
    is_over = threading.Event()

    def poll() -> Counter[tuple[int, int]]:
        """Photos by old and new base sets, at each poll."""
        polls: Counter[tuple[int, int]] = Counter()
        while not is_over.is_set():
            rows = query(archive.database, SERVED)
            assert Counter((row["media_asset_id"], row["is_crop"]) for row in rows).most_common(1)[0][1] == 1
            assert len(rows) == 2 * PHOTOS
            for row in rows:
                assert len(row["keys"]) == (4 if row["is_crop"] else 6)
                assert all(archive.store.head(key) is not None for key in row["keys"])
            base = Counter(row["recipe"] for row in rows if not row["is_crop"])
            polls[base[BASE.fingerprint], base[newer.fingerprint]] += 1
        return polls

    with ThreadPoolExecutor(1) as thread:
        polling = thread.submit(poll)
        tally = render_photos(archive, Scope(batch=batch), "run-2", pool=render_pool)
        is_over.set()
        polls = polling.result()
    assert tally.complete == PHOTOS
    assert any(old and new for old, new in polls), "no poll happened between the first and the last change"
