"""The ledger on a real database: leases use its clock, and results commit only while the lease is valid."""

from __future__ import annotations

from uuid import UUID

import pytest

from trr_pipelines.catalogue import ledger
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.ledger import Claim, Kind, Scope, StaleResultError
from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines_tests.support.archives import query, value

BATCH = "20260212-deadline-00001"
SCOPE = Scope(batch=BATCH)


@pytest.fixture
def photos(database: Database) -> list[UUID]:
    """Three photos with everything to do, in the order in which they are claimed."""
    query(
        database,
        "insert into core.import_batches (key, source, day, number) values (%s, 'deadline', '2026-02-12', 1)",
        BATCH,
    )
    rows = query(
        database,
        "insert into core.media_assets (source, source_url, batch_key)"
        " select 'deadline', 'https://photos.example/' || n, %s from generate_series(1, 3) as n returning id",
        BATCH,
    )
    query(
        database,
        "insert into core.variant_generations (media_asset_id, kind)"
        " select id, kind from core.media_assets, unnest(array['original', 'base', 'crop']) as kind",
    )
    return sorted(row["id"] for row in rows)


def claim(
    database: Database,
    run_id: str,
    *kinds: Kind,
    limit: int = 10,
    scope: Scope = SCOPE,
    propose_crops: bool = False,
) -> list[Claim]:
    return database.run(
        lambda conn: ledger.claim(conn, scope, kinds or ("original",), run_id, limit=limit, propose_crops=propose_crops)
    )


def complete(database: Database, of: Claim, run_id: str) -> None:
    database.run(lambda conn: ledger.complete(conn, of, run_id, recipe="r1", signature=of.wanted))


def fail(database: Database, of: Claim, run_id: str, error: MediaError) -> bool:
    return database.run(lambda conn: ledger.fail(conn, of, run_id, error))


def let_leases_expire(database: Database) -> None:
    query(database, "update core.variant_generations set lease_until = now() - interval '1 second'")


def seconds_to_next_attempt(database: Database, photo: UUID) -> float | None:
    seconds = value(
        database,
        "select extract(epoch from next_attempt_at - now()) from core.variant_generations"
        " where media_asset_id = %s and kind = 'original'",
        photo,
    )
    return None if seconds is None else float(seconds)


def test_claimed_work_is_not_claimed_by_another_run(database: Database, photos: list[UUID]) -> None:
    assert [work.photo_id for work in claim(database, "run-1", limit=2)] == photos[:2]
    assert [work.photo_id for work in claim(database, "run-2")] == photos[2:]
    assert claim(database, "run-3") == []


def test_a_claim_takes_all_wanted_kinds_of_a_photo_and_counts_photos(database: Database, photos: list[UUID]) -> None:
    claims = claim(database, "run-1", "original", "base", limit=2)
    assert sorted((work.photo_id, work.kind) for work in claims) == [
        (photo, kind) for photo in photos[:2] for kind in ("base", "original")
    ]


def test_photos_locked_by_another_transaction_are_skipped(database: Database, photos: list[UUID]) -> None:
    with database.transaction() as conn:
        first = ledger.claim(conn, SCOPE, ("original",), "run-1", limit=1)
        assert [work.photo_id for work in first] == photos[:1]
        assert [work.photo_id for work in claim(database, "run-2")] == photos[1:]


def test_an_expired_lease_is_claimed_again_and_the_late_result_dropped(database: Database, photos: list[UUID]) -> None:
    (late, *_) = claim(database, "run-1")
    assert claim(database, "run-2") == []
    let_leases_expire(database)
    assert len(claim(database, "run-2")) == 3
    with pytest.raises(StaleResultError):
        complete(database, late, "run-1")
    assert fail(database, late, "run-1", PermanentError(Reason.CORRUPT, "late")) is False
    assert value(database, "select count(*) from core.variant_generations where run_id = 'run-2'") == 3


def test_a_lease_lasts_thirty_seconds_of_the_databases_clock_and_is_renewed(
    database: Database, photos: list[UUID]
) -> None:
    claim(database, "run-1", limit=2)
    query(
        database, "update core.variant_generations set lease_until = now() + interval '1 second' where run_id = 'run-1'"
    )
    database.run(lambda conn: ledger.renew(conn, photos[:1], "run-1"))
    database.run(lambda conn: ledger.renew(conn, photos, "run-2"))
    left = query(
        database,
        "select extract(epoch from lease_until - now()) as seconds from core.variant_generations"
        " where kind = 'original' order by media_asset_id",
    )
    assert 29 < left[0]["seconds"] <= ledger.LEASE_SECONDS == 30
    assert left[1]["seconds"] <= 1
    assert left[2]["seconds"] is None
    assert ledger.HEARTBEAT_SECONDS * 3 <= ledger.LEASE_SECONDS


