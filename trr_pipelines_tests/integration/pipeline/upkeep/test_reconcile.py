"""Reconciling a real store with a real catalogue: orphan objects and missing objects, named, without false alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import Reason, RetryableError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering.contact_sheets import make_contact_sheet
from trr_pipelines.pipeline.upkeep.reconcile import EXAMPLES, reconcile
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, query, run, value


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


@pytest.mark.parametrize("folder", ["media", "media-variants", "originals", "variants", "crops"])
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
        archive.store.put_if_absent(f"media-variants/{number:03}.webp", b"x", content_type="image/webp")
    found = reconcile(archive)
    assert (found.orphan_objects, len(found.orphan_examples)) == (EXAMPLES + 5, EXAMPLES)
    assert found.report()["orphan_objects"] == EXAMPLES + 5


def object_of(archive: Archive, tmp_path: Path, table: str) -> tuple[Path, str]:
    """The file and the key of an object."""
    key = value(archive.database, f"select min(hosted_key) from core.{table}")  # noqa: S608  one of TABLES
    return tmp_path / "media" / key, key


TABLES = ("media_asset_versions", "media_asset_variants")


@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("keep", [0, 3000, -1])
def test_an_object_of_another_size_is_damaged_and_named(
    archive: Archive, batch: str, tmp_path: Path, table: str, keep: int, hashes: bool
) -> None:
    path, key = object_of(archive, tmp_path, table)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    found = reconcile(archive, hashes=hashes)
    assert (found.orphan_objects, found.rows_without_objects, found.damaged_objects) == (0, 0, 1)
    (damaged,) = found.damaged_examples
    assert damaged.key == key
    assert (damaged.expected.split(",")[0], damaged.found.split(",")[0]) == (
        f"{len(whole)} bytes",
        f"{len(whole[:keep])} bytes",
    )
    assert not found.is_clean
    assert found.report()["damaged_examples"][0]["key"] == key
    path.write_bytes(whole)
    assert reconcile(archive, hashes=hashes).is_clean


@pytest.mark.parametrize("table", TABLES)
def test_other_bytes_of_the_same_size_are_found_by_their_hash(
    archive: Archive, batch: str, tmp_path: Path, table: str
) -> None:
    path, key = object_of(archive, tmp_path, table)
    path.write_bytes(bytes(len(path.read_bytes())))
    assert reconcile(archive).is_clean
    found = reconcile(archive, hashes=True)
    assert ([one.key for one in found.damaged_examples], found.objects_read) == ([key], 11)


@pytest.mark.parametrize("hashes", [False, True])
def test_a_folder_in_place_of_an_object_is_damage_and_not_an_error(
    archive: Archive, batch: str, tmp_path: Path, hashes: bool
) -> None:
    path, key = object_of(archive, tmp_path, "media_asset_variants")
    path.unlink()
    path.mkdir()
    found = reconcile(archive, hashes=hashes)
    assert (found.damaged_objects, found.rows_without_objects) == (1, 0)
    assert f"{key} is not a regular file" in found.damaged_examples[0].found


def test_a_row_whose_key_is_none_is_damage_and_not_an_error(archive: Archive, batch: str) -> None:
    query(
        archive.database,
        "update core.media_asset_variants set hosted_key = 'Not a key' where id ="
        " (select min(id) from core.media_asset_variants)",
    )
    found = reconcile(archive)
    assert (found.orphan_objects, [one.key for one in found.damaged_examples]) == (1, ["Not a key"])


def test_the_size_of_a_retired_object_does_not_matter(archive: Archive, batch: str, tmp_path: Path) -> None:
    (row,) = query(
        archive.database,
        "delete from core.media_asset_variants where variant_key = 'card' and format = 'webp' returning *",
    )
    query(
        archive.database,
        "insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes) values (%s, %s, %s, 1)",
        row["hosted_bucket"],
        row["hosted_key"],
        row["media_asset_id"],
    )
    assert reconcile(archive, hashes=True).is_clean


class WatchedStore:
    """The archive's store; each call first does `look`."""

    def __init__(self, archive: Archive, look: Callable[[], object]) -> None:
        self._store = archive.store
        self._look = look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str = "") -> Iterator[Any]:
        for item in self._store.list(prefix):
            self._look()
            yield item

    def get(self, key: str, **options: Any) -> bytes:
        self._look()
        return self._store.get(key, **options)


def test_no_transaction_is_open_while_the_store_is_read(archive: Archive, batch: str) -> None:
    def look() -> None:
        with one_at_a_time:
            looks.append(
                value(
                    archive.database,
                    "select count(*) from pg_stat_activity where datname = current_database()"
                    " and pid <> pg_backend_pid() and (xact_start is not null or backend_xmin is not null)",
                )
            )

    looks: list[int] = []
    one_at_a_time = Lock()
    assert reconcile(replace(archive, store=WatchedStore(archive, look)), hashes=True).is_clean  # type: ignore[arg-type]
    assert len(looks) == 22
    assert set(looks) == {0}


def test_a_store_that_fails_is_an_error_and_not_damage(archive: Archive, batch: str, tmp_path: Path) -> None:
    def fail() -> None:
        raise RetryableError(Reason.STORAGE_UNAVAILABLE, "no answer")

    with pytest.raises(RetryableError, match="no answer"):
        reconcile(replace(archive, store=WatchedStore(archive, fail)))  # type: ignore[arg-type]
