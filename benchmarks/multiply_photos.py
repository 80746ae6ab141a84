"""Creates N photos with different bytes from a folder of real ones, for load tests.

    python benchmarks/multiply_photos.py SRC DST N

Pixels are unchanged: copy number n of a photo has its number in a place that decoders ignore (a JPEG or GIF comment, a
PNG text chunk, an unknown WebP chunk), so that its hash, and therefore the photo's identity, is new for the cost of a
copy. Photos of other formats, and files that are not photos, are skipped. A second call writes only missing files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from trr_pipelines.samples.copies import NUMBERED


def multiply(source: Path, destination: Path, count: int) -> int:
    """Ensures `count` photos in `destination`, cycling through those of `source`; returns how many were written."""
    if not source.is_dir():
        sys.exit(f"{source} is not a folder")
    photos = [path for path in sorted(source.iterdir()) if path.is_file() and _numbering(path) is not None]
    if not photos:
        sys.exit(f"no JPEG, PNG, WebP or GIF in {source}")
    destination.mkdir(parents=True, exist_ok=True)
    written = 0
    for index, photo in enumerate(photos):
        numbering = _numbering(photo)
        assert numbering is not None
        data = photo.read_bytes()
        for number in range(index, count, len(photos)):
            copy = destination / f"{number:07d}-{photo.name}"
            if not copy.exists():
                unfinished = copy.with_name(f".{copy.name}.part")
                unfinished.write_bytes(numbering(data, number))
                unfinished.replace(copy)
                written += 1
    return written


def _numbering(photo: Path) -> Callable[[bytes, int], bytes] | None:
    with photo.open("rb") as file:
        head = file.read(16)
    return next((numbering for magic, numbering in NUMBERED.items() if head.startswith(magic)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description="N byte-distinct photos out of a folder of real ones.")
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    written = multiply(arguments.source, arguments.destination, arguments.count)
    print(f"{arguments.count} photos in {arguments.destination}, {written} of them new")


if __name__ == "__main__":
    main()
