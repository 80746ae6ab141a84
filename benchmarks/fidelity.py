"""Bytes and similarity: our files compared with sharp at its defaults, and every encoder setting with the others.

    python benchmarks/fidelity.py [--photos FOLDER] [--width 720] [--skip-settings]

Prints the tables of docs/measurements/fidelity.md. Only photos without alpha are used. The first table compares the
files that both sides make of the same photos; the second one encodes the same scaled pictures with each setting at
several qualities and prints bytes and CPU at the SSIM of our recipe, and bytes at its MS-SSIM.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from compare import OURS, Side, started, usable
from competitors import BENCH
from PIL import Image
from quality import Likeness, Reference

from trr_pipelines.imaging.decode import decode
from trr_pipelines.imaging.encode import encode
from trr_pipelines.imaging.recipes import BASE, EncoderOptions, Recipe
from trr_pipelines.imaging.render import Rendered, RenderRequest, render
from trr_pipelines.samples import write_samples

# sharp's default WebP effort, and the usual qualities for these sizes.
SHARP_EFFORT = 4
USUAL = {"thumb": 70, "card": 75, "detail": 80}

Encoder = Callable[[Image.Image, int], bytes]


@dataclass(frozen=True)
class Setting:
    """An encoder setting, with qualities that give similarities close to ours."""

    family: str
    name: str
    encoder: Encoder
    qualities: Sequence[int]


@dataclass(frozen=True)
class Measured:
    """One encoded picture; CPU in seconds."""

    bytes: int
    cpu: float
    likeness: Likeness


def main() -> None:
    parser = argparse.ArgumentParser(description="The tables of docs/measurements/fidelity.md.")
    parser.add_argument("--photos", type=Path, help="folder of photos; without it, the sample archive")
    parser.add_argument("--width", type=int, default=720, help="pixels in width for the table of settings")
    parser.add_argument("--limit", type=int, help="no more photos than this, evenly from the folder")
    parser.add_argument("--skip-settings", action="store_true", help="only the table of what is delivered")
    parser.add_argument("--skip-delivered", action="store_true", help="only the table of settings")
    arguments = parser.parse_args()
    folder = arguments.photos or write_samples(BENCH / "samples").parent
    with ProcessPoolExecutor() as processes:
        photos = usable(folder)
        opaque = [
            photo
            for photo, see_through in zip(photos, processes.map(_is_transparent, photos), strict=True)
            if not see_through
        ]
        count = min(arguments.limit or len(opaque), len(opaque))
        opaque = [opaque[at * len(opaque) // count] for at in range(count)]
        print(f"{len(opaque)} photos without alpha\n", flush=True)
        if not arguments.skip_delivered:
            print_delivered(opaque, processes)
        if not arguments.skip_settings:
            print_settings(opaque, arguments.width, processes)


def print_delivered(photos: list[Path], processes: ProcessPoolExecutor) -> None:
    """Sizes and similarities of each side's six files of every photo, and of our AVIFs for comparison."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trr-fidelity-")))
        listing = scratch / "photos.txt"
        listing.write_text("".join(f"{photo}\n" for photo in photos))
        kept = {}
        for name, popen in started(listing, SHARP_EFFORT, USUAL):
            side = Side(name, stack.enter_context(popen))
            kept[name] = scratch / name
            kept[name].mkdir()
            side.round(kept[name])
            side.process.kill()
        rows = list(processes.map(_delivered, photos, [kept] * len(photos)))

    measures = ("MB", "SSIM", "MS-SSIM", "chroma dB")
    print(f"| output | {' | '.join(f'{measure} {name}' for measure in measures for name in kept)} |")
    print("|---" * (1 + len(measures) * len(kept)) + "|")
    outputs = [f"{key}.{image_format}" for key in OURS for image_format in BASE.formats]
    for output in [*outputs, "all"]:
        chosen = outputs if output == "all" else [output]
        totals = {name: _total([row[name][one] for row in rows for one in chosen]) for name in kept}
        cells = [f"{total.bytes / 1e6:.2f}" for total in totals.values()]
        cells += [f"{total.likeness.ssim:.4f}" for total in totals.values()]
        cells += [f"{total.likeness.ms_ssim:.4f}" for total in totals.values()]
        cells += [f"{total.likeness.chroma_psnr:.2f}" for total in totals.values()]
        print(f"| {output} | {' | '.join(cells)} |")
    for name, total in totals.items():
        if name != "ours":
            print(f"\nOurs are {totals['ours'].bytes / total.bytes:.3f} of {name}'s bytes.")
    _print_avif(rows, totals)


