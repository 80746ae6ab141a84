"""Run requests of the sensors: level-triggered, one key until a run starts, and robust to lost keys, runs and ticks."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue import dispatches, ledger
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import InputError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline import scheduling
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.rendering.batches import begin_batch, end_batch
from trr_pipelines.pipeline.rework.rerender import rerender_photos, touched_sets
from trr_pipelines.pipeline.worker import Tally
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value


def no_run(_: str) -> bool:
    return False


def any_run(_: str) -> bool:
    return True


@pytest.fixture
def batch(archive: Archive, tmp_path: Path) -> str:
    return import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg(), "b.jpg": pictures.jpeg(seed=1)})


@pytest.fixture
def rendered(archive: Archive, batch: str, render_pool: RenderPool) -> dict[str, UUID]:
    run(archive, batch, pool=render_pool)
    return photo_ids(archive)


def batch_keys(archive: Archive) -> list[str]:
    return [request.run_key for request in scheduling.request_batches(archive.database, no_run)]


def make_stale(archive: Archive) -> None:
    query(archive.database, "update core.dispatches set requested_at = now() - interval '1 hour'")


def end_backoff(archive: Archive) -> None:
    query(archive.database, "update core.dispatches set not_before = null, lease_until = null")


# Batches -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_requested_under_one_key_until_its_run_starts(archive: Archive, batch: str) -> None:
    assert [batch_keys(archive) for _ in range(3)] == [[f"batch:{batch}:1"]] * 3
    begin_batch(archive, batch, "run-1")
    assert batch_keys(archive) == []


def test_photos_added_during_a_run_are_requested_when_it_ends(archive: Archive, batch: str) -> None:
    batch_keys(archive)
    begin_batch(archive, batch, "run-1")
    end_batch(archive, batch, "run-1", Tally())
    assert batch_keys(archive) == [f"batch:{batch}:2"]


def test_a_finished_batch_is_not_requested(archive: Archive, rendered: dict[str, UUID]) -> None:
    assert batch_keys(archive) == []


def test_the_batch_of_a_killed_run_is_requested_again_when_its_lease_expires(archive: Archive, batch: str) -> None:
    begin_batch(archive, batch, "run-1")
    query(archive.database, "update core.dispatches set lease_until = now() - interval '1 second'")
    assert batch_keys(archive) == [f"batch:{batch}:2"]


def test_a_failed_run_releases_its_leases_and_is_requested_under_a_new_key(archive: Archive, batch: str) -> None:
    begin_batch(archive, batch, "run-1")
    archive.database.run(lambda conn: ledger.claim(conn, Scope(batch=batch), ("original",), "run-1", limit=10))
    scheduling.run_failed(archive.database, "run-1", dispatches.batch_scope(batch))
    assert value(archive.database, "select count(*) from core.variant_generations where lease_until is not null") == 0
    assert batch_keys(archive) == []
    end_backoff(archive)
    assert batch_keys(archive) == [f"batch:{batch}:3"]


def test_a_failed_run_without_a_scope_releases_its_leases(archive: Archive, batch: str) -> None:
    archive.database.run(lambda conn: ledger.claim(conn, Scope(batch=batch), ("original",), "run-1", limit=10))
    scheduling.run_failed(archive.database, "run-1", None)
    assert batch_keys(archive) == [f"batch:{batch}:1"]


def test_a_retried_run_takes_over_the_leases_of_its_predecessor(archive: Archive, batch: str) -> None:
    begin_batch(archive, batch, "run-1")
    archive.database.run(lambda conn: ledger.claim(conn, Scope(batch=batch), ("original",), "run-1", limit=10))
    begin_batch(archive, batch, "run-2", parent_run_id="run-1")
    claims = archive.database.run(lambda conn: ledger.claim(conn, Scope(batch=batch), ("original",), "run-2", limit=10))
    assert len(claims) == 2


def test_a_request_lost_by_dagster_is_repeated_under_a_new_key(archive: Archive, batch: str) -> None:
    batch_keys(archive)
    make_stale(archive)
    assert [request.run_key for request in scheduling.request_batches(archive.database, any_run)] == [
        f"batch:{batch}:1"
    ]
    assert batch_keys(archive) == [f"batch:{batch}:2"]
    assert batch_keys(archive) == [f"batch:{batch}:2"]


def test_a_batch_whose_runs_keep_failing_is_parked(archive: Archive, batch: str) -> None:
    for attempt in range(ledger.MAX_RUN_FAILURES):
        begin_batch(archive, batch, f"run-{attempt}")
        scheduling.run_failed(archive.database, f"run-{attempt}", dispatches.batch_scope(batch))
        end_backoff(archive)
    assert batch_keys(archive) == []
    begin_batch(archive, batch, "by-hand")
    end_batch(archive, batch, "by-hand", Tally())
    assert len(batch_keys(archive)) == 1


def test_a_tick_requests_a_bounded_number_of_batches(archive: Archive, tmp_path: Path) -> None:
    for number in range(scheduling.BATCHES_PER_TICK + 3):
        import_files(archive, tmp_path / f"in{number}", {"a.jpg": b"x"}, source=f"source{number:02}")
    assert len(batch_keys(archive)) == scheduling.BATCHES_PER_TICK
    assert len(scheduling.batches_with_work(archive.database)) == scheduling.BATCHES_PER_TICK + 3


def test_an_unknown_batch_cannot_be_begun(archive: Archive) -> None:
    with pytest.raises(InputError, match="no import batch '20260212-unknown-00001' in the catalogue"):
        begin_batch(archive, "20260212-unknown-00001", "run-1")
    with pytest.raises(InputError, match="no import batch 'x' in the catalogue"):
        scheduling.require_batches(archive.database, ["x"])


def test_keys_are_announced_until_dagster_knows_them(archive: Archive, batch: str) -> None:
    assert scheduling.batches_to_announce(archive.database, no_run) == [batch]
    assert scheduling.batches_to_announce(archive.database, no_run) == [batch]
    assert scheduling.batches_to_announce(archive.database, any_run) == []
    assert scheduling.batches_to_announce(archive.database, no_run) == []
    assert scheduling.batches_missing_from(archive.database, ["another"]) == [batch]
    assert scheduling.batches_missing_from(archive.database, [batch]) == []


# Scattered photos --------------------------------------------------------------------------------------------------


def test_an_edited_crop_is_requested_until_its_run_starts_and_not_afterwards(
    archive: Archive, rendered: dict[str, UUID]
) -> None:
    assert scheduling.request_crops(archive.database, no_run) is None
    set_crop(archive.database, rendered["a.jpg"], Crop("manual", 10, 10, 2), author=EDITOR)
    first = scheduling.request_crops(archive.database, no_run)
    assert first is not None
    assert (first.photo_ids, first.run_key) == ((rendered["a.jpg"],), "crops:1")
    assert scheduling.request_crops(archive.database, no_run) == first
    rerender_photos(archive, Scope(photo_ids=first.photo_ids), "run-1", first.scope)
    assert scheduling.request_crops(archive.database, no_run) is None


def test_edits_are_requested_oldest_first_as_one_run(archive: Archive, rendered: dict[str, UUID]) -> None:
    for name in ("b.jpg", "a.jpg"):
        set_crop(archive.database, rendered[name], Crop("manual", 10, 10, 2), author=EDITOR)
    request = scheduling.request_crops(archive.database, no_run)
    assert request is not None
    assert request.photo_ids == (rendered["b.jpg"], rendered["a.jpg"])


def test_a_failed_rerender_is_requested_again_after_a_backoff(archive: Archive, rendered: dict[str, UUID]) -> None:
    set_crop(archive.database, rendered["a.jpg"], Crop("manual", 10, 10, 2), author=EDITOR)
    scheduling.request_crops(archive.database, no_run)
    archive.database.run(lambda conn: dispatches.claim(conn, "crops", "run-1"))
    scheduling.run_failed(archive.database, "run-1", "crops")
    assert scheduling.request_crops(archive.database, no_run) is None
    end_backoff(archive)
    again = scheduling.request_crops(archive.database, no_run)
    assert again is not None
    assert again.run_key == "crops:3"


def test_retries_are_requested_when_they_are_due(archive: Archive, batch: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "a.jpg").unlink()
    run(archive, batch)
    assert scheduling.request_retries(archive.database, no_run) is None
    query(archive.database, "update core.variant_generations set next_attempt_at = now() where state = 'failed'")
    request = scheduling.request_retries(archive.database, no_run)
    assert request is not None
    assert (request.photo_ids, request.run_key) == ((photo_ids(archive)["a.jpg"],), "retries:1")
    (tmp_path / "in" / "a.jpg").write_bytes(pictures.jpeg())
    tally = rerender_photos(archive, Scope(photo_ids=request.photo_ids), "run-2", request.scope).tally
    assert tally.complete == 1
    assert scheduling.request_retries(archive.database, no_run) is None


def test_a_partition_is_complete_only_when_all_of_its_photos_are(archive: Archive, rendered: dict[str, UUID]) -> None:
    scope = Scope(photo_ids=(rendered["a.jpg"],))
    assert {partition.asset: partition.is_complete for partition in touched_sets(archive, scope)} == {
        "base_variants": True,
        "crop_variants": True,
    }
    query(
        archive.database,
        "update core.variant_generations set recipe = 'old' where kind = 'base' and media_asset_id = %s",
        rendered["b.jpg"],
    )
    assert {partition.asset: partition.is_complete for partition in touched_sets(archive, scope)} == {
        "base_variants": False,
        "crop_variants": True,
    }
    assert list(touched_sets(archive, Scope(photo_ids=(uuid4(),)))) == []
