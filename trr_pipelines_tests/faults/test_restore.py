"""A catalogue restored from an older copy beside a newer store: docs/restore.md, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ConflictError
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering.batches import begin_batch
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.takedown.finishing import finish_unfinished
from trr_pipelines.pipeline.takedown.recall import follow_store
from trr_pipelines.pipeline.takedown.takedown import take_down_photo
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.upkeep.retention import adopt_store, list_removable, remove_listed
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import (
    EDITOR,
    import_files,
    import_path,
    ledger_of,
    photo_ids,
    query,
    run,
    value,
)


def picture(seed: int) -> bytes:
    return pictures.jpeg(60, 50, seed=seed)


def keys(archive: Archive) -> set[str]:
    return {item.key for item in archive.store.list()}


def work(archive: Archive, batch: str, run_id: str, pool: RenderPool) -> None:
    """What a run does, from its first step."""
    begin_batch(archive, batch, run_id)
    run(archive, batch, run_id, pool=pool)


class Copies:
    """Copies of a catalogue, as a backup makes them."""

    def __init__(self, postgres: EmbeddedPostgres, archive: Archive) -> None:
        self._postgres = postgres
        self._archive = archive
        self._opened: list[Database] = []

    def back_up(self) -> str:
        """Copy the catalogue as it is now; returns the name of the copy."""
        assert self._archive.settings.database_url is not None
        original = psycopg.conninfo.conninfo_to_dict(self._archive.settings.database_url.get_secret_value())["dbname"]
        copy = f"{original}_copy"
        with psycopg.connect(self._postgres.url("postgres"), autocommit=True) as conn:
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (original,))
            statement = sql.SQL("create database {} template {}")
            conn.execute(statement.format(sql.Identifier(copy), sql.Identifier(str(original))))
        return copy

    def restore(self, copy: str) -> Archive:
        """An archive on the copy, beside the store as it is now."""
        url = self._postgres.url(copy)
        self._opened.append(Database(url).open())
        settings = self._archive.settings.model_copy(update={"database_url": SecretStr(url)})
        return replace(self._archive, settings=settings, database=self._opened[-1])

    def close(self) -> None:
        for database in self._opened:
            database.close()
        with psycopg.connect(self._postgres.url("postgres"), autocommit=True) as conn:
            for row in conn.execute("select datname from pg_database where datname like %s", ("%\\_copy",)).fetchall():
                conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(row[0])))


@pytest.fixture
def copies(postgres: EmbeddedPostgres, archive: Archive) -> Iterator[Copies]:
    made = Copies(postgres, archive)
    yield made
    made.close()


@pytest.fixture
def lived_on(archive: Archive, copies: Copies, tmp_path: Path, render_pool: RenderPool) -> Archive:
    """The catalogue of a backup, after which a batch was imported and a photo of the first batch taken down."""
    first = import_files(archive, tmp_path / "first", {"gone.jpg": picture(1), "kept.jpg": picture(2)}, person="Ann")
    work(archive, first, "first", render_pool)
    copy = copies.back_up()
    second = import_files(archive, tmp_path / "second", {"new.jpg": picture(3)}, source="bravo")
    work(archive, second, "second", render_pool)
    take_down_photo(archive, photo_ids(archive)["gone.jpg"], author=EDITOR)
    return copies.restore(copy)


def test_nothing_is_deleted_while_the_catalogue_is_older_than_the_store(
    archive: Archive, lived_on: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    """`gc --no-grace` would delete originals that the restored catalogue does not know."""
    before = keys(lived_on)
    original = value(archive.database, "select hosted_key from core.media_assets where source = 'bravo'")
    assert original in before
    with pytest.raises(ConflictError, match=r"restored from an older copy.*trr gc --adopt"):
        list_removable(lived_on, grace_days=0)
    with pytest.raises(ConflictError, match="restored from an older copy"):
        remove_listed(lived_on, grace_days=0, undo_days=0)
    follow_store(lived_on)  # living on does not make the catalogue newer than what it has lost
    with pytest.raises(ConflictError, match="restored from an older copy"):
        remove_listed(lived_on, grace_days=0, undo_days=0)
    assert original in keys(lived_on)

    # The lost import again: its objects are found, not stored again.
    (batch,) = import_path(lived_on, tmp_path / "second", source="bravo").batches
    begin_batch(lived_on, batch, "again")
    again = run(lived_on, batch, "again", pool=render_pool)
    assert again.originals.objects_written == 0
    finish_unfinished(lived_on)

    assert adopt_store(lived_on) > 0
    with pytest.raises(ConflictError, match="orphans wait 30 days, not 0"):
        remove_listed(lived_on, grace_days=0, undo_days=0)
    list_removable(lived_on)
    assert remove_listed(lived_on).removed == 0
    report = reconcile(lived_on)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 0)
    assert report.listed_objects > 0, "variants of the photo's earlier id are orphans now, and wait"
    # The catalogue that was in use until the restore must not come back beside it.
    assert epochs.problem_of(archive)


def test_a_takedown_outlives_a_restore(lived_on: Archive, tmp_path: Path, render_pool: RenderPool) -> None:
    assert "gone.jpg" in photo_ids(lived_on)
    batch = value(lived_on.database, "select batch_key from core.media_assets limit 1")
    query(lived_on.database, "update core.variant_generations set state = 'pending'")
    begin_batch(lived_on, batch, "after")  # the first step of any run, before it fetches anything
    assert list(photo_ids(lived_on)) == ["kept.jpg"]
    run(lived_on, batch, "after", pool=render_pool)
    finish_unfinished(lived_on)
    report = reconcile(lived_on)
    assert report.rows_without_objects == 0
    rejected = import_path(lived_on, tmp_path / "first", person="Ann").rejected
    assert [row.problem for row in rejected] == ["this photo was taken down; it is not imported again"]
    elsewhere = import_files(lived_on, tmp_path / "elsewhere", {"other.jpg": picture(1)}, source="charlie")
    assert run(lived_on, elsewhere, "elsewhere", pool=render_pool).originals.ended == {"taken_down": 1}


def test_a_catalogue_of_its_own_beside_the_store_of_another_deletes_nothing(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, postgres: EmbeddedPostgres, copies: Copies
) -> None:
    """A catalogue made again from nothing, or one that was given the wrong store."""
    del postgres
    copy = copies.back_up()  # before the catalogue had an id
    batch = import_files(archive, tmp_path / "in", {"a.jpg": picture(1)})
    work(archive, batch, "run", render_pool)
    other = copies.restore(copy)
    before = keys(archive)
    with pytest.raises(ConflictError, match="the store belongs to the catalogue"):
        list_removable(other, grace_days=0)
    assert keys(archive) == before
    adopt_store(other)
    assert list_removable(other)["orphan"].objects == len(before)
    assert epochs.problem_of(archive), "the earlier catalogue is refused from then on"


@pytest.mark.parametrize("pending", ["state = 'pending'", "recipe = 'older'"])
def test_a_missing_original_fails_its_photo_and_the_others_of_its_batch_are_rendered(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, pending: str
) -> None:
    """An object that was deleted after the backup: the photo fails with the reason, 20 others do not wait for it."""
    files = {f"{number:02}.jpg": picture(number) for number in range(21)}
    batch = import_files(archive, tmp_path / "in", files)
    work(archive, batch, "first", render_pool)
    lost = photo_ids(archive)["07.jpg"]
    archive.store.delete([value(archive.database, "select hosted_key from core.media_assets where id = %s", lost)])
    query(archive.database, f"update core.variant_generations set {pending} where kind <> 'original'")  # noqa: S608
    tally = render_photos(archive, Scope(batch=batch), "again", pool=render_pool)
    assert tally.ended == {"complete": 20, "storage_unavailable": 1}
    assert ledger_of(archive, "07.jpg")["base"] == "storage_unavailable"
    assert value(archive.database, "select count(*) from core.variant_generations where state = 'complete'") == 61


def test_the_epoch_of_a_store_that_fails_is_left_to_the_work_that_needs_it(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": picture(1)})
    (tmp_path / "media" / ".records").mkdir(parents=True)
    (tmp_path / "media" / ".records" / "catalogues").symlink_to(tmp_path)
    work(archive, batch, "run", render_pool)
    assert ledger_of(archive, "a.jpg") == {"original": "complete", "base": "complete", "crop": "complete"}
    assert isinstance(photo_ids(archive)["a.jpg"], UUID)
