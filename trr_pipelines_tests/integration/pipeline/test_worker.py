"""The worker's loop: all work of a scope ends, failures are isolated, and leases are released early."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from trr_pipelines.catalogue import ledger
from trr_pipelines.catalogue.ledger import Claim, Scope
from trr_pipelines.catalogue.photos import Photo
from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.worker import Handle, PhotoOutcome, Tally, Work, work_through
from trr_pipelines_tests.support.archives import import_files, query, value

PHOTOS = 12


@pytest.fixture
def batch(archive: Archive, tmp_path: Path) -> str:
    return import_files(archive, tmp_path / "in", {f"{number:02}.jpg": b"x" for number in range(PHOTOS)})


def work(archive: Archive, batch: str, handle: Handle, *, run_id: str = "run-1", threads: int = 3) -> Tally:
    return work_through(Work(archive.database, Scope(batch=batch), ("original",), run_id, threads), handle)


def completing(archive: Archive, run_id: str = "run-1") -> Handle:
    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        archive.database.run(lambda conn: [ledger.complete(conn, claim, run_id) for claim in claims])
        return PhotoOutcome(bytes_read=1)

    return handle


def states(archive: Archive) -> Counter[str]:
    rows = query(archive.database, "select coalesce(reason, state) as ended from core.variant_generations")
    return Counter(row["ended"] for row in rows)


def leases(archive: Archive) -> int:
    return int(value(archive.database, "select count(*) from core.variant_generations where lease_until is not null"))


def test_every_photo_of_the_scope_is_done_once(archive: Archive, batch: str) -> None:
    tally = work(archive, batch, completing(archive))
    assert (tally.complete, tally.failed, tally.bytes_read) == (PHOTOS, 0, PHOTOS)
    assert states(archive) == {"complete": PHOTOS}
    assert work(archive, batch, completing(archive)).complete == 0


def test_a_failed_photo_does_not_stop_others(archive: Archive, batch: str) -> None:
    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        if photo.source_url.endswith("03.jpg"):
            raise PermanentError(Reason.TRUNCATED, "ends after 12 bytes")
        if photo.source_url.endswith("04.jpg"):
            raise ZeroDivisionError("a fault of ours\0")
        return completing(archive)(photo, claims)

    tally = work(archive, batch, handle)
    assert (tally.complete, tally.failed) == (PHOTOS - 2, 2)
    assert states(archive) == {"complete": PHOTOS - 2, "truncated": 1, "internal": 1}
    (row,) = query(
        archive.database, "select detail, next_attempt_at from core.variant_generations where reason = 'internal'"
    )
    assert row["detail"] == r"ZeroDivisionError: a fault of ours\x00"
    assert row["next_attempt_at"] is not None
    assert leases(archive) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update core.media_assets set bytes = 1 / 0",  # 22012
        "update core.media_assets set width = 99999999999",  # 22003
        "update core.media_assets set batch_key = 'unknown'",  # 23503
        "update core.media_assets set state = 'happy'",  # 23514
        "do $$ begin raise exception 'no' using errcode = '21000'; end $$",  # of one row twice in an upsert
        "do $$ begin raise exception 'no' using errcode = '54000'; end $$",  # too long for an index
        "do $$ begin raise exception 'no' using errcode = 'XX001'; end $$",  # a damaged page
        "do $$ begin raise exception 'no'; end $$",  # a trigger
    ],
)
def test_a_photo_whose_values_the_database_refuses_stops_no_other(archive: Archive, batch: str, statement: str) -> None:
    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        if photo.source_url.endswith("03.jpg"):
            query(archive.database, statement)
        return completing(archive)(photo, claims)

    tally = work(archive, batch, handle)
    assert (tally.complete, tally.failed) == (PHOTOS - 1, 1)
    assert states(archive) == {"complete": PHOTOS - 1, "internal": 1}
    assert leases(archive) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "select from core.no_such_table",
        "set transaction read only; update core.media_assets set bytes = 1",
        "do $$ begin raise exception 'no' using errcode = '42501'; end $$",  # no right to the table
    ],
)
def test_a_database_that_no_photo_can_use_ends_the_run(archive: Archive, batch: str, statement: str) -> None:
    with pytest.raises(psycopg.Error):
        work(archive, batch, lambda photo, claims: query(archive.database, statement))  # type: ignore[arg-type,return-value]
    assert states(archive) == {"pending": PHOTOS}
    assert leases(archive) == 0


def test_a_failed_attempt_is_not_repeated_in_the_same_run(archive: Archive, batch: str) -> None:
    seen: Counter[str] = Counter()

    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        seen[photo.source_url] += 1
        raise ledger.StaleResultError("edited") if seen[photo.source_url] == 1 else KeyError(photo.id)

    tally = work(archive, batch, handle)
    assert set(seen.values()) == {2}
    assert tally.ended == {"stale": PHOTOS, "internal": PHOTOS}


def test_a_database_error_ends_the_run_and_releases_its_leases(archive: Archive, batch: str) -> None:
    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        query(archive.database, "select nonsense")
        raise AssertionError("unreachable")

    with pytest.raises(psycopg.errors.UndefinedColumn):
        work(archive, batch, handle)
    assert leases(archive) == 0
    assert states(archive) == {"pending": PHOTOS}


def test_an_interrupted_run_finishes_its_current_photos_and_releases_the_rest(archive: Archive, batch: str) -> None:
    started = threading.Event()

    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        started.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(archive, batch, handle)
    assert started.is_set()
    assert leases(archive) == 0


def test_two_runs_share_a_scope_without_duplicate_work(archive: Archive, batch: str) -> None:
    seen: Counter[str] = Counter()
    together = threading.Barrier(2)

    def run_worker(run_id: str) -> Tally:
        def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
            seen[photo.source_url] += 1
            time.sleep(0.01)
            return completing(archive, run_id)(photo, claims)

        together.wait(10)
        return work(archive, batch, handle, run_id=run_id)

    with ThreadPoolExecutor(2) as threads:
        tallies = list(threads.map(run_worker, ["run-1", "run-2"]))
    assert set(seen.values()) == {1}
    assert sum(tally.complete for tally in tallies) == len(seen) == PHOTOS


def test_a_run_waits_for_photos_leased_by_another_run(archive: Archive, batch: str) -> None:
    other = archive.database.run(lambda conn: ledger.claim(conn, Scope(batch=batch), ("original",), "other", limit=1))
    with ThreadPoolExecutor(1) as threads:
        ours = threads.submit(work, archive, batch, completing(archive))
        while states(archive)["complete"] < PHOTOS - 1:
            time.sleep(0.02)
        assert not ours.done()
        archive.database.run(lambda conn: ledger.complete(conn, other[0], "other"))
        assert ours.result(10).complete == PHOTOS - 1


def test_leases_are_renewed_while_slow_photos_are_processed(
    archive: Archive, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LEASE_SECONDS", 2)
    monkeypatch.setattr(ledger, "HEARTBEAT_SECONDS", 0.1)
    taken: list[Claim] = []

    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        if photo.source_url.endswith("00.jpg"):
            time.sleep(2.5)
            taken.extend(
                archive.database.run(
                    lambda conn: ledger.claim(conn, Scope(photo_ids=(photo.id,)), ("original",), "thief", limit=1)
                )
            )
        return completing(archive)(photo, claims)

    assert work(archive, batch, handle).complete == PHOTOS
    assert taken == []


@pytest.mark.parametrize(("scattered", "leased"), [(True, {PHOTOS}), (False, {1, 2})])
def test_scattered_photos_are_leased_at_once_and_those_of_a_batch_a_few_at_a_time(
    archive: Archive, batch: str, scattered: bool, leased: set[int]
) -> None:
    """Leased photos are excluded from the next request, so an edit made meanwhile gets its own run."""
    photo_ids = [
        row["media_asset_id"] for row in query(archive.database, "select media_asset_id from core.variant_generations")
    ]
    scope = Scope(photo_ids=tuple(photo_ids)) if scattered else Scope(batch=batch)
    first = threading.Event()
    seen: list[int] = []

    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        if not first.is_set():
            first.set()
            seen.append(leases(archive))
        return completing(archive)(photo, claims)

    work_through(Work(archive.database, scope, ("original",), "run-1", 1), handle)
    assert set(seen) <= leased


def test_photos_deleted_meanwhile_are_skipped(archive: Archive, batch: str) -> None:
    def handle(photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        query(archive.database, "delete from core.media_assets where source_url like '%%/11.jpg'")
        return completing(archive)(photo, claims)

    tally = work(archive, batch, handle, threads=1)
    assert tally.complete == PHOTOS - 1
