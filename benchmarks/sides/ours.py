"""Our side of the benchmark: the product's render processes, as the pipeline uses them.

Reads commands from stdin and answers each with one line of JSON; see `compare.py`. With `--profile`, one process does
the same work under a profiler of CPU time, to separate decoding, resizing and encoding.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.recipes import BASE
from trr_pipelines.imaging.render import RenderRequest, render

PROCESSES = 2
REQUEST = RenderRequest(base=BASE, crop_recipe=None)


def main() -> None:
    photos = [Path(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    if sys.argv[2:] == ["--profile"]:
        print(json.dumps(profile(photos)))
        return
    with RenderPool(PROCESSES) as pool, ThreadPoolExecutor(PROCESSES) as threads:

        def render_photo(photo: Path, folder: str = "") -> int:
            rendered = pool.render(photo.read_bytes(), REQUEST, name=photo.name)
            for variant in rendered.variants if folder else ():
                (Path(folder) / f"{photo.name}.{variant.variant_key}.{variant.format}").write_bytes(variant.data)
            return sum(len(variant.data) for variant in rendered.variants)

        list(threads.map(render_photo, photos[: 2 * PROCESSES]))  # processes start at their first photo
        for line in sys.stdin:
            folder = line.strip()
            began, cpu = time.perf_counter(), cpu_seconds(pool)
            total = sum(threads.map(render_photo, photos, [folder] * len(photos)))
            answer = {
                "seconds": time.perf_counter() - began,
                "cpu_seconds": cpu_seconds(pool) - cpu,
                "bytes": total,
            }
            print(json.dumps(answer), flush=True)


def cpu_seconds(pool: RenderPool) -> float:
    """CPU time so far of this process and its render processes, including replaced ones."""
    total = 0.0
    for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(whose)
        total += used.ru_utime + used.ru_stime
    for process in pool.processes():
        total += int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    return total


def profile(photos: list[Path]) -> dict[str, float]:
    """CPU seconds by step over all photos, in one process."""
    profiler = cProfile.Profile(time.process_time)
    for photo in photos:
        profiler.runcall(render, photo.read_bytes(), REQUEST)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    seconds = {"total": 0.0, "decode": 0.0, "resize": 0.0, "encode": 0.0}
    for (file, _, function), (_, _, _, cumulative, _) in stats.items():
        step = (Path(file).stem, function)
        if step == ("render", "render"):
            seconds["total"] += cumulative
        elif step == ("decode", "decode"):
            seconds["decode"] += cumulative
        elif step == ("encode", "encode"):
            seconds["encode"] += cumulative
        elif step in {("resize", "premultiplied"), ("resize", "scaled_chain"), ("resize", "straight")}:
            seconds["resize"] += cumulative
    return seconds


if __name__ == "__main__":
    main()
