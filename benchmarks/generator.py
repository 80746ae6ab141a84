"""The application's present generator beside ours: the same photos and outputs, CPU, bytes, SSIM and SSIMULACRA2.

    python benchmarks/generator.py --photos FOLDER [--rounds 3] [--every 3] [--json FILE]

Its generator is written here from the facts that are known of it: Pillow, one photo at a time; WebP at quality 78 and
method 6, optimised progressive JPEG at quality 80; Lanczos from the whole decode for every output; crops enlarged to
720 × 900 and 1440 × 1800; alpha dropped for JPEG; no colour management. Not known, and assumed: its base pictures are
never enlarged, the EXIF orientation is applied, and a WebP keeps alpha.

Each side is one process with one photo at a time, in turns with the other. Crops are framed as the application frames
a photo without an intent: 50/35 of a wide photo, 50/30 of a tall one. Pictures are compared on white, at the size that
the rendition is named for, a smaller crop enlarged as by a browser, with the photo decoded by the product and scaled by
Lanczos. SSIMULACRA2 takes seconds for a large file: it is measured for each `--every`th photo, and of the two large
renditions for each fourth of these.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import fmean, median
from typing import Any

from compare import Side, usable
from competitors import install_pyvips
from PIL import Image, ImageOps
from quality import Reference, on_white

from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.formats import ON_WHITE
from trr_pipelines.imaging.geometry import Crop, Size, crop_frame
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import RenderRequest, render

LANCZOS = Image.Resampling.LANCZOS
NAMES = ("generator", "ours")
WIDTHS = {target.key: target.width for target in BASE.targets}
CROP_SIZES = {target.key: (target.size.width, target.size.height) for target in CROP.targets}
LARGE = {"detail", "crop_detail"}
CPU_FILE = "cpu.json"
# Names of formats as the application's readers know them.
FORMATS = {"webp": "webp", "jpeg": "jpg", ON_WHITE: "jpg", "png": "png"}

Outputs = Iterator[tuple[str, str, bytes]]
"""Rendition key, format and bytes of each output of a photo."""


@dataclass(frozen=True)
class Measured:
    """One output; `ssimulacra2` is None where it was not measured."""

    photo: str
    key: str
    format: str
    bytes: int
    ssim: float
    ssimulacra2: float | None


def framing(data: bytes) -> Crop:
    """The frame of a photo without an intent, as the application draws it."""
    size = inspect(data).size
    return Crop("manual", 50, 35 if size.width >= size.height else 30, 1)


def generator(data: bytes) -> Outputs:
    """The application's generator, from facts."""
    opened = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    assert opened is not None
    image = opened.convert("RGBA" if opened.mode in ("RGBA", "LA", "PA") else "RGB")
    for key, width in WIDTHS.items():
        scale = min(1.0, width / image.width)
        yield from _saved(key, image.resize((round(image.width * scale), round(image.height * scale)), LANCZOS))
    frame = crop_frame(Size(*image.size), framing(data))
    box = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
    for key, size in CROP_SIZES.items():
        yield from _saved(key, image.resize(size, LANCZOS, box=box))


def _saved(key: str, image: Image.Image) -> Outputs:
    for image_format, options in (
        ("webp", {"quality": 78, "method": 6}),
        ("jpeg", {"quality": 80, "optimize": True, "progressive": True}),
    ):
        buffer = BytesIO()
        picture = image.convert("RGB") if image_format == "jpeg" else image
        picture.save(buffer, image_format, **options)
        yield key, FORMATS[image_format], buffer.getvalue()


def ours(data: bytes) -> Outputs:
    """The files of the product for the same renditions; a transparent photo's PNGs are made as well."""
    for variant in render(data, RenderRequest(BASE, CROP, (framing(data),), on_white=True)).variants:
        yield variant.variant_key, FORMATS[variant.format], variant.data


