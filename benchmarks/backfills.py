"""Robustness of backfills and their effect on live work; each benchmark uses a separate stack and folder.

    .venv/bin/python -m benchmarks.backfills killed [--photos 20000]   # daemon, worker and database are killed
    .venv/bin/python -m benchmarks.backfills beside [--photos 2000]    # import 20 photos without and during a backfill
    .venv/bin/python -m benchmarks.backfills recipe [--photos 5000]    # poll while all photos get a new recipe

The photos are small, generated and all different. `killed` counts claims of photos with a database trigger: photos
that were claimed twice are the cost of the kills.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.homes import thrown_away
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.imaging.recipes import BASE, CROP, EncoderOptions
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.pipeline.imports.importing import import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import derivatives
from trr_pipelines.pipeline.rework.backfills import backfill_progress
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.ports import free_port

PATIENCE_SECONDS = 3 * 3600
LIVE_PHOTOS = 20
COUNT_CLAIMS = """
create table public.taken_up (media_asset_id uuid, run_id text);
create function public.count_claim() returns trigger language plpgsql as $$
begin
    insert into public.taken_up values (new.media_asset_id, new.run_id);
    return null;
end $$;
create trigger taken_up after update on core.variant_generations for each row
    when (new.kind = 'base' and new.state = 'pending' and new.run_id is not null
          and new.run_id is distinct from old.run_id)
    execute function public.count_claim();
"""


@dataclass(frozen=True)
class Stack:
    """A `trr up` started for the benchmark."""

    process: subprocess.Popen[bytes]
    archive: Archive
    environment: dict[str, str]

    def trr(self, *arguments: str | Path) -> Any:
        """The JSON that a command prints."""
        command = [sys.executable, "-m", "trr_pipelines", *map(str, arguments), "--json"]
        ended = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True)
        return json.loads(ended.stdout)

    def value(self, sql: str) -> Any:
        """The single value of the single row, retried if the database was just killed."""
        return self.archive.database.run(lambda conn: next(iter((conn.execute(sql).fetchone() or {}).values())))  # type: ignore[call-overload]


@contextmanager
def running_stack(home: Path) -> Iterator[Stack]:
    """Run the stack for the block. Other users may enter the folder, because PostgreSQL may run as another user."""
    home.chmod(0o755)
    ports = {f"TRR_{part}_PORT": str(free_port()) for part in ("API", "ADMIN", "DAGSTER")}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("TRR_", "DAGSTER_"))},
        **{name: value for name, value in os.environ.items() if name.startswith("TRR_BACKFILL_")},
        "TRR_HOME": str(home / ".trr"),
        **ports,
    }
    log = home / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", "up"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: process.poll() is not None or b"Ctrl-C stops" in log.read_bytes(), "the stack")
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        with open_archive(Settings(home=home / ".trr")) as archive:
            yield Stack(process, archive, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def wait_for(condition: Callable[[], object], what: str, poll: float = 0.2) -> None:
    """Wait until `condition` holds; on a timeout, end the benchmark with the name of the condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE_SECONDS} s for {what}")
        time.sleep(poll)