def test_a_run_releases_only_its_own_leases(database: Database, photos: list[UUID]) -> None:
    claim(database, "run-1", limit=2)
    claim(database, "run-2", limit=1)
    assert database.run(lambda conn: ledger.release(conn, "run-1")) == 2
    assert database.run(lambda conn: ledger.release(conn, "run-1")) == 0
    assert [work.photo_id for work in claim(database, "run-3")] == photos[:2]


def test_leases_of_one_photo_are_released_without_the_others(database: Database, photos: list[UUID]) -> None:
    claim(database, "run-1", "base", "crop", propose_crops=True)
    database.run(lambda conn: ledger.release_photo(conn, photos[0], "run-1"))
    database.run(lambda conn: ledger.release_photo(conn, photos[1], "run-2"))
    assert {work.photo_id for work in claim(database, "run-3", "base", "crop", propose_crops=True)} == {photos[0]}


def test_an_edit_makes_the_result_of_the_claim_stale(database: Database, photos: list[UUID]) -> None:
    (work, *_) = claim(database, "run-1")
    query(
        database,
        "update core.variant_generations set version = version + 1, lease_until = null where media_asset_id = %s",
        photos[0],
    )
    with pytest.raises(StaleResultError, match="changed during the work"):
        complete(database, work, "run-1")
    assert fail(database, work, "run-1", PermanentError(Reason.CORRUPT, "x")) is False
    (again,) = claim(database, "run-2")
    assert again.version == work.version + 1
    complete(database, again, "run-2")


def test_complete_work_is_not_claimed_again_and_cannot_be_completed_twice(
    database: Database, photos: list[UUID]
) -> None:
    for work in claim(database, "run-1"):
        complete(database, work, "run-1")
        with pytest.raises(StaleResultError):
            complete(database, work, "run-1")
    let_leases_expire(database)
    assert claim(database, "run-2") == []
    assert database.run(lambda conn: ledger.count_open(conn, SCOPE, ("original",))) == 0
    assert database.run(lambda conn: ledger.count_open(conn, SCOPE, ("original", "base"))) == 3


def test_without_proposals_a_photo_without_a_crop_has_no_crop_work(database: Database, photos: list[UUID]) -> None:
    query(database, "update core.variant_generations set wanted = 'abc' where media_asset_id = %s", photos[1])
    assert [(work.photo_id, work.wanted) for work in claim(database, "run-1", "crop")] == [(photos[1], "abc")]
    assert database.run(lambda conn: ledger.count_open(conn, SCOPE, ("crop",))) == 1
    assert len(claim(database, "run-2", "crop", propose_crops=True)) == 2


def test_a_scope_of_photos_leaves_the_rest_of_the_batch_alone(database: Database, photos: list[UUID]) -> None:
    claims = claim(database, "run-1", scope=Scope(photo_ids=(photos[2],)))
    assert [work.photo_id for work in claims] == [photos[2]]
    assert claim(database, "run-1", scope=Scope(photo_ids=())) == []


def test_retryable_failures_wait_longer_each_time_and_are_parked_after_the_fifth(
    database: Database, photos: list[UUID]
) -> None:
    waits = []
    for attempt in range(5):
        (work, *_) = claim(database, f"run-{attempt}", limit=1)
        assert work.photo_id == photos[0]
        assert fail(database, work, f"run-{attempt}", RetryableError(Reason.FETCH_TIMEOUT, "slow")) is True
        waits.append(seconds_to_next_attempt(database, photos[0]))
        assert claim(database, "too-soon", scope=Scope(photo_ids=(photos[0],))) == []
        query(database, "update core.variant_generations set next_attempt_at = now() where next_attempt_at is not null")
    assert [wait and round(wait) for wait in waits] == [30, 120, 480, 1920, None]
    assert claim(database, "never", scope=Scope(photo_ids=(photos[0],))) == []


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (PermanentError(Reason.TRUNCATED, "x"), 1),
        (RetryableError(Reason.FETCH_NOT_FOUND, "x"), 3),
        (RetryableError(Reason.FETCH_FORBIDDEN, "x"), 5),
        (RetryableError(Reason.DISK_FULL, "x"), 5),
    ],
)
def test_the_number_of_attempts_depends_on_the_reason(
    database: Database, photos: list[UUID], error: MediaError, attempts: int
) -> None:
    made = 0
    while claims := claim(database, "run-1", scope=Scope(photo_ids=(photos[0],))):
        fail(database, claims[0], "run-1", error)
        made += 1
        query(database, "update core.variant_generations set next_attempt_at = now() where next_attempt_at is not null")
    assert made == attempts


