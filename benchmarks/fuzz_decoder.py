"""Feeds damaged files to render processes: each must complete or fail with a known reason.

    python -m benchmarks.fuzz_decoder [--count 100000] [--seed 1] [--folder FOLDER]

The seeds are small pictures in every format, generated here; `--folder` adds your own files. Each input is one seed
with a few mutations. Exit code 1 if an input has another result or a process or file is left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pillow_heif
import psutil
from PIL import Image

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import MediaError, Reason
from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.recipes import Recipe, Target
from trr_pipelines.imaging.render import RenderRequest

# One small output: decoding is what is tested.
REQUEST = RenderRequest(Recipe("base", (Target("thumb", 16, None, 50),)), None)

LARGEST_SEED = 100_000


@dataclass
class Findings:
    """Results of the inputs: `ends` counts states and reasons, `faults` lists violations."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    """Seconds on the clock, number of the input."""
    largest: tuple[int, int] = (0, 0)
    """Peak resident bytes of a render process, number of the input after which it was first measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--processes", type=int, help="render processes; one for each core when left out")
    arguments = parser.parse_args()
    began = time.monotonic()
    findings = fuzz(arguments.count, arguments.seed, arguments.folder, arguments.processes)
    print(f"{arguments.count:,} inputs in {time.monotonic() - began:.0f} s")
    print(f"slowest: input {findings.slowest[1]}, {findings.slowest[0]:.2f} s on the clock")
    print(f"largest: input {findings.largest[1]}, a process of {findings.largest[0] / 1e6:.0f} MB")
    for end, count in findings.ends.most_common():
        print(f"  {count:>8,}  {end}")
    for fault in findings.faults:
        print(f"FAULT {fault}")
    sys.exit(1 if findings.faults else 0)


def fuzz(count: int, seed: int, folder: Path | None = None, processes: int | None = None) -> Findings:
    """Renders `count` damaged files, deterministic for given arguments, and checks for leftovers."""
    seeds = [*seed_files(), *_files_of(folder)]
    findings = Findings()
    others = set(psutil.Process().children(recursive=True))
    with _scratch_folder() as scratch:
        with RenderPool(processes) as pool, ThreadPoolExecutor(pool.workers) as threads:
            start = [threads.submit(pool.render, seeds[0], REQUEST, name="a seed") for _ in range(pool.workers)]
            wait(start)  # processes start at their first photo, which must not count as a slow input
            tried = threads.map(lambda number: _try(number, seed, seeds, pool), range(count))
            for number, (end, fault, seconds, resident) in enumerate(tried):
                findings.ends[end] += 1
                findings.faults += [fault] if fault else []
                findings.slowest = max(findings.slowest, (seconds, number))
                if resident > findings.largest[0]:
                    findings.largest = (resident, number)
        findings.faults += [f"a file is left: {path}" for path in scratch.rglob("*")]
    for process in set(psutil.Process().children(recursive=True)) - others:
        if "trr_pipelines.compute.child" in process.cmdline():
            findings.faults.append(f"a process is left: {process.pid}")
    return findings


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder that render processes use for temporary files."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TMPDIR"] = scratch
        try:
            yield Path(scratch)
        finally:
            del os.environ["TMPDIR"]
            if before is not None:
                os.environ["TMPDIR"] = before


def _try(number: int, seed: int, seeds: list[bytes], pool: RenderPool) -> tuple[str, str, float, int]:
    """The result of one input, its violation (or ""), its seconds, and the peak resident bytes so far."""
    chance = random.Random(f"{seed}/{number}")
    data = mutated(chance.choice(seeds), chance)
    began = time.monotonic()
    fault = ""
    try:
        with contextlib.suppress(MediaError):
            inspect(data)
        pool.render(data, REQUEST, name=f"input {number}")
        end = "complete"
    except MediaError as error:
        end = str(error.reason)
        if error.reason is Reason.INTERNAL:
            fault = f"input {number}: {error.detail}"
    except Exception as error:  # noqa: BLE001  any other exception is a finding
        end, fault = "another error", f"input {number}: {error!r}"
    return end, fault, time.monotonic() - began, max(map(most_resident, pool.processes()), default=0)


