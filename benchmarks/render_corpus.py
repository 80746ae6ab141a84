"""Renders every file of some folders and reports the results by format and reason, the slowest and the largest.

    python -m benchmarks.render_corpus FOLDER… [--jsonl RESULTS]

For public test suites: every file must complete or fail with a known reason.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import psutil

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import MediaError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import RenderRequest


@dataclass(frozen=True)
class Outcome:
    """The result of one file; CPU seconds and peak resident MB of its process, 0 if the process did not survive it."""

    file: str
    format: str
    state: str
    detail: str
    warnings: tuple[str, ...]
    seconds: float
    peak_mb: float


def main() -> None:
    arguments = _arguments()
    files = list(_distinct_files(arguments.folders))
    began = time.monotonic()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as lanes:
        outcomes = list(lanes.map(_render_lane, _dealt(files, len(os.sched_getaffinity(0)))))
    flat = [outcome for lane in outcomes for outcome in lane]
    if arguments.jsonl:
        arguments.jsonl.write_text("".join(json.dumps(asdict(outcome)) + "\n" for outcome in flat))
    _print_report(flat, time.monotonic() - began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--jsonl", type=Path, help="where to write one line for each file")
    return parser.parse_args()


def _distinct_files(folders: list[Path]) -> Iterator[Path]:
    """Every regular file below `folders`, once for each content."""
    seen: set[bytes] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.stat().st_size <= MAX_BYTES + 1:
                digest = sha256(path.read_bytes()).digest()
                if digest not in seen:
                    seen.add(digest)
                    yield path


def _dealt(files: list[Path], lanes: int) -> list[list[Path]]:
    return [files[lane::lanes] for lane in range(lanes)]


def _render_lane(files: list[Path]) -> list[Outcome]:
    """Renders `files` one after another in a pool of one process, so that its memory is that of a single photo."""
    with RenderPool(1) as pool:
        return [_render(file, pool) for file in files]


def _render(file: Path, pool: RenderPool) -> Outcome:
    data = file.read_bytes()
    for process in pool.processes():
        _forget_peak(process)
    before = {process: _cpu_seconds(process) for process in pool.processes()}
    try:
        rendered = pool.render(data, RenderRequest(BASE, CROP), name=file.name)
        image_format, state, detail, warnings = rendered.source.format, "complete", "", rendered.warnings
    except MediaError as error:
        image_format, state, detail, warnings = "", str(error.reason), error.detail, ()
    seconds = sum(_cpu_seconds(process) - before.get(process, 0.0) for process in pool.processes())
    peak = max((_peak_mb(process) for process in pool.processes()), default=0.0)
    return Outcome(str(file), image_format, state, detail, warnings, round(seconds, 3), peak)


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def _print_report(outcomes: list[Outcome], seconds: float) -> None:
    print(f"{len(outcomes):,} distinct files in {seconds:.0f} s; {psutil.cpu_count()} CPUs\n")
    print("complete, by format")
    for image_format, count in Counter(o.format for o in outcomes if o.state == "complete").most_common():
        print(f"  {count:>7,}  {image_format}")
    print("failed, by reason")
    for state, count in Counter(o.state for o in outcomes if o.state != "complete").most_common():
        print(f"  {count:>7,}  {state}")
    print("most CPU (s)")
    for outcome in sorted(outcomes, key=lambda o: -o.seconds)[:5]:
        print(f"  {outcome.seconds:>7.2f}  {outcome.state}  {outcome.file}")
    print("largest resident size (MB)")
    for outcome in sorted(outcomes, key=lambda o: -o.peak_mb)[:5]:
        print(f"  {outcome.peak_mb:>7.0f}  {outcome.state}  {outcome.file}")


if __name__ == "__main__":
    main()
