"""Batches on a Dask cluster of real processes: workers and schedulers die, results are the same, no run hangs."""

from __future__ import annotations

import hashlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask.config
import psutil
import pytest

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.cluster import ClusterRenderer
from trr_pipelines.doctor import DEPLOYMENTS
from trr_pipelines.errors import SetupError
from trr_pipelines.imaging.recipes import BASE, EncoderOptions
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering import derivatives
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.worker import Tally
from trr_pipelines.settings import Settings
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import external
from trr_pipelines_tests.support.archives import import_files, ledger_of, query, value
from trr_pipelines_tests.support.certificates import certificate_for
from trr_pipelines_tests.support.dask import Cluster, running_scheduler, wait_for
from trr_pipelines_tests.support.s3_servers import bucket_on, moto_server

FILES = {f"{number}.jpg": pictures.jpeg(300, 200, seed=number) for number in range(3)}
HELD = "select count(*) from core.variant_generations where lease_until is not null"
PENDING = "select count(*) from core.variant_generations where state = 'pending'"


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Cluster]:
    with running_scheduler() as cluster:
        yield cluster


@pytest.fixture
def cluster(scheduler: Cluster) -> Iterator[Cluster]:
    """The module's scheduler, without workers."""
    yield scheduler
    scheduler.stop_workers()


@pytest.fixture
def scope(archive: Archive, tmp_path: Path) -> Scope:
    """The photos of `FILES`, imported and mirrored."""
    scope = Scope(batch=import_files(archive, tmp_path / "in", FILES))
    mirror_originals(archive, scope, "run-1")
    return scope


def on(address: str, archive: Archive) -> Archive:
    """The archive with settings to render on the cluster."""
    return replace(archive, settings=archive.settings.model_copy(update={"dask_address": address}))


def worker_settings(archive: Archive, failpoint: str = "") -> dict[str, str]:
    return {"TRR_MEDIA_STORE": archive.settings.media_store, "TRR_RENDER_FAILPOINT": failpoint}


def name_of(archive: Archive, file: str) -> str:
    """The name of a photo that is passed to render processes."""
    rows = query(archive.database, "select id, source_url from core.media_assets where source_url like %s", f"%/{file}")
    return f"{rows[0]['id']} ({rows[0]['source_url']})"


def render_processes_of(worker: int) -> list[psutil.Process]:
    """The worker's render processes, without the short-lived programs that Dask runs to inspect the machine."""
    processes = []
    for child in psutil.Process(worker).children():
        with suppress(psutil.NoSuchProcess):  # one of those programs ended just now
            if "trr_pipelines.compute.child" in child.cmdline():
                processes.append(child)
    return processes


def test_a_photo_moves_to_another_worker_when_its_own_is_killed(
    cluster: Cluster, archive: Archive, scope: Scope
) -> None:
    everywhere = "\n".join(f"sleep:{name_of(archive, file)}" for file in FILES)
    first = cluster.start_worker(worker_settings(archive, everywhere))
    with ThreadPoolExecutor(1) as thread:
        running: Future[Tally] = thread.submit(render_photos, on(cluster.address, archive), scope, "run-1")
        wait_for(
            lambda: running.done() or render_processes_of(first.pid)
        )  # a render process starts with its first photo
        render_processes = render_processes_of(first.pid)
        first.kill()
        cluster.start_worker(worker_settings(archive))
        tally = running.result()
    assert render_processes
    assert psutil.wait_procs(render_processes, timeout=10)[1] == []
    assert (dict(tally.ended), tally.rows_written) == ({"complete": 3}, 30)
    assert value(archive.database, HELD) == 0
    assert reconcile(archive).is_clean


def test_a_photo_that_kills_its_workers_ends_as_failed(cluster: Cluster, archive: Archive, scope: Scope) -> None:
    lethal = f"kill_parent:{name_of(archive, '1.jpg')}"
    for _ in range(2):
        cluster.start_worker(worker_settings(archive, lethal))
    alone = query(archive.database, "select id from core.media_assets where source_url like %s", "%/1.jpg")
    tally = render_photos(on(cluster.address, archive), Scope(photo_ids=(alone[0]["id"],)), "run-1")
    assert dict(tally.ended) == {"decode_crash": 1}
    assert ledger_of(archive, "1.jpg") == {"original": "complete", "base": "decode_crash", "crop": "decode_crash"}
    (failed,) = query(
        archive.database,
        "select detail, next_attempt_at is not null as is_tried_again from core.variant_generations"
        " where kind = 'base' and state = 'failed'",
    )
    assert failed == {"detail": "2 Dask workers died while rendering this photo", "is_tried_again": True}


def test_external_originals_are_read_by_the_workers_and_a_changed_one_is_read_again(
    cluster: Cluster, archive: Archive
) -> None:
    for number, name in enumerate(("one", "two")):
        external.put(archive.store, f"images/{name} (1).bin", FILES[f"{number}.jpg"])
    ids = external.adopt(archive, {"one": "images/one (1).bin", "two": "images/two (1).bin"})
    scope = Scope(photo_ids=tuple(ids.values()))
    mirror_originals(archive, scope, "run-1")
    external.put(archive.store, "images/two (1).bin", FILES["2.jpg"])
    cluster.start_worker(worker_settings(archive))
    rerender_photos(on(cluster.address, archive), scope, "run-1", None)
    states = query(archive.database, "select distinct kind, state from core.variant_generations")
    assert {row["state"] for row in states} == {"complete"}
    versions = query(archive.database, "select distinct source_version from core.media_asset_variants")
    assert {row["source_version"] for row in versions} == {
        hashlib.sha256(FILES[name]).hexdigest() for name in ("0.jpg", "2.jpg")
    }