@pytest.mark.parametrize(("retry_after_seconds", "waits"), [(5.0, 30), (600.0, 600)])
def test_a_retry_waits_as_long_as_the_source_requests(
    database: Database, photos: list[UUID], retry_after_seconds: float, waits: int
) -> None:
    (work, *_) = claim(database, "run-1", limit=1)
    fail(database, work, "run-1", RetryableError(Reason.FETCH_FAILED, "503", retry_after=retry_after_seconds))
    assert round(seconds_to_next_attempt(database, photos[0]) or 0) == waits


def test_success_forgets_earlier_failures(database: Database, photos: list[UUID]) -> None:
    (work, *_) = claim(database, "run-1", limit=1)
    fail(database, work, "run-1", RetryableError(Reason.FETCH_FAILED, "503"))
    query(database, "update core.variant_generations set next_attempt_at = now() where next_attempt_at is not null")
    (work, *_) = claim(database, "run-2", limit=1)
    complete(database, work, "run-2")
    row = query(
        database, "select * from core.variant_generations where media_asset_id = %s and kind = 'original'", photos[0]
    )
    assert (row[0]["state"], row[0]["attempts"], row[0]["reason"], row[0]["lease_until"]) == ("complete", 0, None, None)


@pytest.mark.parametrize("detail", ["a\0b", "caf\udce9.jpg", "x" * 5000])
def test_the_detail_of_a_failure_is_recorded(database: Database, photos: list[UUID], detail: str) -> None:
    (work, *_) = claim(database, "run-1", limit=1)
    assert fail(database, work, "run-1", PermanentError(Reason.CORRUPT, detail)) is True
    recorded = value(database, "select detail from core.variant_generations where state = 'failed'")
    assert recorded == {"a\0b": r"a\x00b", "caf\udce9.jpg": r"caf\udce9.jpg"}.get(detail, "x" * 1000)


def test_sets_of_another_recipe_become_pending_with_a_new_version(database: Database, photos: list[UUID]) -> None:
    for work in claim(database, "run-1", "base"):
        complete(database, work, "run-1")
    reopen = {
        recipe: database.run(lambda conn, recipe=recipe: ledger.reopen_outdated(conn, SCOPE, "base", recipe))  # type: ignore[misc]
        for recipe in ("r1", "r2")
    }
    assert reopen == {"r1": 0, "r2": 3}
    assert {work.version for work in claim(database, "run-2", "base")} == {2}


def test_no_run_is_requested_for_leased_work(database: Database, photos: list[UUID]) -> None:
    def batches() -> list[str]:
        return database.run(lambda conn: ledger.batches_with_work(conn, 10))

    assert batches() == [BATCH]
    claim(database, "run-1", "original", "base")
    assert batches() == []
    let_leases_expire(database)
    assert batches() == [BATCH]


def test_retries_are_due_by_the_databases_clock(database: Database, photos: list[UUID]) -> None:
    for work in claim(database, "run-1", limit=2):
        fail(database, work, "run-1", RetryableError(Reason.FETCH_FAILED, "503"))
    assert database.run(lambda conn: ledger.retries_due(conn, 10)) == []
    query(
        database,
        "update core.variant_generations set next_attempt_at = now() - interval '1 second'"
        " where media_asset_id = %s and state = 'failed'",
        photos[1],
    )
    assert database.run(lambda conn: ledger.retries_due(conn, 10)) == [photos[1]]


def test_a_crop_is_requested_only_after_the_base_set_is_complete(database: Database, photos: list[UUID]) -> None:
    def crops() -> list[UUID]:
        return database.run(lambda conn: ledger.crops_with_work(conn, 10))

    assert crops() == []
    for work in claim(database, "run-1", "base", limit=1):
        complete(database, work, "run-1")
    assert crops() == [photos[0]]
    claim(database, "run-2", "crop", propose_crops=True)
    assert crops() == []