def _print_avif(rows: list[dict[str, dict[str, Measured]]], totals: dict[str, Measured]) -> None:
    """The AVIFs, one file for each size, compared with the WebPs and JPEGs of every side."""
    avif = _total([one for row in rows for one in row["avif"].values()])
    print("\n| AVIF | MB | SSIM | MS-SSIM | chroma dB | CPU s of rendering with it | without |")
    print("|---|---|---|---|---|---|---|")
    with_avif = sum(one.cpu for row in rows for one in row["avif"].values())
    without = sum(one.cpu for row in rows for one in row["ours"].values())
    like = avif.likeness
    print(
        f"| all sizes | {avif.bytes / 1e6:.2f} | {like.ssim:.4f} | {like.ms_ssim:.4f} | {like.chroma_psnr:.2f}"
        f" | {with_avif:.1f} | {without:.1f} |"
    )
    for name in totals:
        per_format = {
            image_format: sum(row[name][f"{key}.{image_format}"].bytes for row in rows for key in OURS)
            for image_format in BASE.formats
        }
        shares = [f"{avif.bytes / size:.3f} of {image_format}" for image_format, size in per_format.items()]
        shares.append(f"{avif.bytes / sum(per_format.values()) * len(per_format):.3f} of their mean")
        print(f"\nBytes of AVIF beside {name}: {', '.join(shares)}.")


def _total(ones: list[Measured]) -> Measured:
    """Sums of bytes and CPU, means of likeness."""
    return Measured(
        sum(one.bytes for one in ones), sum(one.cpu for one in ones), Likeness.mean(one.likeness for one in ones)
    )


def print_settings(photos: list[Path], width: int, processes: ProcessPoolExecutor) -> None:
    """Every setting at the similarity of our recipe."""
    rows = list(processes.map(_with_all_settings, photos, [width] * len(photos)))
    print(f"At {width} pixels; ratios to the setting of the recipe (first of each format).\n")
    print("| setting | bytes at equal SSIM | bytes at equal MS-SSIM | CPU at equal SSIM |")
    print("|---|---|---|---|")
    for family in ("jpeg", "webp", "avif"):
        settings = [setting for setting in SETTINGS if setting.family == family]
        curves = {setting.name: _curve(setting, rows) for setting in settings}
        own = curves[settings[0].name]
        middle = own.qualities.index(OURS["card"])
        for setting in settings:
            curve = curves[setting.name]
            cells = [
                curve.bytes_at_ssim(own.ssim[middle]) / own.bytes[middle],
                curve.bytes_at_ms_ssim(own.ms_ssim[middle]) / own.bytes[middle],
                curve.cpu_at_ssim(own.ssim[middle]) / own.cpu[middle],
            ]
            print(f"| {setting.name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")
        if family != "jpeg":
            base = _curve(SETTINGS[0], rows)
            ratio = own.bytes_at_ssim(base.ssim[middle]) / base.bytes[middle]
            cpu = own.cpu_at_ssim(base.ssim[middle]) / base.cpu[middle]
            print(f"| {settings[0].name}, beside our JPEG | {ratio:.2f} | | {cpu:.1f} |")


@dataclass(frozen=True)
class Curve:
    """Totals over all pictures by quality."""

    qualities: list[int]
    bytes: list[float]
    cpu: list[float]
    ssim: list[float]
    ms_ssim: list[float]

    def bytes_at_ssim(self, ssim: float) -> float:
        return float(np.exp(np.interp(ssim, self.ssim, np.log(self.bytes))))

    def bytes_at_ms_ssim(self, ms_ssim: float) -> float:
        return float(np.exp(np.interp(ms_ssim, self.ms_ssim, np.log(self.bytes))))

    def cpu_at_ssim(self, ssim: float) -> float:
        return float(np.interp(ssim, self.ssim, self.cpu))


