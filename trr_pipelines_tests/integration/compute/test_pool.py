"""The render pool with real processes: bad photos, limits, and leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from trr_pipelines.compute.pool import PoolClosedError, RenderPool
from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import RenderRequest, render
from trr_pipelines_tests import pictures

EVERYTHING = RenderRequest(BASE, CROP)
THUMB_ONLY = RenderRequest(BASE, None)


_of_others: set[psutil.Process] = set()


@pytest.fixture(autouse=True)
def others_first() -> None:
    """Record the processes of pools that other modules opened in this worker."""
    _of_others.clear()
    _of_others.update(psutil.Process().children())


def children() -> list[psutil.Process]:
    """The render processes started by this test's pools."""
    render_processes = []
    for process in set(psutil.Process().children()) - _of_others:
        try:
            if "trr_pipelines.compute.child" in process.cmdline():
                render_processes.append(process)
        except psutil.NoSuchProcess:
            continue
    return render_processes


def failure_of(pool: RenderPool, data: bytes, name: str) -> MediaError:
    with pytest.raises(MediaError) as caught:
        pool.render(data, EVERYTHING, name=name)
    return caught.value


@pytest.fixture
def pool() -> Iterator[RenderPool]:
    with RenderPool(1) as opened:
        yield opened


@pytest.fixture
def failpoint(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("TRR_RENDER_FAILPOINT", f"{request.param}:bad.jpg")


def test_a_render_process_gives_the_same_bytes_as_this_process(pool: RenderPool) -> None:
    photo = pictures.jpeg(1600, 1200)
    request = RenderRequest(BASE, CROP, (Crop("manual", 20, 30, 1.5),))

    assert pool.render(photo, request, name="photo.jpg") == render(photo, request)


def test_processes_start_on_demand_and_end_with_the_pool(pool: RenderPool) -> None:
    before = len(children())
    assert before == 0
    pool.render(pictures.jpeg(), EVERYTHING, name="photo.jpg")
    assert len(children()) == 1
    pool.close()
    assert children() == []


def test_niceness_applies_to_render_processes_only() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with RenderPool(2, niceness=7) as nice:
        nice.render(pictures.jpeg(), THUMB_ONLY, name="photo.jpg")
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in nice.processes()] == [min(19, own + 7)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_an_idle_process_is_reused_before_another_starts() -> None:
    with RenderPool(4) as pool:
        for _ in range(3):
            pool.render(pictures.jpeg(), THUMB_ONLY, name="photo.jpg")
        assert len(children()) == 1


def test_an_undecodable_photo_does_not_end_the_process(pool: RenderPool) -> None:
    pool.render(pictures.jpeg(), EVERYTHING, name="good.jpg")
    (process,) = children()

    assert failure_of(pool, b"<html>", "page.jpg").reason is Reason.NOT_AN_IMAGE
    pool.render(pictures.jpeg(), EVERYTHING, name="good.jpg")
    assert children() == [process]


@pytest.mark.parametrize(
    ("failpoint", "kind", "reason", "detail"),
    [
        ("crash", PermanentError, Reason.DECODE_CRASH, "SIGSEGV"),
        ("killed", RetryableError, Reason.DECODE_CRASH, "killed from outside"),
        ("eat", PermanentError, Reason.DECODE_OOM, "1,400 MB"),
        ("flood", PermanentError, Reason.DECODE_CRASH, "the limit is"),
    ],
    indirect=["failpoint"],
)
@pytest.mark.usefixtures("failpoint")
def test_a_misbehaving_process_fails_only_its_photo(
    pool: RenderPool, kind: type[MediaError], reason: Reason, detail: str
) -> None:
    error = failure_of(pool, pictures.jpeg(), "bad.jpg")

    assert (type(error), error.reason) == (kind, reason)
    assert detail in error.detail
    assert pool.render(pictures.jpeg(), EVERYTHING, name="good.jpg").variants


def test_several_photos_can_have_a_failpoint(pool: RenderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRR_RENDER_FAILPOINT", "crash:a (file:///in: this one.jpg)\nkilled:b.jpg")

    assert "SIGSEGV" in failure_of(pool, pictures.jpeg(), "a (file:///in: this one.jpg)").detail
    assert "from outside" in failure_of(pool, pictures.jpeg(), "b.jpg").detail
    assert pool.render(pictures.jpeg(), EVERYTHING, name="c.jpg").variants


@pytest.mark.parametrize("failpoint", ["sleep"], indirect=True)
@pytest.mark.usefixtures("failpoint")
def test_a_hanging_process_is_killed_in_time() -> None:
    with RenderPool(1, quiet_seconds=2) as pool:
        error = failure_of(pool, pictures.jpeg(), "bad.jpg")
        assert (type(error), error.reason) == (RetryableError, Reason.DECODE_TIMEOUT)
        assert pool.render(pictures.jpeg(), EVERYTHING, name="good.jpg").variants


def test_a_slow_process_is_not_killed() -> None:
    slow = pictures.progressive_scan_bomb(6_000, 150)
    with RenderPool(1, quiet_seconds=0.5) as pool:
        began = time.monotonic()
        assert pool.render(slow, THUMB_ONLY, name="slow.jpg").variants
        assert time.monotonic() - began > 0.5


@pytest.mark.parametrize("failpoint", ["babble"], indirect=True)
@pytest.mark.usefixtures("failpoint")
def test_output_of_libraries_is_neither_shown_nor_mixed_into_replies(
    pool: RenderPool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert pool.render(pictures.jpeg(), EVERYTHING, name="bad.jpg").variants
    assert capfd.readouterr() == ("", "")


def test_a_scan_bomb_is_killed_in_time_while_other_photos_are_rendered() -> None:
    bomb = pictures.progressive_scan_bomb(8_000, 3_000)
    with RenderPool(2, cpu_seconds=3) as pool, ThreadPoolExecutor(1) as threads:
        doomed = threads.submit(failure_of, pool, bomb, "bomb.jpg")
        rendered = 0
        while not doomed.done():
            assert pool.render(pictures.jpeg(), THUMB_ONLY, name="good.jpg").variants
            rendered += 1
        assert (type(doomed.result()), doomed.result().reason) == (PermanentError, Reason.DECODE_TIMEOUT)
        assert rendered > 5


def test_cpu_seconds_are_limited_per_photo_not_per_process() -> None:
    slow = pictures.progressive_scan_bomb(3_000, 100)
    with RenderPool(1, cpu_seconds=2) as pool:
        pool.render(slow, THUMB_ONLY, name="slow.jpg")
        (process,) = children()
        while sum(process.cpu_times()[:2]) < 3:
            pool.render(slow, THUMB_ONLY, name="slow.jpg")
        assert children() == [process]


def test_the_largest_allowed_picture_fits_into_a_workers_memory(pool: RenderPool) -> None:
    assert pool.render(pictures.png_of_zeros(8_660, 8_660, colour_type=6), EVERYTHING, name="big.png").variants


def test_a_process_that_keeps_much_memory_is_replaced(pool: RenderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trr_pipelines.compute.pool.MAX_IDLE_BYTES", 1_000_000)
    pool.render(pictures.jpeg(), EVERYTHING, name="photo.jpg")
    assert children() == []
    assert pool.render(pictures.jpeg(), EVERYTHING, name="photo.jpg").variants


def test_a_process_killed_while_idle_fails_no_photo(pool: RenderPool) -> None:
    pool.render(pictures.jpeg(), THUMB_ONLY, name="photo.jpg")
    (process,) = children()
    process.kill()
    process.wait(timeout=5)
    assert pool.render(pictures.jpeg(), THUMB_ONLY, name="photo.jpg").variants


def test_a_process_that_cannot_start_is_a_retryable_error_with_its_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['numpy'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with RenderPool(1) as pool:
        error = failure_of(pool, pictures.jpeg(), "photo.jpg")
    assert (type(error), error.reason) == (RetryableError, Reason.INTERNAL)
    assert "the render process did not start: ended with 1: ModuleNotFoundError" in error.detail
    assert children() == []


def test_threads_share_the_processes_and_each_gets_its_own_photo() -> None:
    photos = [pictures.jpeg(200 + 2 * number, 150, seed=number) for number in range(24)]
    with RenderPool(2) as pool, ThreadPoolExecutor(8) as threads:
        rendered = list(threads.map(lambda photo: pool.render(photo, THUMB_ONLY, name="photo.jpg"), photos))
        assert len(children()) == 2
    assert [result.source.width for result in rendered] == [200 + 2 * number for number in range(24)]


def test_processes_outlive_the_threads_that_first_needed_them(pool: RenderPool) -> None:
    thread = threading.Thread(target=pool.render, args=(pictures.jpeg(), EVERYTHING), kwargs={"name": "photo.jpg"})
    thread.start()
    thread.join()
    (process,) = children()
    time.sleep(0.1)
    pool.render(pictures.jpeg(), EVERYTHING, name="photo.jpg")
    assert children() == [process]


@pytest.mark.parametrize("failpoint", ["sleep"], indirect=True)
@pytest.mark.usefixtures("failpoint")
def test_closing_ends_busy_processes_and_waiting_renders_raise() -> None:
    pool = RenderPool(1)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(pool.render, pictures.jpeg(), EVERYTHING, name="bad.jpg") for _ in range(3)]
        while not children():
            time.sleep(0.01)
        pool.close()
        for future in waiting:
            with pytest.raises(PoolClosedError):
                future.result(timeout=10)
    assert children() == []
    with pytest.raises(PoolClosedError):
        pool.render(pictures.jpeg(), EVERYTHING, name="photo.jpg")


def test_a_process_has_no_secrets_no_inherited_files_and_cannot_write(
    pool: RenderPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRR_SERVICE_ROLE_KEY", "canary")
    with (tmp_path / "open.txt").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        pool.render(pictures.jpeg(), EVERYTHING, name="photo.jpg")
        (process,) = children()
        assert "canary" not in process.environ().values()
        assert process.open_files() == []
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert process.num_threads() <= 2


RUN = textwrap.dedent("""
    import signal, sys, threading
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored if the tests run in the background
    from trr_pipelines.compute.pool import RenderPool
    from trr_pipelines.imaging.recipes import BASE
    from trr_pipelines.imaging.render import RenderRequest
    from trr_pipelines_tests import pictures

    pool = RenderPool(2)
    for number in range(2):
        threading.Thread(
            target=pool.render,
            args=(pictures.jpeg(), RenderRequest(BASE, None)),
            kwargs={"name": "bad.jpg"},
            daemon=True,
        ).start()
    while len(pool.processes()) < 2:
        pass
    print("busy", flush=True)
    threading.Event().wait()
""")


@pytest.mark.parametrize("to_group", [True, False], ids=["whole group", "run alone"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("failpoint", ["sleep"], indirect=True)
@pytest.mark.usefixtures("failpoint")
def test_processes_end_silently_with_their_run(number: signal.Signals, to_group: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == "busy\n"
        processes = psutil.Process(run.pid).children()
        assert len(processes) == 2

        (os.killpg if to_group else os.kill)(run.pid, number)
        try:
            run.wait(timeout=10)
        finally:
            run.kill()  # otherwise leaving the block would wait forever
        _, alive = psutil.wait_procs(processes, timeout=5)

        assert alive == []
        assert "compute/child" not in run.stderr.read()