def most_resident(pid: int) -> int:
    """The peak of a process' resident bytes so far (VmHWM); 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def seed_files() -> Iterator[bytes]:
    """Small pictures in every format and every encoding with its own decoder path."""
    scene = Image.radial_gradient("L").resize((48, 40))
    colour = Image.merge("RGB", (scene, scene.transpose(Image.Transpose.ROTATE_180), scene.point(lambda v: 255 - v)))
    clear = colour.copy()
    clear.putalpha(scene)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield _saved(colour, "JPEG", exif=exif)
    yield _saved(colour, "JPEG", progressive=True, subsampling=0)
    yield _saved(scene, "JPEG")
    yield _saved(colour.convert("CMYK"), "JPEG")
    yield _saved(colour, "MPO", **_more(colour))
    for image in (
        colour,
        clear,
        scene,
        colour.convert("P"),
        scene.convert("1"),
        scene.convert("I;16"),
        clear.convert("LA"),
    ):
        yield _saved(image, "PNG", exif=exif)
    yield _saved(colour, "PNG", **_more(colour))
    yield _saved(colour.convert("P"), "PNG", transparency=3)
    yield _saved(colour, "WEBP", exif=exif)
    yield _saved(clear, "WEBP", lossless=True)
    yield _saved(clear, "WEBP", **_more(colour))
    yield _saved(colour, "GIF")
    yield _saved(colour, "GIF", **_more(colour))
    yield _saved(colour, "AVIF", exif=exif)
    yield _saved(clear, "AVIF")
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield _saved(colour, "TIFF", compression=compression, exif=exif)
    yield _saved(scene.convert("1"), "TIFF", compression="group4")
    yield _saved(scene.convert("F"), "TIFF")
    yield _saved(colour.convert("LAB"), "TIFF")
    yield _saved(colour, "TIFF", **_more(colour))
    yield _saved(colour, "BMP")
    yield _saved(colour.convert("P"), "BMP")
    heic = BytesIO()
    pillow_heif.from_pillow(colour).save(heic, exif=exif)
    yield heic.getvalue()


def _more(image: Image.Image) -> dict[str, Any]:
    """Two more frames; new ones, because Pillow keeps encoder settings on pictures, which breaks the next encoder."""
    return {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}


def _saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.copy().save(buffer, image_format, **{name: value for name, value in options.items() if value is not None})
    return buffer.getvalue()


def _files_of(folder: Path | None) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")) if folder else []:
        if path.is_file() and 0 < path.stat().st_size <= LARGEST_SEED:
            yield path.read_bytes()


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with one to six kinds of damage, most of them near the start, where the structure is."""
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if damaged:
            chance.choice(_DAMAGES)(damaged, chance)
    return bytes(damaged)


def _place(data: bytearray, chance: random.Random) -> int:
    span = len(data) if chance.random() < 0.5 else min(len(data), 256)
    return chance.randrange(span)


def _flip_bit(data: bytearray, chance: random.Random) -> None:
    data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _set_byte(data: bytearray, chance: random.Random) -> None:
    data[_place(data, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))


def _set_number(data: bytearray, chance: random.Random) -> None:
    at, width = _place(data, chance), chance.choice((2, 4))
    value = chance.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), chance.randrange(2 ** (8 * width))))
    data[at : at + width] = value.to_bytes(width, chance.choice(("big", "little")))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _remove(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.randint(1, 64)]


def _insert(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = chance.randbytes(chance.randint(1, 64))


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.randint(1, 256)] * chance.randint(1, 8)


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_bit,
    _flip_bit,
    _set_byte,
    _set_byte,
    _set_number,
    _cut,
    _remove,
    _insert,
    _repeat,
)


if __name__ == "__main__":
    main()