def _curve(setting: Setting, rows: list[dict[tuple[str, int], Measured]]) -> Curve:
    columns = [[row[setting.name, quality] for row in rows] for quality in setting.qualities]
    likeness = [Likeness.mean(one.likeness for one in column) for column in columns]
    return Curve(
        list(setting.qualities),
        [float(sum(one.bytes for one in column)) for column in columns],
        [sum(one.cpu for one in column) for column in columns],
        [one.ssim for one in likeness],
        [one.ms_ssim for one in likeness],
    )


def _delivered(photo: Path, kept: dict[str, Path]) -> dict[str, dict[str, Measured]]:
    """By side and output; `avif` is ours as well. CPU is that of rendering all of a photo, spread over its outputs."""
    reference = Reference(photo)
    result: dict[str, dict[str, Measured]] = {}
    for name, folder in kept.items():
        files = {file.name.removeprefix(f"{photo.name}."): file for file in folder.glob(f"{photo.name}.*")}
        cpu = _rendered(photo, BASE)[1] / len(files) if name == "ours" else 0.0
        result[name] = {output: _compared(reference, file.read_bytes(), cpu) for output, file in files.items()}
    rendered, cpu = _rendered(photo, replace(BASE, formats=(*BASE.formats, "avif")))
    avif = [variant for variant in rendered.variants if variant.format == "avif"]
    result["avif"] = {one.variant_key: _compared(reference, one.data, cpu / len(avif)) for one in avif}
    return result


def _rendered(photo: Path, recipe: Recipe) -> tuple[Rendered, float]:
    """The files made from the photo, and the CPU seconds used."""
    data, began = photo.read_bytes(), time.process_time()
    return render(data, RenderRequest(recipe, None)), time.process_time() - began


def _compared(reference: Reference, data: bytes, cpu: float) -> Measured:
    return Measured(len(data), cpu, reference.likeness(data))


def _with_all_settings(photo: Path, width: int) -> dict[tuple[str, int], Measured]:
    reference = Reference(photo)
    picture = reference.scaled(width)
    return {
        (setting.name, quality): _measured(reference, setting.encoder, picture, quality)
        for setting in SETTINGS
        for quality in setting.qualities
    }


def _measured(reference: Reference, encoder: Encoder, picture: Image.Image, quality: int) -> Measured:
    began = time.process_time()
    data = encoder(picture, quality)
    return Measured(len(data), time.process_time() - began, reference.likeness(data))


def _is_transparent(photo: Path) -> bool:
    return decode(photo.read_bytes()).is_transparent


def _ours(image_format: str, **changed: object) -> Encoder:
    options = replace(EncoderOptions(), **changed)  # type: ignore[arg-type]
    return lambda image, quality: encode(image, image_format, quality, options)


def _plain_jpeg(**arguments: object) -> Encoder:
    def encoder(image: Image.Image, quality: int) -> bytes:
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=quality, **arguments)
        return buffer.getvalue()

    return encoder


def _settings() -> Iterator[Setting]:
    around = (61, 69, 77, 83, 89)
    yield Setting("jpeg", "JPEG, our tables", _ours("jpeg"), around)
    yield Setting("jpeg", "our tables, progressive", _ours("jpeg", jpeg_progressive=True), around)
    yield Setting("jpeg", "our tables, 4:4:4", _ours("jpeg", jpeg_subsampling="4:4:4"), around)
    yield Setting("jpeg", "tables of the standard", _plain_jpeg(optimize=True), around)
    yield Setting("jpeg", "tables of the standard, progressive", _plain_jpeg(progressive=True), around)
    yield Setting("jpeg", "tables and Huffman codes of the standard", _plain_jpeg(), around)
    for method in (2, 0, 1, 3, 4, 6):
        yield Setting("webp", f"WebP, method {method}", _ours("webp", webp_method=method), around)
    for speed in (6, 7, 8, 9):
        yield Setting("avif", f"AVIF, speed {speed}", _ours("avif", avif_speed=speed), around)


SETTINGS = tuple(_settings())


if __name__ == "__main__":
    os.nice(5)  # minutes of both cores
    main()
