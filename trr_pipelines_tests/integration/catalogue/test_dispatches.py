"""Dispatches: one run_key until a run starts with it and a new one afterwards, whatever the result of the run."""

from __future__ import annotations

import pytest

from trr_pipelines.catalogue import dispatches
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES
from trr_pipelines_tests.support.archives import query, value

SCOPE = "batch:20260212-deadline-00001"


def request(database: Database) -> dispatches.Dispatch:
    return database.run(lambda conn: dispatches.request(conn, SCOPE))


def claim(database: Database, run_id: str = "run-1") -> None:
    database.run(lambda conn: dispatches.claim(conn, SCOPE, run_id))


def fail(database: Database, run_id: str = "run-1", *, was_killed: bool = False) -> None:
    database.run(lambda conn: dispatches.fail(conn, SCOPE, run_id, was_killed=was_killed))


def is_ready(database: Database) -> bool:
    return database.run(lambda conn: dispatches.is_ready(conn, SCOPE))


def end_backoff(database: Database) -> None:
    query(database, "update core.dispatches set not_before = now()")


def test_a_repeated_request_before_a_run_starts_has_the_same_key(database: Database) -> None:
    assert [request(database).run_key for _ in range(3)] == [f"{SCOPE}:1"] * 3


def test_work_added_after_a_run_started_is_requested_under_a_new_key(database: Database) -> None:
    request(database)
    claim(database)
    assert request(database).run_key == f"{SCOPE}:2"


def test_an_unrequested_run_also_advances_the_key(database: Database) -> None:
    claim(database)
    assert request(database).run_key == f"{SCOPE}:2"


def test_a_failed_run_is_requested_again_after_a_backoff(database: Database) -> None:
    request(database)
    claim(database)
    fail(database)
    assert is_ready(database) is False
    end_backoff(database)
    assert is_ready(database) is True
    assert request(database).run_key == f"{SCOPE}:3"


def test_a_run_that_failed_before_its_first_claim_advances_the_key(database: Database) -> None:
    request(database)
    fail(database)
    assert request(database).run_key == f"{SCOPE}:2"


def test_the_failure_of_an_older_run_does_not_affect_leases_of_a_newer_one(database: Database) -> None:
    claim(database, "run-1")
    claim(database, "run-2")
    fail(database, "run-1")
    row = query(database, "select run_id, failures, lease_until is null as is_free from core.dispatches")
    assert row == [{"run_id": "run-2", "failures": 0, "is_free": False}]


@pytest.mark.parametrize(("was_killed", "expected"), [(False, [10, 40, 160, 640, 2560]), (True, [10, 40, 40, 40, 40])])
def test_backoff_grows_and_the_scope_is_parked_after_five_failures(
    database: Database, was_killed: bool, expected: list[int]
) -> None:
    """After killed runs it stays short, as they say little about the scope."""
    waits = []
    for _ in range(MAX_RUN_FAILURES):
        claim(database)
        fail(database, was_killed=was_killed)
        waits.append(value(database, "select extract(epoch from not_before - now()) from core.dispatches"))
        end_backoff(database)
    assert [round(wait) for wait in waits] == expected
    assert is_ready(database) is False


def test_a_success_ends_backoff_and_parking(database: Database) -> None:
    for _ in range(MAX_RUN_FAILURES):
        claim(database)
        fail(database)
    claim(database, "by-hand")
    database.run(lambda conn: dispatches.succeed(conn, SCOPE, "by-hand"))
    assert is_ready(database) is True


def test_only_the_run_that_holds_a_scope_renews_or_ends_it(database: Database) -> None:
    claim(database, "run-2")
    query(database, "update core.dispatches set lease_until = now() + interval '1 second'")
    database.run(lambda conn: dispatches.renew(conn, SCOPE, "run-1"))
    database.run(lambda conn: dispatches.succeed(conn, SCOPE, "run-1"))
    assert 0 < value(database, "select extract(epoch from lease_until - now()) from core.dispatches") <= 1
    database.run(lambda conn: dispatches.renew(conn, SCOPE, "run-2"))
    assert value(database, "select extract(epoch from lease_until - now()) from core.dispatches") > 29
    database.run(lambda conn: dispatches.succeed(conn, SCOPE, "run-2"))
    assert value(database, "select lease_until from core.dispatches") is None


@pytest.mark.parametrize(
    ("seconds", "is_stale"), [(dispatches.STALE_SECONDS - 5, False), (dispatches.STALE_SECONDS + 1, True)]
)
def test_a_request_is_stale_by_the_databases_clock(database: Database, seconds: int, is_stale: bool) -> None:
    request(database)
    query(database, "update core.dispatches set requested_at = now() - make_interval(secs => %s)", seconds)
    assert request(database).is_stale is is_stale


def test_a_stale_request_is_replaced_once_even_concurrently(database: Database) -> None:
    stale = request(database)
    replaced = [database.run(lambda conn: dispatches.advance(conn, stale)) for _ in range(2)]
    assert [dispatch.epoch for dispatch in replaced] == [2, 1]
    assert request(database).run_key == f"{SCOPE}:2"


def test_a_scope_without_a_dispatch_is_ready(database: Database) -> None:
    assert is_ready(database) is True
