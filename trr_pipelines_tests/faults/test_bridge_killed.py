"""The bridge killed at random moments: the commands once more end in the state of commands that were not killed.

`TRR_TEST_KILLS` sets how many moments are tried (3 by default), `TRR_TEST_SEED` which ones.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.samples.application import make_application
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.applications import Rows
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.databases import new_database
from trr_pipelines_tests.support.killers import Killer

_KILLS = os.environ.get("TRR_TEST_KILLS", "3")
KILLS = 20 if _KILLS == "all" else int(_KILLS)
SEED = int(os.environ.get("TRR_TEST_SEED", "1"))
PHOTOS, CROPS, CONTRADICTORY = 12, 6, 2
COMMANDS = (("bridge", "sync", "--live"), ("run",), ("bridge", "publish"))

APPLICATION = "TRR_APPLICATION_DB_URL"

Dump = dict[str, Any]


@dataclass(frozen=True)
class Bridge:
    """An archive, the application that it is bridged to, and the environment of its commands."""

    archive: Archive
    rows: Rows
    environment: dict[str, str]

    @property
    def folder(self) -> Path:
        return Path(self.archive.settings.store_url.removeprefix("file:"))

    def objects(self) -> dict[str, bytes]:
        """Objects by key: originals and derivatives."""
        paths = [path for name in ("media", "images", "media-variants") for path in (self.folder / name).rglob("*")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths if path.is_file()}


@contextmanager
def bridge_of(postgres: EmbeddedPostgres, home: Path, application_url: str, dagster_url: str) -> Iterator[Bridge]:
    with new_database(postgres, "template_trr") as url:
        settings = Settings(home=home, database_url=url, media_store=f"file:{home / 'store'}", render_processes=1)
        database = Database(url).open()
        environment = {
            "TRR_HOME": str(home),
            "TRR_DATABASE_URL": url,
            "TRR_DAGSTER_PG_URL": dagster_url,
            "TRR_MEDIA_STORE": settings.media_store,
            APPLICATION: application_url,
            "TRR_RENDER_PROCESSES": "1",
        }
        store = open_store(settings.store_url, base_url=settings.base_url)
        yield Bridge(Archive(settings, database, store), Rows(application_url), environment)
        database.close()


@pytest.fixture
def application_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    with new_database(postgres, "template1") as url:
        yield url


def fill(folder: Path, url: str) -> None:
    """An application with its objects below `folder`; two rows share one, one has variants of another generator."""

    def put(key: str, data: bytes) -> None:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)

    pictures = [(f"{number}.jpg", jpeg(320, 240, seed=number)) for number in range(3)]
    made = make_application(
        url,
        put,
        pictures,
        photos=PHOTOS,
        bucket="local",
        base_url="http://127.0.0.1:8000/media",
        crops=CROPS,
        contradictory=CONTRADICTORY,
        seed=SEED,
    )
    rows = Rows(url)
    key = next(iter(made.objects))
    rows.asset(key, metadata={"thumbnail_crop": {"x": 10, "y": 20, "zoom": 1.5, "mode": "manual"}})
    rows.execute(
        "insert into core.media_asset_variants (media_asset_id, variant_key, format, hosted_bucket, hosted_key,"
        " hosted_url) values (%s, 'card', 'webp', 'local', 'media-variants/old/card.webp', 'https://old.example/c')",
        made.photos[0],
    )


def comparable(dump: Dump) -> Dump:
    """A dump without what differs between two runs: ids and times of rows of variants."""
    variants = dump["media_asset_variants"].values()
    names = ("media_asset_id", "variant_key", "format", "crop_signature")
    by_name = {tuple(row[name] for name in names): {**row, "id": "", "created_at": ""} for row in variants}
    return {**dump, "media_asset_variants": by_name}


def test_commands_killed_at_random_moments_end_in_the_state_of_those_that_were_not(
    postgres: EmbeddedPostgres, application_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    fill(tmp_path / "unkilled" / "store", application_url)
    shutil.copytree(tmp_path / "unkilled", tmp_path / "killed")
    before = Rows(application_url).dump()
    name = str(psycopg.conninfo.conninfo_to_dict(application_url)["dbname"])
    with (
        new_database(postgres, name) as copy_url,
        bridge_of(postgres, tmp_path / "unkilled", copy_url, empty_database_url) as unkilled,
        bridge_of(postgres, tmp_path / "killed", application_url, empty_database_url) as killed,
        # Runs of definitions without an application publish nothing: `trr bridge publish` does it all.
        killer_of({name: value for name, value in unkilled.environment.items() if name != APPLICATION}) as killer,
    ):
        originals = killed.objects()
        finish(killer, unkilled, "run")  # Dagster makes its tables
        calls = [finish(killer, unkilled, *command) for command in COMMANDS]
        wanted = comparable(unkilled.rows.dump())
        assert wanted != comparable(before)
        for place, command in enumerate(COMMANDS):
            times = KILLS // len(COMMANDS) + (place < KILLS % len(COMMANDS))
            kill_at_random(killer, killed, command, times, calls[place])
            finish(killer, killed, *command)
        assert comparable(killed.rows.dump()) == wanted
        assert killed.objects() == unkilled.objects()
        assert {key: killed.objects()[key] for key in originals} == originals
        assert_rows_have_objects_and_objects_rows(killed)
        finish(killer, killed, "bridge", "unpublish", "--yes")
        assert killed.rows.dump() == before


@contextmanager
def killer_of(environment: dict[str, str]) -> Iterator[Killer]:
    killer = Killer({"PATH": os.environ["PATH"], **environment})
    try:
        yield killer
    finally:
        killer.close()


def kill_at_random(killer: Killer, bridge: Bridge, command: tuple[str, ...], times: int, calls: int) -> None:
    """Run a command several times, each killed at a random one of the `calls` that are left to it."""
    chance = random.Random(f"{SEED} {command}")
    ended = []
    for number in range(times):
        at = chance.randint(1, calls // (times - number))
        result = killer.trr(*command, at=at, environment=bridge.environment)
        ended.append(result["ended"])
        sys.stdout.write(f"{' '.join(command)} at call {at} of {calls}: {result['ended']}\n")
        calls = max(times - number, calls - at)
        pass_the_lease(bridge)
    assert ended.count(-signal.SIGKILL) >= times // 2, ended


def pass_the_lease(bridge: Bridge) -> None:
    """Half a minute later: what a killed run had leased is free again."""
    query(bridge.archive.database, "update core.variant_generations set lease_until = null, run_id = null")
    query(bridge.archive.database, "update core.dispatches set lease_until = null, not_before = null")


def finish(killer: Killer, bridge: Bridge, *arguments: str) -> int:
    """Run a command to its end; returns its number of statements and store calls."""
    result = killer.trr(*arguments, at=0, environment=bridge.environment)
    assert (result["ended"], result["code"]) == (0, 0), result
    return int(result["calls"])


def assert_rows_have_objects_and_objects_rows(bridge: Bridge) -> None:
    """There as here; our set has replaced the row of the other generator."""
    keys = {row["hosted_key"] for row in bridge.rows.execute("select hosted_key from core.media_asset_variants")}
    stored = {key for key in bridge.objects() if key.startswith("media-variants/")}
    assert keys - stored == set()
    assert {key for key in stored if key.endswith((".webp", ".jpg"))} - keys == set()
    report = reconcile(bridge.archive)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 0), report