def draw(folder: Path, count: int, *, seed: int, width: int = 480, height: int = 360) -> Path:
    """Small photos that all differ: a gradient under coarse noise."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    gradient = np.linspace(0, 120, width)[None, :, None] + np.linspace(0, 80, height)[:, None, None]
    for number in range(count):
        noise = chance.integers(0, 55, (height // 12, width // 12, 3)).repeat(12, 0).repeat(12, 1)
        buffer = io.BytesIO()
        Image.fromarray((gradient + noise).astype(np.uint8)).save(buffer, "JPEG", quality=88)
        (folder / f"{number:06}.jpg").write_bytes(buffer.getvalue())
    return folder


# A backfill that is killed three times ------------------------------------------------------------------------------


def killed(home: Path, count: int) -> None:
    """Kill daemon, worker and database just after a quarter, half and three quarters; print the results."""
    folder = draw(home / "in", count, seed=1)
    with running_stack(home) as stack:
        stack.archive.database.run(lambda conn: conn.execute(COUNT_CLAIMS))  # type: ignore[call-overload]
        stack.trr("import", folder, "--source", "archive", "--backfill")
        number = stack.trr("backfill", "start", "--galleries", "0")["backfill"]
        began = time.monotonic()
        half: tuple[float, float] | None = None
        for share, name in ((0.25, "daemon"), (0.5, "worker"), (0.75, "database")):
            # Quarters coincide with the ends of batches, when a run processes no photo.
            wait_for(lambda share=share: _done(stack, number) >= share * count + 100, f"{share:.0%} of the photos")  # type: ignore[misc]
            if share == 0.5:
                progress = backfill_progress(stack.archive.database, number)
                half = time.monotonic(), progress.seconds_left or 0.0
            at = _done(stack, number)
            _kill(stack, name)
            print(f"{at:,} of {count:,} photos after {time.monotonic() - began:.0f} s: {name} killed", flush=True)
        wait_for(lambda: _state(stack, number) == "complete", "the backfill")
        ended = time.monotonic()
        taken = stack.value("select count(*) from public.taken_up")
        complete = stack.value(
            "select count(*) from core.media_assets a where 2 = (select count(*) from core.variant_generations g"
            " where g.media_asset_id = a.id and g.kind <> 'original' and g.state = 'complete')"
        )
        rows = stack.value("select count(*) from core.media_asset_variants")
        reconciled = stack.trr("reconcile")
    assert half is not None
    actual = ended - half[0]
    print(
        f"{complete:,} of {count:,} photos complete in {ended - began:.0f} s, {count / (ended - began):.1f} photos/s; "
        f"{rows:,} variant rows; taken up {taken:,} times, {taken - count} of them again after a kill; "
        f"{reconciled['orphan_objects']} orphan objects, {reconciled['rows_without_objects']} rows without objects"
    )
    print(f"at half-way {half[1]:.0f} s were said to be left, it took {actual:.0f} s: {half[1] / actual - 1:+.0%}")


def _done(stack: Stack, number: int) -> int:
    return backfill_progress(stack.archive.database, number).done_photos


def _state(stack: Stack, number: int) -> str:
    return backfill_progress(stack.archive.database, number).backfill.state


def _kill(stack: Stack, name: str) -> None:
    """Kill one part of the stack with SIGKILL; its process is a child of the stack or named in a pid file."""
    if name == "database":
        pid_file = Path(stack.environment["TRR_HOME"]) / "postgres" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        return
    found: list[psutil.Process] = []

    def find() -> bool:
        parts = psutil.Process(stack.process.pid).children()
        if name == "daemon":
            found[:] = [process for process in parts if "dagster._daemon" in process.cmdline()]
        else:
            servers = [process for process in parts if "trr_pipelines.local.code_server" in process.cmdline()]
            forks = [child for server in servers for child in server.children() if "forkserver" in str(child.cmdline())]
            found[:] = [run for fork in forks for run in fork.children()]
        return bool(found)

    wait_for(find, f"a {name} to kill", 0.02)
    found[0].kill()


# An import during a backfill ------------------------------------------------------------------------------------------


def beside(home: Path, count: int, rounds: int = 3) -> None:
    """Seconds from an import of 20 photos to the last of them complete, without a backfill and during one."""
    archived = draw(home / "in", count, seed=1)
    with running_stack(home) as stack:
        stack.trr("import", archived, "--source", "archive", "--backfill")
        alone = [_live_import(stack, home, seed=100 + n) for n in range(rounds)]
        number = stack.trr("backfill", "start", "--galleries", "0")["backfill"]
        wait_for(lambda: _done(stack, number) >= 20, "the backfill to be under way")
        together = [_live_import(stack, home, seed=200 + n) for n in range(rounds)]
        still = _state(stack, number), _done(stack, number)
    ratio = statistics.median(together) / statistics.median(alone)
    print(f"import of {LIVE_PHOTOS} photos to the last complete: alone {_seconds(alone)}, beside {_seconds(together)}")
    print(f"ratio of medians {ratio:.2f}; the backfill was {still[0]} then, {still[1]:,} of {count:,} photos done")


def _live_import(stack: Stack, home: Path, *, seed: int) -> float:
    """Photos of 6 megapixels, as an import has them."""
    folder = draw(home / f"live-{seed}", LIVE_PHOTOS, seed=seed, width=3000, height=2004)
    began = time.monotonic()
    (batch,) = stack.trr("import", folder, "--source", f"live-{seed}")["batches"]
    left = (
        "select count(*) from core.media_assets a where a.batch_key = '{}' and 2 <> (select count(*) from"
        " core.variant_generations g where g.media_asset_id = a.id and g.kind <> 'original' and g.state = 'complete')"
    )
    wait_for(lambda: stack.value(left.format(batch)) == 0, "the import")
    return time.monotonic() - began


def _seconds(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} s ({', '.join(f'{value:.1f}' for value in values)})"


# A new recipe -------------------------------------------------------------------------------------------------------


def recipe(home: Path, count: int, polls: int = 1000) -> None:
    """Poll the served files of random photos while every set is re-rendered with a new recipe.

    Without Dagster, whose runs would render with the recipe of the code.
    """
    home.chmod(0o755)  # PostgreSQL runs as another user
    folder = draw(home / "in", count, seed=1)
    with open_archive(Settings(home=home / ".trr")) as archive, archive.database_kept_alive():
        batches = import_rows(archive.database, read_rows(folder, Defaults("archive"))).batches
        for batch in batches:
            mirror_originals(archive, Scope(batch=batch), "first")
            derivatives.render_photos(archive, Scope(batch=batch), "first")
        derivatives.BASE = replace(BASE, encoder=EncoderOptions(webp_method=0))
        derivatives.CROP = replace(CROP, encoder=EncoderOptions(webp_method=0))
        stop = threading.Event()
        with ThreadPoolExecutor(1) as thread:
            began = time.monotonic()
            watching = thread.submit(_watch, archive, stop, polls)
            for batch in batches:
                derivatives.render_photos(archive, Scope(batch=batch), "second")
            seconds = time.monotonic() - began
            stop.set()
            polled, recipes, wrong = watching.result()
    print(
        f"{count:,} photos moved in {seconds:.0f} s; polled {polled:,} times meanwhile, saw {recipes} recipes, "
        f"{len(wrong)} payloads that were mixed or had no object"
    )
    if wrong:
        raise SystemExit("\n".join(wrong[:5]))


def _watch(archive: Archive, stop: threading.Event, polls: int) -> tuple[int, int, list[str]]:
    """Number of polls, number of recipes seen, and violations."""
    chance = random.Random(3)
    polled, seen, wrong = 0, set[str](), []
    with archive.database.transaction() as conn:
        photos = [row["id"] for row in conn.execute("select id from core.media_assets order by id")]
    while not stop.is_set() or polled < polls:
        photo = chance.choice(photos)
        with archive.database.transaction() as conn:
            rows = conn.execute(
                "select recipe, hosted_key, crop_signature from core.media_asset_variants"
                " where media_asset_id = %s and superseded_at is null",
                [photo],
            ).fetchall()
        sets = [{row["recipe"] for row in rows if bool(row["crop_signature"]) is is_crop} for is_crop in (False, True)]
        missing = [row["hosted_key"] for row in rows if archive.store.head(row["hosted_key"]) is None]
        if len(rows) != 10 or {len(recipes) for recipes in sets} != {1} or missing:
            wrong.append(f"{photo}: {len(rows)} rows, recipes {sets}, missing {missing}")
        seen |= sets[0]
        polled += 1
    return polled, len(seen), wrong


def main() -> None:
    """Run the selected benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["killed", "beside", "recipe"])
    parser.add_argument("--photos", type=int)
    arguments = parser.parse_args()
    run, photos = {"killed": (killed, 20_000), "beside": (beside, 2_000), "recipe": (recipe, 5_000)}[arguments.what]
    with (
        tempfile.TemporaryDirectory(prefix="trr-bench-", ignore_cleanup_errors=True) as folder,
        thrown_away(Path(folder) / ".trr"),
    ):
        run(Path(folder), arguments.photos or photos)


if __name__ == "__main__":
    main()