def serve(name: str, listing: Path, kept: Path) -> None:
    """A side: makes everything once for each line of stdin and answers with its figures; see `compare`.

    Files are written to `kept` after they were timed, with the CPU seconds of each photo.
    """
    photos = [Path(line) for line in listing.read_text().splitlines()]
    outputs = {"generator": generator, "ours": ours}[name]
    for _ in sys.stdin:
        answer = {"seconds": 0.0, "cpu_seconds": 0.0, "bytes": 0}
        by_photo = {}
        for photo in photos:
            began, cpu = time.perf_counter(), time.process_time()
            made = list(outputs(photo.read_bytes()))
            by_photo[photo.name] = time.process_time() - cpu
            answer["seconds"] += time.perf_counter() - began
            answer["cpu_seconds"] += by_photo[photo.name]
            answer["bytes"] += sum(len(data) for *_, data in made)
            for key, image_format, data in made:
                (kept / f"{photo.name}.{key}.{image_format}").write_bytes(data)
        (kept / CPU_FILE).write_text(json.dumps(by_photo))
        print(json.dumps(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each side (default 3)")
    parser.add_argument("--every", type=int, default=3, help="SSIMULACRA2 of each such photo only (default 3)")
    parser.add_argument("--json", type=Path, help="also write the figures of every file here")
    parser.add_argument("--side", choices=NAMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        serve(arguments.side, arguments.photos, arguments.photos.parent / arguments.side)
        return

    photos = usable(arguments.photos)
    python = install_pyvips()
    with tempfile.TemporaryDirectory(prefix="trr-generator-") as folder:
        scratch = Path(folder)
        listing = scratch / "photos.txt"
        listing.write_text("".join(f"{photo}\n" for photo in photos))
        sides = rounds(listing, scratch, arguments.rounds)
        print_costs(photos, sides)
        print_costs_by_kind(scratch)
        with ProcessPoolExecutor(os.cpu_count()) as processes:
            rows = list(
                processes.map(
                    measured,
                    photos,
                    [scratch] * len(photos),
                    [scored_keys(number, arguments.every) for number in range(len(photos))],
                    [python] * len(photos),
                )
            )
    files = {name: [one for row in rows for one in row[name]] for name in NAMES}
    print_likeness(files)
    if arguments.json:
        figures = {name: [vars(one) for one in ones] for name, ones in files.items()}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def scored_keys(number: int, every: int) -> Collection[str]:
    """The renditions of photo `number` whose SSIMULACRA2 is measured."""
    if number % every:
        return ()
    keys = {*WIDTHS, *CROP_SIZES}
    return keys if number % (4 * every) == 0 else keys - LARGE


def rounds(listing: Path, scratch: Path, count: int) -> list[Side]:
    """Both sides with their measured rounds; their files are in folders of their names."""
    with ExitStack() as stack:
        sides = []
        for name in NAMES:
            command = [sys.executable, __file__, "--photos", str(listing), "--side", name]
            popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            sides.append(Side(name, stack.enter_context(popen)))
            (scratch / name).mkdir()
        try:
            for number in range(count):
                for side in sides if number % 2 else sides[::-1]:
                    side.round()
                print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)
        finally:
            for side in sides:
                side.process.kill()
    return sides


def measured(photo: Path, scratch: Path, scored: Collection[str], python: Path) -> dict[str, list[Measured]]:
    """Every file of a photo, of each side, beside its reference; SSIMULACRA2 of the renditions `scored`."""
    whole, cropped = Reference(photo), Reference(photo, framing(photo.read_bytes()))
    kept: list[tuple[str, str, str, int, float]] = []
    pairs: dict[int, tuple[Path, Path]] = {}
    with tempfile.TemporaryDirectory(prefix="trr-pairs-") as folder:
        for name in NAMES:
            for file in sorted((scratch / name).glob(f"{photo.name}.*")):
                key, image_format = file.name.removeprefix(f"{photo.name}.").split(".")
                picture = on_white(Image.open(file))
                if key in CROP_SIZES and picture.size != CROP_SIZES[key]:
                    picture = picture.resize(CROP_SIZES[key], Image.Resampling.BICUBIC)
                reference = cropped if key in CROP_SIZES else whole
                if key in scored:
                    pairs[len(kept)] = _pair(Path(folder), key, len(kept), reference.at(picture.size), picture)
                kept.append((name, key, image_format, file.stat().st_size, reference.compare(picture).ssim))
        scores = dict(zip(pairs, _ssimulacra2(python, pairs.values()), strict=True))
    result: dict[str, list[Measured]] = {name: [] for name in NAMES}
    for number, (name, key, image_format, size, ssim) in enumerate(kept):
        result[name].append(Measured(photo.name, key, image_format, size, ssim, scores.get(number)))
    return result


def _pair(folder: Path, key: str, number: int, reference: Image.Image, picture: Image.Image) -> tuple[Path, Path]:
    first, second = folder / f"{key}-{picture.width}x{picture.height}.png", folder / f"{number}.png"
    if not first.exists():
        reference.save(first, compress_level=1)
    picture.save(second, compress_level=1)
    return first, second


def _ssimulacra2(python: Path, pairs: Iterable[tuple[Path, Path]]) -> list[float]:
    script = Path(__file__).parent / "sides" / "ssimulacra2_scores.py"
    lines = "".join(f"{reference}\t{picture}\n" for reference, picture in pairs)
    done = subprocess.run([python, script], input=lines, capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.splitlines()]


def print_costs(photos: list[Path], sides: list[Side]) -> None:
    theirs, mine = sides
    print(f"{len(photos)} photos, one process with one photo at a time, medians of {len(mine.seconds)} rounds\n")
    print("| | CPU s | wall s | MB |")
    print("|---|---|---|---|")
    for side in sides:
        print(f"| {side.name} | {median(side.cpu_seconds):.1f} | {median(side.seconds):.1f} | {side.bytes / 1e6:.2f} |")
    print(
        f"\nCPU: ours takes {median(mine.cpu_seconds) / median(theirs.cpu_seconds):.3f} of the generator's"
        f" (rounds: {', '.join(f'{cpu:.1f}' for cpu in theirs.cpu_seconds)}"
        f" and {', '.join(f'{cpu:.1f}' for cpu in mine.cpu_seconds)} s)\n",
        flush=True,
    )


def print_costs_by_kind(scratch: Path) -> None:
    """CPU of the last round, of transparent photos and of the others."""
    cpu = {name: json.loads((scratch / name / CPU_FILE).read_text()) for name in NAMES}
    transparent = {photo for photo in cpu["ours"] if list((scratch / "ours").glob(f"{photo}.*.png"))}
    print("| photos | | CPU s generator | ours | ratio |")
    print("|---|---|---|---|---|")
    for kind, photos in (("transparent", transparent), ("others", set(cpu["ours"]) - transparent)):
        theirs, mine = (sum(cpu[name][photo] for photo in photos) for name in NAMES)
        print(f"| {kind} | {len(photos)} | {theirs:.1f} | {mine:.1f} | {mine / theirs if photos else 0:.3f} |")
    slowest = sorted(cpu["generator"], key=lambda photo: -cpu["generator"][photo])[:3]
    print(
        "\nMost CPU: " + ", ".join(f"{photo} {cpu['generator'][photo]:.1f} s" for photo in slowest) + "\n", flush=True
    )


def print_likeness(files: dict[str, list[Measured]]) -> None:
    """By output for photos without transparency, then totals, then transparent photos."""
    transparent = {one.photo for one in files["ours"] if one.format == "png"}
    groups: dict[str, dict[str, list[Measured]]] = {}
    opaque = [(key, image_format) for key in (*WIDTHS, *CROP_SIZES) for image_format in ("webp", "jpg")]
    for key, image_format in [*opaque, ("all", "webp"), ("all", "jpg"), ("all", "files")]:
        groups[f"{key} {image_format}"] = {
            name: [
                one
                for one in ones
                if one.photo not in transparent and key in ("all", one.key) and image_format in ("files", one.format)
            ]
            for name, ones in files.items()
        }
    for image_format in ("webp", "jpg", "png"):
        groups[f"transparent photos, {image_format}"] = {
            name: [one for one in ones if one.photo in transparent and one.format == image_format]
            for name, ones in files.items()
        }
    measures = ("MB", "SSIM", "SSIMULACRA2")
    print(f"| | files | {' | '.join(f'{measure} {name}' for measure in measures for name in NAMES)} | of files |")
    print("|---" * (3 + len(measures) * len(NAMES)) + "|")
    for name, by_side in groups.items():
        if by_side["ours"]:
            print(f"| {name} | {' | '.join(_cells(by_side))} |")


def _cells(by_name: dict[str, list[Measured]]) -> Iterator[str]:
    theirs, mine = (by_name[name] for name in NAMES)
    yield f"{len(theirs)} and {len(mine)}" if len(theirs) != len(mine) else f"{len(mine)}"
    sizes = [sum(one.bytes for one in ones) / 1e6 for ones in (theirs, mine)]
    yield from (f"{size:.2f}" for size in sizes)
    yield from (_mean([one.ssim for one in ones], 4) for ones in (theirs, mine))
    scores: list[list[Any]] = [
        [one.ssimulacra2 for one in ones if one.ssimulacra2 is not None] for ones in (theirs, mine)
    ]
    yield from (_mean(values, 1) for values in scores)
    yield str(len(scores[1]))


def _mean(values: list[float], digits: int) -> str:
    return f"{fmean(values):.{digits}f}" if values else ""


if __name__ == "__main__":
    main()
