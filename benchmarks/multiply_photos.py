"""Makes many byte-distinct photos out of a few, for load tests: same pictures, another comment in each file.

    .venv/bin/python -m benchmarks.multiply_photos FOLDER OUT COUNT

JPEG and PNG files of FOLDER are used in turn; what is neither is left out. The pixels are not touched.
"""

from __future__ import annotations

import argparse
import struct
import zlib
from pathlib import Path

_PNG_SIGNATURE_AND_HEADER = 8 + 25  # the IHDR chunk is always 25 bytes long


def main() -> None:
    """Write the files, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    files = multiply(arguments.folder, arguments.out, arguments.count)
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB, in {arguments.out}")


def multiply(folder: Path, out: Path, count: int) -> list[Path]:
    """Write `count` byte-distinct copies of the folder's photos into `out`. Raises SystemExit when there are none."""
    sources = [file for file in sorted(folder.iterdir()) if file.is_file() and _can_carry_a_comment(file)]
    if not sources:
        raise SystemExit(f"{folder} holds no JPEG or PNG file")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(count):
        source = sources[number % len(sources)]
        target = out / f"{number:06d}{source.suffix.lower()}"
        target.write_bytes(with_comment(source.read_bytes(), f"copy {number}".encode()))
        written.append(target)
    return written


def with_comment(data: bytes, comment: bytes) -> bytes:
    """The same picture with a comment: a COM segment of JPEG, a tEXt chunk of PNG."""
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]
    body = b"tEXtComment\0" + comment
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:_PNG_SIGNATURE_AND_HEADER] + chunk + data[_PNG_SIGNATURE_AND_HEADER:]


def _can_carry_a_comment(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(8).startswith((b"\xff\xd8", b"\x89PNG\r\n\x1a\n"))


if __name__ == "__main__":
    main()
