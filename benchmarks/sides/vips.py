"""pyvips' side of the benchmark: shrink-on-load thumbnails, one decode for each photo, two photos at a time.

Reads commands from stdin and answers each with one line of JSON; see `compare.py`. Runs in a separate environment
and imports nothing from the product.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"  # read at import; two photos at a time beat two threads on one

import pyvips

PHOTOS_AT_A_TIME = 2
NO_LIMIT = 10_000_000


def render(photo: Path, targets: list[tuple[str, int, int]], effort: int) -> list[tuple[str, bytes]]:
    """Name endings and bytes of all outputs of one photo; `targets` run from large to small."""
    data = photo.read_bytes()
    outputs = []
    image = pyvips.Image.thumbnail_buffer(data, targets[0][1], height=NO_LIMIT, size="down").copy_memory()
    if "icc-profile-data" in image.get_fields() or image.interpretation not in ("srgb", "b-w"):
        image = image.icc_transform("srgb", black_point_compensation=True).copy_memory()
    if image.hasalpha() and image[image.bands - 1].min() == 255:
        image = image.extract_band(0, n=image.bands - 1).copy_memory()
    for key, width, quality in targets:
        if image.width > width:
            image = image.thumbnail_image(width, height=NO_LIMIT, size="down").copy_memory()
        outputs.append((f"{key}.webp", image.webpsave_buffer(Q=quality, effort=effort, keep="none")))
        if image.hasalpha():
            outputs.append((f"{key}.png", image.pngsave_buffer(keep="none")))
        else:
            outputs.append((f"{key}.jpeg", image.jpegsave_buffer(Q=quality, optimize_coding=True, keep="none")))
    return outputs


def main() -> None:
    photos = [Path(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    targets = [tuple(target) for target in json.loads(sys.argv[2])]
    effort = int(sys.argv[3])
    pyvips.cache_set_max(0)
    with ThreadPoolExecutor(PHOTOS_AT_A_TIME) as threads:
        for line in sys.stdin:
            folder = line.strip()

            def render_photo(photo: Path, folder: str = folder) -> int:
                outputs = render(photo, targets, effort)
                for ending, data in outputs if folder else ():
                    (Path(folder) / f"{photo.name}.{ending}").write_bytes(data)
                return sum(len(data) for _, data in outputs)

            began, cpu = time.perf_counter(), time.process_time()
            total = sum(threads.map(render_photo, photos))
            answer = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu, "bytes": total}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
