"""Creates N photos with different bytes from a folder of real ones, for load tests.

    python benchmarks/multiply_photos.py SRC DST N

Pixels are unchanged: copy number n of a photo has its number in a place that decoders ignore (a JPEG or GIF comment, a
PNG text chunk, an unknown WebP chunk), so that its hash, and therefore the photo's identity, is new for the cost of a
copy. Photos of other formats, and files that are not photos, are skipped. A second call writes only missing files.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path


def numbered_jpeg(data: bytes, number: int) -> bytes:
    """With a comment segment right after the start of the image."""
    text = _label(number)
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]


def numbered_png(data: bytes, number: int) -> bytes:
    """With a text chunk right after the header chunk, which is always 25 bytes behind the signature."""
    body = b"tEXt" + b"Comment\0" + _label(number)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def numbered_webp(data: bytes, number: int) -> bytes:
    """With an unknown chunk at the end, which readers have to skip."""
    text = _label(number)
    chunk = b"trrn" + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    size = struct.unpack("<I", data[4:8])[0]
    whole = data[8 : 8 + size] + bytes(size % 2)
    return b"RIFF" + struct.pack("<I", len(whole) + len(chunk)) + whole + chunk


def numbered_gif(data: bytes, number: int) -> bytes:
    """With a comment block before the trailer."""
    text = _label(number)
    end = data.rindex(b";")
    return data[:end] + b"\x21\xfe" + bytes([len(text)]) + text + b"\0" + data[end:]


NUMBERED: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"\xff\xd8\xff": numbered_jpeg,
    b"\x89PNG\r\n\x1a\n": numbered_png,
    b"RIFF": numbered_webp,
    b"GIF8": numbered_gif,
}


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


def _label(number: int) -> bytes:
    return f"copy {number}".encode()


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
