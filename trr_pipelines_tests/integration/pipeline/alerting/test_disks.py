"""Alerts about disks and stores, on real file systems of a few megabytes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.alerting.alerts import SENSOR, evaluate
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, query, run
from trr_pipelines_tests.support.file_systems import make_read_only, small_disk

LATER = "update core.disk_samples set sampled_at = sampled_at - interval '30 seconds'"


def on(archive: Archive, root: Path, **settings: object) -> Archive:
    """The archive with its store in this folder; only percent and estimate are limits unless set otherwise."""
    changed = archive.settings.model_copy(update={"alert_disk_bytes": 0, **settings})
    return replace(archive, settings=changed, store=open_store(f"file:{root}", base_url="http://127.0.0.1:1"))


def texts(archive: Archive) -> dict[str, str]:
    return {one.kind: one.text for one in evaluate(archive, silences=(), watcher=SENSOR).holding}


def test_a_disk_without_inodes_is_an_alert_although_it_has_space(archive: Archive, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64m,nr_inodes=3k") as disk:
        small = on(archive, disk)
        assert texts(small) == {}
        for number in range(2_200):
            (disk / str(number)).touch()
        assert "inodes" in texts(small)["disk_nearly_full"]
        assert "media store" in texts(small)["disk_nearly_full"]


def test_a_disk_that_fills_within_a_minute_is_an_alert_before_it_is_full(archive: Archive, tmp_path: Path) -> None:
    """A disk that was full after 48 s: between two evaluations it lost more than half of its space."""
    with small_disk(tmp_path / "disk", "size=64m") as disk:
        small = on(archive, disk)
        assert texts(small) == {}
        query(archive.database, LATER)
        (disk / "backup").write_bytes(bytes(39_000_000))
        assert "will have no free bytes in" in texts(small)["disk_nearly_full"]
        (disk / "more").write_bytes(bytes(1_000_000))  # there was time


def test_a_disk_with_few_bytes_is_an_alert_whatever_their_share(archive: Archive, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=64m") as disk:
        assert texts(on(archive, disk, alert_disk_bytes=10_000_000)) == {}
        assert "limit 100,000,000" in texts(on(archive, disk, alert_disk_bytes=100_000_000))["disk_nearly_full"]
        assert texts(on(archive, disk, alert_disk_bytes=100_000_000, alert_disk_percent=0)) == {}


def test_a_store_that_turned_read_only_is_an_alert(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> None:
    with small_disk(tmp_path / "disk", "size=64m") as disk:
        small = on(archive, disk)
        batch = import_files(small, tmp_path / "in", {f"{n}.jpg": pictures.jpeg(seed=n) for n in range(3)})
        assert texts(small) == {}
        make_read_only(disk)
        assert "Read-only file system" in texts(small)["store_refuses"]
        assert run(small, batch, pool=render_pool).originals.ended == {"storage_denied": 3}
    # A store that cannot be probed, such as a bucket, is known by the photos that it refused.
    assert "storage_denied 3" in texts(on(archive, tmp_path / "another"))["store_refuses"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write to every folder")
def test_a_store_of_another_user_is_an_alert(archive: Archive, tmp_path: Path) -> None:
    store = tmp_path / "media"
    store.mkdir(exist_ok=True)
    store.chmod(0o555)
    assert "Permission denied" in texts(on(archive, store))["store_refuses"]
    store.chmod(0o755)


def test_a_catalogue_that_is_older_than_its_store_is_an_alert(archive: Archive) -> None:
    assert epochs.advance(archive)
    assert texts(archive) == {}
    query(archive.database, "update core.store_epochs set epoch = 0")
    assert "trr gc --adopt" in texts(archive)["catalogue_restored"]
    assert isinstance(archive.store, DirectoryStore)
