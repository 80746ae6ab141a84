"""`trr unpark` as a user runs it: parked work is requested again."""

from __future__ import annotations

from pathlib import Path

import pytest

from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES
from trr_pipelines.pipeline import scheduling
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.commands import Trr, one_line

PHOTO = (
    "with batch as (insert into core.import_batches (key, source, day, number)"
    "  values ('20260212-deadline-00001', 'deadline', '2026-02-12', 1)),"
    " photo as (insert into core.media_assets (source, source_url, batch_key)"
    "  values ('deadline', 'https://photos.example/1.jpg', '20260212-deadline-00001') returning id)"
    " insert into core.variant_generations (media_asset_id, kind, state, reason, next_attempt_at)"
    " select id, 'original', 'failed', 'internal', now() from photo"
)


@pytest.fixture
def trr(tmp_path: Path, database_url: str, database: Database) -> Trr:
    """Runs of retries and of crops failed too often, those of a batch not yet."""
    query(
        database,
        "insert into core.dispatches (scope, failures, not_before) values"
        " ('crops', %(most)s, now() + interval '1 hour'), ('retries', %(most)s, now() + interval '1 hour'),"
        " ('batch:20260212-deadline-00001', 1, now() + interval '1 hour')",
        {"most": MAX_RUN_FAILURES},
    )
    return Trr(tmp_path, TRR_DATABASE_URL=database_url)


def failures(database: Database) -> dict[str, int]:
    return {row["scope"]: row["failures"] for row in query(database, "select scope, failures from core.dispatches")}


def test_all_that_is_parked_is_requested_again(trr: Trr, database: Database) -> None:
    query(database, PHOTO)
    assert scheduling.request_retries(database, lambda _: False) is None
    assert trr.here("unpark").out == "unparked: crops, retries\n"
    assert failures(database) == {"crops": 0, "retries": 0, "batch:20260212-deadline-00001": 1}
    assert scheduling.request_retries(database, lambda _: False) is not None
    assert trr.here("unpark").out == "unparked: nothing was parked\n"


def test_one_scope_alone_can_be_named(trr: Trr, database: Database) -> None:
    assert trr.here("unpark", "retries", "--json").json == {"unparked": ["retries"]}
    assert failures(database) == {"crops": MAX_RUN_FAILURES, "retries": 0, "batch:20260212-deadline-00001": 1}


def test_a_scope_that_is_not_parked_is_refused_by_name(trr: Trr, database: Database) -> None:
    before = failures(database)
    one_line(
        trr.here("unpark", "crops", "batch:20260212-deadline-00001"),
        "no parked scope 'batch:20260212-deadline-00001'; parked are: crops, retries",
    )
    assert failures(database) == before
