"""An S3 store with repeated failures during a whole batch: the batch ends in the same state as an undisturbed one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import final_state, import_files, query, run, value
from trr_pipelines_tests.support.faulty_proxy import (
    Answer,
    CutAnswer,
    CutRequest,
    Fault,
    FaultyProxy,
    LoseAnswer,
    Request,
    no_fault,
)
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on, moto_server

PHOTOS = {f"{number}.jpg": pictures.jpeg(300, 200, seed=number) for number in range(6)}
MAX_RUNS = 12


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with moto_server() as running:
        yield running


def sometimes(share: float, *faults: Fault) -> Callable[[Request], Fault | None]:
    """A plan with one of the faults for this share of all requests, the same in every test run."""
    chance = random.Random(7)
    return lambda _: chance.choice(faults) if chance.random() < share else None


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(sometimes(0.3, Answer(503), Answer(500)), id="30 % of 503 and 500"),
        pytest.param(sometimes(0.3, LoseAnswer(), CutAnswer(40)), id="30 % of answers lost"),
        pytest.param(sometimes(0.3, CutRequest(100), CutRequest(3000)), id="30 % of uploads cut"),
    ],
)
def test_a_batch_converges_with_a_failing_store(
    archive: Archive,
    server: S3Server,
    tmp_path: Path,
    render_pool: RenderPool,
    plan: Callable[[Request], Fault | None],
) -> None:
    batch = import_files(archive, tmp_path / "in", PHOTOS)
    with FaultyProxy(server.port) as proxy, bucket_on(server, server.client(proxy.url)) as store:
        remote = replace(archive, store=store)
        proxy.plan = plan
        runs = 0
        while runs == 0 or value(
            archive.database, "select count(*) from core.variant_generations where state <> 'complete'"
        ):
            runs += 1
            assert runs <= MAX_RUNS
            query(
                archive.database, "update core.variant_generations set next_attempt_at = now() where state = 'failed'"
            )
            run(remote, batch, f"run-{runs}", pool=render_pool)
        reasons = query(archive.database, "select distinct reason from core.media_assets where reason is not null")
        assert reasons == []
        proxy.plan = no_fault
        assert reconcile(remote).is_clean
        for row in query(archive.database, "select hosted_key, bytes, sha256 from core.media_asset_variants"):
            head = store.head(row["hosted_key"])
            assert head is not None
            assert (head.bytes, head.sha256) == (row["bytes"], row["sha256"])
    disturbed = final_state(archive.database)
    assert len(disturbed["variants"]) == 10 * len(PHOTOS)

    query(archive.database, "truncate core.import_batches, core.media_assets, core.shows, core.people cascade")
    run(archive, import_files(archive, tmp_path / "in", PHOTOS), "undisturbed", pool=render_pool)
    assert final_state(archive.database) == disturbed


def test_a_store_that_only_answers_503_fails_photos_but_not_the_run(
    archive: Archive, server: S3Server, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = import_files(archive, tmp_path / "in", dict(list(PHOTOS.items())[:2]))
    with FaultyProxy(server.port) as proxy, bucket_on(server, server.client(proxy.url)) as store:
        proxy.plan = lambda _: Answer(503)
        ran = run(replace(archive, store=store), batch, pool=render_pool)
        assert dict(ran.originals.ended) == {"storage_unavailable": 2}
        assert len(proxy.requests) <= 2 * 5 * 2, "five tries for each call"
    waiting = query(
        archive.database,
        "select attempts, next_attempt_at > now() as waits from core.variant_generations where state = 'failed'",
    )
    assert waiting == [{"attempts": 1, "waits": True}] * 2
