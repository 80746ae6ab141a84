"""`trr demo`: import photos, process them in Dagster runs with the embedded database and store, report the savings.

The demo calls the same functions as a real import.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trr_pipelines.catalogue import batches as batch_figures
from trr_pipelines.catalogue import status as archive_figures
from trr_pipelines.catalogue.status import ArchiveStatus
from trr_pipelines.errors import InputError, SetupError
from trr_pipelines.home import make_folder, open_file
from trr_pipelines.local.dagster_home import dagster_home
from trr_pipelines.local.processes import last_line, start_attached
from trr_pipelines.pipeline.archive import Archive, dagster_url
from trr_pipelines.pipeline.imports.importing import ImportSummary, import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.samples import write_samples

POLL_SECONDS = 0.3
# A killed run is started again; a failed run would fail again.
MAX_KILLED = 5

Progress = Callable[[int, int], None]
"""Called with the number of finished photos, and of all."""


@dataclass(frozen=True)
class DemoResult:
    """The result of the demo, and the status of the archive after it."""

    imported: ImportSummary
    runs: list[dict[str, Any]]
    status: ArchiveStatus
    links: int
    seconds: float

    @property
    def objects_written(self) -> int:
        return sum(run["objects_written"] for run in self.runs)

    @property
    def rows_written(self) -> int:
        return sum(run["rows_written"] for run in self.runs)

    @property
    def photos_per_second(self) -> float:
        seconds = sum(run["seconds"] for run in self.runs)
        return round(sum(run["photos"] for run in self.runs) / seconds, 1) if seconds else 0.0


def demo(archive: Archive, photos: Path | None, say: Callable[[str], None], progress: Progress) -> DemoResult:
    """Import `photos` (a folder; None: the sample set) and run every batch of it. Raises SetupError or InputError."""
    started = time.monotonic()
    if photos is None:
        folder = archive.settings.home / "samples"
        say(f"sample photos in {folder}")
        manifest, source = write_samples(folder), "samples"
    elif photos.is_dir():
        manifest, source = photos, "demo"
    else:
        raise InputError(f"{photos}: no such folder")
    say(f"importing {manifest}")
    show = "" if photos is None else "The Valley: Sample Archive"
    imported = import_rows(archive.database, read_rows(manifest, Defaults(source, show=show)))
    dagster_url(archive.settings)
    runs = run_batches(archive, imported.batches, say, progress)
    status, links = archive.database.read(
        lambda conn: (archive_figures.archive_status(conn), archive_figures.count_links(conn))
    )
    return DemoResult(imported, runs, status, links, round(time.monotonic() - started, 1))


def run_batches(
    archive: Archive,
    batches: Sequence[str],
    say: Callable[[str], None],
    progress: Progress,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Run batches one by one as Dagster runs in child processes; the reports of the runs. Raises SetupError."""
    return [_run(archive, batch, batches, say, progress, environment) for batch in batches]


def _run(
    archive: Archive,
    batch: str,
    batches: Sequence[str],
    say: Callable[[str], None],
    progress: Progress,
    added: Mapping[str, str],
) -> dict[str, Any]:
    """Run one batch as a Dagster run in a child process; start it again when it is killed."""
    say(f"Dagster run of batch {batch}")
    logs = archive.settings.home / "logs"
    make_folder(logs)
    log, result = logs / f"run-{batch}.log", logs / f"run-{batch}.json"
    environment = {
        "TRR_HOME": str(archive.settings.home),
        "DAGSTER_HOME": str(dagster_home(archive.settings)),
        "TRR_DEBUG": "1",  # tracebacks belong in the log
        **added,
    }
    for _ in range(MAX_KILLED):
        result.unlink(missing_ok=True)
        with open_file(log, "wb") as output:
            process = start_attached(
                "trr_pipelines", ["run", "--batch", batch, "--result", str(result)], environment, output
            )
            try:
                while process.poll() is None:
                    _report(archive, batches, progress)
                    time.sleep(POLL_SECONDS)
            finally:
                process.terminate()
                process.wait()
        _report(archive, batches, progress)
        if result.is_file():
            run: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
            if not run["succeeded"]:
                raise SetupError(f"the Dagster run {run['run_id']} failed ({run['problem']}); see {log}")
            return run
        if process.returncode >= 0:
            raise SetupError(f"the Dagster run of {batch} did not start: {last_line(log)}")
        say(f"the run was killed (signal {-process.returncode}); starting it again")
    raise SetupError(f"the Dagster run of {batch} was killed {MAX_KILLED} times; see {log}")


def _report(archive: Archive, batches: Sequence[str], progress: Progress) -> None:
    row = archive.database.run(lambda conn: batch_figures.progress(conn, batches))
    progress(row.ended, row.photos)