def assert_refused(archive: Archive, scope: Scope, message: str) -> None:
    """Assert that the run fails with `message` and leaves its photos pending and without leases."""
    with pytest.raises(SetupError, match=message):
        render_photos(archive, scope, "run-1")
    assert value(archive.database, HELD) == 0
    assert value(archive.database, PENDING) == 2 * len(FILES)


def test_a_worker_with_another_store_is_refused(
    cluster: Cluster, archive: Archive, scope: Scope, tmp_path: Path
) -> None:
    cluster.start_worker(worker_settings(archive) | {"TRR_MEDIA_STORE": f"file:{tmp_path / 'other'}"})
    assert_refused(
        on(cluster.address, archive), scope, f"a Dask worker has TRR_MEDIA_STORE file:{tmp_path / 'other'}, the run"
    )


def test_a_worker_with_other_recipes_is_refused(
    cluster: Cluster, archive: Archive, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.start_worker(worker_settings(archive))
    monkeypatch.setattr(derivatives, "BASE", replace(BASE, encoder=EncoderOptions(webp_method=0)))
    assert_refused(
        on(cluster.address, archive), scope, f"a Dask worker has the base recipe {BASE.fingerprint}, the run has"
    )


def test_workers_read_and_write_a_bucket_directly(cluster: Cluster, archive: Archive, tmp_path: Path) -> None:
    with moto_server() as server, bucket_on(server, server.client()) as store:
        url = f"s3://{store.bucket}/{store.prefix}"
        settings = Settings(database_url=archive.settings.database_url, media_store=url, dask_address=cluster.address)
        in_bucket = replace(archive, settings=settings, store=store)
        scope = Scope(batch=import_files(in_bucket, tmp_path / "in", FILES))
        mirror_originals(in_bucket, scope, "run-1")
        cluster.start_worker({"TRR_MEDIA_STORE": url, **server.environment()})
        tally = render_photos(in_bucket, scope, "run-1")
        assert (dict(tally.ended), tally.rows_written) == ({"complete": 3}, 30)
        assert reconcile(in_bucket).is_clean


def test_scheduler_workers_and_run_communicate_over_tls(archive: Archive, scope: Scope, tmp_path: Path) -> None:
    certificate = str(certificate_for("cluster.internal", tmp_path))
    names = ("ca-file", "scheduler.cert", "worker.cert", "client.cert")
    tls = {f"distributed.comm.tls.{name}": certificate for name in names}
    variables = {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": certificate for name in tls}
    with dask.config.set(tls), running_scheduler("tls", **variables) as own:
        own.start_worker(worker_settings(archive) | variables)
        assert dict(render_photos(on(own.address, archive), scope, "run-1").ended) == {"complete": 3}
        with pytest.raises(SetupError, match="no Dask scheduler answers at tcp://"):
            ClusterRenderer(own.address.replace("tls:", "tcp:"), "file:somewhere", connect_seconds=2)


def test_a_cluster_without_workers_is_refused_after_a_wait(
    cluster: Cluster, archive: Archive, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derivatives, "ClusterRenderer", partial(ClusterRenderer, workerless_seconds=1))
    assert_refused(on(cluster.address, archive), scope, f"TRR_DASK_ADDRESS {cluster.address}: no worker for 1 s")
    with pytest.raises(SetupError, match="the scheduler has no worker"):
        DEPLOYMENTS["backend"]["TRR_DASK_ADDRESS"](on(cluster.address, archive).settings)


def test_a_lost_scheduler_fails_the_run(archive: Archive, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivatives, "ClusterRenderer", partial(ClusterRenderer, connect_seconds=1))
    with running_scheduler() as own, ThreadPoolExecutor(1) as thread:
        running = thread.submit(
            assert_refused, on(own.address, archive), scope, "lost the scheduler while photos were rendering"
        )
        wait_for(lambda: running.done() or value(archive.database, HELD))
        own.scheduler.kill()
        running.result()


def test_a_frozen_scheduler_times_out(archive: Archive, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivatives, "ClusterRenderer", partial(ClusterRenderer, workerless_seconds=3))
    with running_scheduler() as own, ThreadPoolExecutor(1) as thread:
        own.start_worker(worker_settings(archive, f"sleep:{name_of(archive, '0.jpg')}"))
        own.wait_for_workers(1)
        running = thread.submit(
            assert_refused, on(own.address, archive), scope, "the scheduler has not answered for 3 s"
        )
        wait_for(lambda: running.done() or value(archive.database, HELD))
        own.scheduler.send_signal(signal.SIGSTOP)
        running.result()


def _nothing(_: socket.socket) -> None:
    """Nothing listens: the connection is refused."""


def _silence(listener: socket.socket) -> None:
    """A server that accepts connections and never responds."""
    listener.listen()


def _another_protocol(listener: socket.socket) -> None:
    """A server that is not a scheduler: Dask interprets its first bytes as a length."""
    listener.listen()

    def answer() -> None:
        with listener.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    threading.Thread(target=answer).start()


@pytest.mark.parametrize("behaviour", [_nothing, _silence, _another_protocol])
def test_an_address_without_a_scheduler_is_named_in_the_error(behaviour: Callable[[socket.socket], None]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        behaviour(listener)
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(SetupError, match=f"TRR_DASK_ADDRESS: no Dask scheduler answers at {address} within 0.5 s"):
            ClusterRenderer(address, "file:somewhere", connect_seconds=0.5)
