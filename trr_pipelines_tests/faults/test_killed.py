"""Processes killed at random moments: a restarted run ends in the same state as an undisturbed one.

`TRR_TEST_KILLS` sets how many random moments are tried (3 by default), `TRR_TEST_SEED` which ones.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import final_state, query, value, write_files
from trr_pipelines_tests.support.databases import new_database

KILLS = int(os.environ.get("TRR_TEST_KILLS", "3"))
SEED = int(os.environ.get("TRR_TEST_SEED", "1"))
PHOTOS = 10
SECONDS = 180


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{number:02}.jpg": pictures.jpeg(500, 400, seed=number) for number in range(PHOTOS)}
    files |= {"again.jpg": files["03.jpg"], "cut.jpg": files["04.jpg"][:2000], "text.jpg": b"<html>"}
    return write_files(tmp_path_factory.mktemp("photos"), files)


class Home:
    """A home of `trr` with databases given by URL, or with everything embedded."""

    def __init__(self, home: Path, media: Path, **environment: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "TRR_HOME": str(home),
            "TRR_MEDIA_STORE": f"file:{media}",
            "TRR_RENDER_PROCESSES": "2",
            **environment,
        }

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def json(self, *arguments: str | Path) -> Any:
        process = self.start(*arguments, "--json")
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode in (0, 1), out
        return json.loads(out)


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_after(process: subprocess.Popen[str], seconds: float) -> list[psutil.Process]:
    """Kill the process with SIGKILL after `seconds` unless it has ended; returns its descendants."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    started = descendants(process)
    process.kill()
    process.communicate()
    return started


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url).open()
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def home(tmp_path: Path, database_url: str, empty_database_url: str) -> Home:
    return Home(
        tmp_path / "home",
        tmp_path / "media",
        TRR_DATABASE_URL=database_url,
        TRR_DAGSTER_PG_URL=empty_database_url,
    )


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> dict[str, Any]:
    """The final state of an undisturbed run and its duration in seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with new_database(postgres, "template_trr") as url, new_database(postgres, "template1") as dagster:
        home = Home(folder / "home", folder / "media", TRR_DATABASE_URL=url, TRR_DAGSTER_PG_URL=dagster)
        home.json("import", photos, "--source", "deadline", "--show", "The Valley")
        began = time.monotonic()
        (run,) = home.json("run")
        assert run["succeeded"]
        with opened(url) as database:
            state = final_state(database)
    assert len(state["variants"]) == 10 * PHOTOS
    return {"state": state, "seconds": time.monotonic() - began}


def finish(home: Home, url: str) -> list[Any]:
    """Run until no work is pending. Leases are expired first, which frees the photos of a killed run."""
    runs = []
    with opened(url) as database:
        for _ in range(10):
            query(database, "update core.variant_generations set lease_until = now() where lease_until is not null")
            query(database, "update core.dispatches set lease_until = null")
            batch = value(database, "select key from core.import_batches")
            (run,) = home.json("run", "--batch", batch)
            runs.append(run)
            if not value(database, "select count(*) from core.variant_generations where state = 'pending'"):
                return runs
    raise AssertionError(f"still open after {len(runs)} runs")


@pytest.mark.parametrize("round_", range(KILLS))
def test_a_run_killed_at_a_random_moment_is_completed_by_the_next(
    home: Home, photos: Path, undisturbed: dict[str, Any], database_url: str, round_: int
) -> None:
    moments = random.Random(f"{SEED}-{round_}")
    home.json("import", photos, "--source", "deadline", "--show", "The Valley")
    with opened(database_url) as database:
        for _ in range(2):
            process = home.start("run")
            # Most of the kills happen while photos are being processed, not in the seconds in which Python starts.
            if moments.random() < 0.7:
                wait_for(
                    lambda process=process: (
                        process.poll() is not None  # type: ignore[misc]
                        or value(database, "select count(*) from core.variant_generations where state = 'complete'")
                    )
                )
                assert_gone(kill_after(process, moments.uniform(0, 2)))
            else:
                assert_gone(kill_after(process, moments.uniform(0, undisturbed["seconds"])))
        runs = finish(home, database_url)
        assert runs[-1]["succeeded"]
        assert final_state(database) == undisturbed["state"]
        assert value(database, "select count(*) from core.variant_generations where lease_until is not null") == 0
    report = home.json("reconcile")
    assert (report["orphan_objects"], report["rows_without_objects"]) == (0, 0)


def test_an_import_killed_at_a_random_moment_is_completed_by_the_next(
    home: Home, photos: Path, undisturbed: dict[str, Any], database_url: str
) -> None:
    moments = random.Random(SEED)
    arguments = ("import", photos, "--source", "deadline", "--show", "The Valley")
    for _ in range(3):
        kill_after(home.start(*arguments), moments.uniform(0.2, 3))
    summary = home.json(*arguments)
    assert summary["created"] + summary["known"] == PHOTOS + 3
    finish(home, database_url)
    with opened(database_url) as database:
        assert final_state(database) == undisturbed["state"]


def test_sigterm_ends_a_run_within_ten_seconds_and_releases_its_leases(
    home: Home, photos: Path, undisturbed: dict[str, Any], database_url: str
) -> None:
    home.json("import", photos, "--source", "deadline", "--show", "The Valley")
    process = home.start("run")
    with opened(database_url) as database:
        held = "select count(*) from core.variant_generations where lease_until is not null and kind = 'base'"
        wait_for(lambda: process.poll() is not None or value(database, held))
        started = descendants(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert_gone(started)
        assert value(database, "select count(*) from core.variant_generations where lease_until is not null") == 0
        finish(home, database_url)
        assert final_state(database) == undisturbed["state"]


def test_a_batch_completes_although_its_database_is_killed(
    server_home: Path, tmp_path: Path, photos: Path, undisturbed: dict[str, Any]
) -> None:
    home = Home(server_home, tmp_path / "media")
    home.json("import", photos, "--source", "deadline", "--show", "The Valley")
    server = EmbeddedPostgres(server_home)
    server.start()
    with opened(server.url("trr")) as database:
        process = home.start("run", "--json")
        progress = "select count(*) from core.variant_generations where state = 'complete' and kind = %s"
        for kind in ("original", "base"):
            wait_for(lambda kind=kind: process.poll() is not None or value(database, progress, kind))  # type: ignore[misc]
            assert process.poll() is None, "the run ended before the database was killed"
            killed = psutil.Process(int((server_home / "postgres" / "postmaster.pid").read_text().split()[0]))
            killed.kill()
            wait_for(lambda: server.is_running())
        out, _ = process.communicate(timeout=SECONDS)
        (run,) = json.loads(out)
        assert run["succeeded"], run["problem"]
        assert final_state(database) == undisturbed["state"]
    report = home.json("reconcile")
    assert (report["orphan_objects"], report["rows_without_objects"]) == (0, 0)
    server.release()
    assert not server.is_running()
