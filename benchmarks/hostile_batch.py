"""A batch of 500 files with bombs and crashes: do the valid photos complete, and how much memory does the run use?

    python -m benchmarks.hostile_batch [--photos FOLDER] [--count 478] [--home FOLDER]

Imports byte-distinct photos with hostile files among them and runs their batch, both by `trr` as a user would, while
resident memory is read from /proc. The render processes of some photos crash, hang or allocate memory.
Prints the result of every photo and the memory peaks; exit code 1 if a valid photo is not complete, a hostile one has
an unexpected result, a memory budget is exceeded, or a render process is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.fuzz_decoder import most_resident
from benchmarks.multiply_photos import multiply
from trr_pipelines.errors import PermanentError
from trr_pipelines.imaging.decode import decode
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.samples import write_samples
from trr_pipelines.settings import Settings
from trr_pipelines_tests import pictures

SAMPLE_SECONDS = 0.5
RUN_BUDGET = 600_000_000
WORKER_BUDGET = 1_500_000_000

# Valid photos for which the render process misbehaves in this way, and their expected result.
MISBEHAVIOUR = {
    "crash": "decode_crash",
    "killed": "decode_crash",
    "flood": "decode_crash",
    "eat": "decode_oom",
    "spin": "decode_timeout",
    "sleep": "decode_timeout",
}


@dataclass(frozen=True)
class Photo:
    """A photo's name in render processes, and its result: `complete`, `pending` or a reason."""

    name: str
    end: str


@dataclass
class Peaks:
    """Peak resident bytes of the run, and of each render process by id."""

    run: int = 0
    workers: dict[int, int] = field(default_factory=dict)

    def measure(self, run: psutil.Process) -> None:
        self.run = max(self.run, most_resident(run.pid))
        for child in run.children(recursive=True):
            if _is_render_process(child):
                self.workers[child.pid] = max(self.workers.get(child.pid, 0), most_resident(child.pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photos; the sample set when left out")
    parser.add_argument("--count", type=int, default=478, help="good photos beside the hostile ones")
    parser.add_argument("--home", type=Path, help="where the archive is kept; dropped at the end when left out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-hostile-") as scratch:
        home = arguments.home or Path(scratch) / "home"
        folder = Path(scratch) / "photos"
        source = arguments.photos or write_samples(Path(scratch) / "samples").parent
        multiply(_good(source, Path(scratch) / "good"), folder, arguments.count)
        expected = {path.name: "complete" for path in folder.iterdir()} | _write_hostile(folder)
        sys.exit(1 if _measure(folder, home, expected) else 0)


def _good(source: Path, folder: Path) -> Path:
    """`folder`, with links to the valid photos of `source`: the sample set contains faulty files on purpose."""
    folder.mkdir()
    for path in filter(Path.is_file, source.iterdir()):
        with contextlib.suppress(PermanentError):
            decode(path.read_bytes())
            (folder / path.name).symlink_to(path.absolute())
    return folder


def _write_hostile(folder: Path) -> dict[str, str]:
    """Writes the hostile files; returns the expected result of each."""
    photo, shape = pictures.jpeg(1600, 1200), pictures.saved(pictures.photo(800, 600), "PNG")
    files = {
        "scans-64.jpg": (pictures.progressive_scan_bomb(8_000, 3_000), "decode_timeout"),
        "scans-100.jpg": (pictures.progressive_scan_bomb(10_000, 3_000), "too_many_pixels"),
        "tower.png": (pictures.png_of_zeros(1, 89_000_000, colour_type=0), "side_too_long"),
        "largest.png": (pictures.png_of_zeros(10_000, 7_500), "complete"),
        "frames.gif": (pictures.gif_of_many_frames(20_000), "complete"),
        "comment.png": (pictures.png_with_text_bomb(), "complete"),
        "vector.jpg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "unsupported_format"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_format"),
        "page.jpg": (b"<!doctype html><title>404</title>", "not_an_image"),
        "noise.jpg": (bytes(range(7, 250)) * 50, "not_an_image"),
        "half.jpg": (photo[: len(photo) // 2], "truncated"),
        "half.png": (shape[: len(shape) // 2], "truncated"),
        "rotten.png": (shape[:5000] + bytes(50) + shape[5050:], "corrupt"),
        "empty.jpg": (b"", "empty_file"),
    }
    for number, (action, reason) in enumerate(MISBEHAVIOUR.items()):
        files[f"{action}.jpg"] = (pictures.jpeg(1200, 900, seed=number + 1), reason)
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: end for name, (_, end) in files.items()}


def _measure(folder: Path, home: Path, expected: dict[str, str]) -> bool:
    """Imports and runs the batch and prints the results; returns whether anything is wrong."""
    environment = os.environ | {"TRR_HOME": str(home)}
    trr = [str(Path(sys.executable).with_name("trr"))]
    subprocess.run([*trr, "import", str(folder), "--source", "hostile"], env=environment, check=True)
    settings = Settings(home=home)
    photos = _photos(settings)
    points = [f"{action}:{photos[f'{action}.jpg'].name}" for action in MISBEHAVIOUR]
    began, peaks = time.monotonic(), Peaks()
    with subprocess.Popen([*trr, "run"], env=environment | {"TRR_RENDER_FAILPOINT": "\n".join(points)}) as run:
        while run.poll() is None:
            try:
                peaks.measure(psutil.Process(run.pid))
            except psutil.NoSuchProcess:
                continue
            time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - began

    ends = {file: photo.end for file, photo in _photos(settings).items()}
    print(f"{len(expected)} photos in {seconds:.0f} s; " + ", ".join(f"{n} {e}" for e, n in _counted(ends)))
    worker = max(peaks.workers.values())
    print(
        f"peaks of resident memory: the run {peaks.run / 1e6:.0f} MB of {RUN_BUDGET / 1e6:.0f},"
        f" the largest of {len(peaks.workers)} render processes {worker / 1e6:.0f} MB of {WORKER_BUDGET / 1e6:.0f}"
    )
    faults = [f"{name}: {ends.get(name)} instead of {end}" for name, end in expected.items() if ends.get(name) != end]
    faults += [f"the run ended with exit code {run.returncode}"] * (run.returncode != 0)
    faults += [f"too much memory: {peaks}"] * (peaks.run > RUN_BUDGET or worker > WORKER_BUDGET)
    faults += [f"a render process is left: {pid}" for pid in peaks.workers if psutil.pid_exists(pid)]
    for fault in faults:
        print(f"FAULT {fault}")
    return bool(faults)


def _photos(settings: Settings) -> dict[str, Photo]:
    """Every photo by file name."""
    with open_archive(settings) as archive, archive.database.transaction() as conn:
        rows = conn.execute(
            "select format('%s (%s)', a.id, a.source_url) as name, split_part(a.source_url, '/', -1) as file,"
            " coalesce(nullif(a.reason, ''), min(nullif(g.reason, '')), min(g.state)) as ended"
            " from core.media_assets a left join core.variant_generations g on g.media_asset_id = a.id group by a.id"
        ).fetchall()
    return {row["file"]: Photo(row["name"], row["ended"]) for row in rows}


def _counted(ends: dict[str, str]) -> list[tuple[str, int]]:
    return Counter(ends.values()).most_common()


def _is_render_process(process: psutil.Process) -> bool:
    try:
        return "trr_pipelines.compute.child" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
