"""A batch through Dagster whose photos are rendered on a Dask cluster: the same pictures as this machine makes."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest
from dagster import DagsterInstance, Definitions

from trr_pipelines.compute.cluster import ClusterRenderer
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import RenderRequest
from trr_pipelines.local.batch_runs import run_batch
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering import derivatives
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, ledger_of, query
from trr_pipelines_tests.support.dask import running_scheduler
from trr_pipelines_tests.support.ports import refusing_port

FILES = {"a.jpg": pictures.jpeg(900, 700, seed=1), "b.jpg": pictures.jpeg(500, 800, seed=2)}


def test_a_batch_on_a_cluster_comes_to_what_it_comes_to_here(
    defs: Definitions,
    instance: DagsterInstance,
    archive: Archive,
    tmp_path: Path,
    render_pool: RenderPool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = import_files(archive, tmp_path / "in", {**FILES, "cut.jpg": FILES["a.jpg"][:9000]})
    instance.add_dynamic_partitions("import_batches", [batch])
    with running_scheduler() as cluster:
        monkeypatch.setenv("TRR_DASK_ADDRESS", cluster.address)
        cluster.start_worker({"TRR_MEDIA_STORE": archive.settings.media_store})
        assert defs.resolve_job_def("import_batch").execute_in_process(instance=instance, partition_key=batch).success
    rows = query(
        archive.database,
        "select a.sha256 as photo, v.variant_key, v.format, v.width, v.height, v.sha256, v.hosted_url"
        " from core.media_asset_variants v join core.media_assets a on a.id = v.media_asset_id",
    )
    expected = {
        (hashlib.sha256(data).hexdigest(), one.variant_key, one.format, one.width, one.height, one.sha256)
        for data in FILES.values()
        for one in render_pool.render(data, RenderRequest(BASE, CROP), name="here").variants
    }
    assert {tuple(row.values())[:-1] for row in rows} == expected
    assert len(rows) == len(expected)
    assert all(row["hosted_url"].startswith(f"{archive.settings.base_url}/") for row in rows)
    assert ledger_of(archive, "cut.jpg") == {"original": "complete", "base": "truncated", "crop": "truncated"}
    assert reconcile(archive).is_clean


def test_a_cluster_that_does_not_answer_is_named_in_one_line(
    defs: Definitions, instance: DagsterInstance, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = import_files(archive, tmp_path / "in", FILES)
    with refusing_port() as port:
        monkeypatch.setattr(derivatives, "ClusterRenderer", partial(ClusterRenderer, connect_seconds=0.5))
        monkeypatch.setenv("TRR_DASK_ADDRESS", f"tcp://127.0.0.1:{port}")
        ended = run_batch(instance, batch)
    problem = f"derivatives: TRR_DASK_ADDRESS: no Dask scheduler answers at tcp://127.0.0.1:{port} within 0.5 s ("
    assert (ended.succeeded, ended.problem.startswith(problem)) == (False, True), ended.problem
