"""The sample files and their manifest. Scenes are drawn in `scenes`, files encoded in `encodings`."""

from __future__ import annotations

import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trr_pipelines.errors import InputError
from trr_pipelines.samples import encodings, scenes
from trr_pipelines.samples.encodings import Encoding

MANIFEST_NAME = "manifest.csv"
MANIFEST_COLUMNS = ("path", "show", "season", "person", "kind", "caption", "tags")

# Two: Pillow and numpy release the GIL, and two of the largest pictures need 0.6 GB at once.
THREADS = 2


@dataclass(frozen=True)
class SampleLink:
    """The link of a manifest row: a show, a season (by number) of a show, or a person."""

    show: str = ""
    season: str = ""
    person: str = ""


@dataclass(frozen=True)
class Sample:
    """One file of the set. `size` is width and height in pixels as seen, after orientation.

    Two samples that differ only in name and link have the same bytes: exact duplicates.
    """

    name: str
    encoding: Encoding
    scene: str
    size: tuple[int, int]
    seed: int
    link: SampleLink
    kind: str = "photo"

    def content(self, shrink: int) -> bytes:
        """The file's bytes, with both sides divided by `shrink`."""
        width, height = (max(8, side // shrink) for side in self.size)
        return self.encoding(scenes.photograph(self.scene, width, height, self.seed))


SHOW, OTHER_SHOW = SampleLink(show="The Valley: Sample Archive"), SampleLink(show="Harbour Lights: Sample Archive")
SEASON_1, SEASON_2 = SampleLink(show=SHOW.show, season="1"), SampleLink(show=SHOW.show, season="2")
PERSON_A, PERSON_B, PERSON_C = (SampleLink(person=f"Sample Person {letter}") for letter in "ABC")

_JPEG, _TURNED = encodings.jpeg, encodings.turned_jpeg

SAMPLES = (
    Sample("valley-dawn.jpg", _JPEG, "valley", (6000, 4000), 1, SHOW),
    Sample("valley-ridge.jpg", _JPEG, "valley", (3000, 2000), 2, SHOW),
    Sample("valley-noon.jpg", _JPEG, "valley", (2560, 1600), 3, SEASON_1),
    Sample("valley-autumn.jpg", encodings.progressive_jpeg, "valley", (2400, 1600), 4, SEASON_1),
    Sample("valley-tall.jpg", _JPEG, "valley", (1600, 2400), 5, SEASON_2),
    Sample("valley-wide.jpg", _JPEG, "valley", (3840, 1600), 6, SEASON_2),
    Sample("valley-title.png", encodings.png, "valley", (1920, 1080), 7, SHOW, kind="brand"),
    Sample("valley-poster.tif", encodings.tiff, "valley", (1500, 2000), 8, SHOW, kind="brand"),
    Sample("valley-print.jpg", encodings.cmyk_jpeg, "valley", (2400, 1800), 9, SHOW, kind="brand"),
    Sample("leaves-close.jpg", _JPEG, "leaves", (4000, 3000), 10, SEASON_1),
    Sample("leaves-path.jpg", _JPEG, "leaves", (2048, 1536), 11, SEASON_1),
    Sample("leaves-wall.webp", encodings.webp, "leaves", (2000, 1500), 12, SEASON_2),
    Sample("leaves-grey.jpg", encodings.grey_jpeg, "leaves", (2400, 1600), 13, SEASON_2),
    Sample("leaves-phone.jpg", encodings.wide_gamut_jpeg, "leaves", (3024, 2016), 14, SEASON_2),
    Sample("leaves-flat.png", encodings.opaque_rgba_png, "leaves", (1600, 1250), 15, SHOW),
    Sample("shore-foam.jpg", _JPEG, "shore", (3600, 2400), 16, OTHER_SHOW),
    Sample("shore-east.jpg", _JPEG, "shore", (2400, 1600), 17, OTHER_SHOW),
    Sample("shore-west.jpg", _JPEG, "shore", (2200, 1650), 18, OTHER_SHOW),
    Sample("shore-news.webp", encodings.webp, "shore", (1920, 1280), 19, OTHER_SHOW, kind="news"),
    Sample("shore-phone.jpg", encodings.wide_gamut_jpeg, "shore", (2016, 1512), 20, OTHER_SHOW, kind="social"),
    Sample("stage-opening.jpg", _JPEG, "stage", (3000, 2000), 21, OTHER_SHOW),
    Sample("stage-encore.jpg", encodings.progressive_jpeg, "stage", (2560, 1440), 22, OTHER_SHOW),
    Sample("stage-left.jpg", _JPEG, "stage", (1800, 1200), 23, SEASON_1),
    Sample("stage-right.jpg", _JPEG, "stage", (1920, 1080), 24, SEASON_2),
    Sample("portrait-a-studio.jpg", _JPEG, "portrait", (3000, 4000), 25, PERSON_A),
    Sample("portrait-a-garden.jpg", _JPEG, "portrait", (1600, 2000), 26, PERSON_A),
    Sample("portrait-b-studio.jpg", _JPEG, "portrait", (2000, 2500), 27, PERSON_B),
    Sample("portrait-b-garden.jpg", _JPEG, "portrait", (2400, 1600), 28, PERSON_B),
    Sample("portrait-c-cutout.png", encodings.transparent_png, "portrait", (1280, 1600), 29, PERSON_C),
    Sample("turned-1.jpg", _TURNED(1), "portrait", (1600, 2000), 31, PERSON_A),
    Sample("turned-2.jpg", _TURNED(2), "portrait", (1600, 2000), 32, PERSON_A),
    Sample("turned-3.jpg", _TURNED(3), "portrait", (1600, 2000), 33, PERSON_B),
    Sample("turned-4.jpg", _TURNED(4), "portrait", (1600, 2000), 34, PERSON_B),
    Sample("turned-5.jpg", _TURNED(5), "portrait", (1600, 2000), 35, PERSON_C),
    Sample("turned-6.jpg", _TURNED(6), "portrait", (3000, 4000), 36, PERSON_C),
    Sample("turned-7.jpg", _TURNED(7), "portrait", (1600, 2000), 37, PERSON_C),
    Sample("turned-8.jpg", _TURNED(8), "portrait", (2000, 3000), 38, PERSON_C),
    Sample("portrait-a-again.jpg", _JPEG, "portrait", (1600, 2000), 26, PERSON_B),
    Sample("download-stopped.jpg", encodings.truncated_jpeg, "shore", (2400, 1600), 41, OTHER_SHOW),
    Sample("error-page.jpg", encodings.error_page, "shore", (8, 8), 42, OTHER_SHOW),
)


def write_samples(folder: Path, *, shrink: int = 1) -> Path:
    """Write the sample files and their manifest into `folder`, and return the manifest's path.

    Existing files are kept; the manifest is written last, so if it exists the set is complete.
    Manifest paths are relative to the manifest. `shrink` divides both sides of every picture, for tests.

    Raises InputError if the folder cannot be written.
    """
    manifest, listing = folder / MANIFEST_NAME, _manifest_text().encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(partial(_write_sample, folder, shrink), SAMPLES))
        if not manifest.is_file() or manifest.read_bytes() != listing:
            _write_whole(manifest, listing)
    except OSError as error:
        raise InputError(f"cannot write samples to {folder}: {error.strerror}") from error
    return manifest


def _write_sample(folder: Path, shrink: int, sample: Sample) -> None:
    if not (folder / sample.name).exists():
        _write_whole(folder / sample.name, sample.content(shrink))


def _write_whole(path: Path, content: bytes) -> None:
    """Write atomically: a reader of `path` sees nothing or all of it, even if this process is killed."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _manifest_text() -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(MANIFEST_COLUMNS)
    for sample in SAMPLES:
        subject = sample.name.partition(".")[0].replace("-", " ").capitalize()
        link = sample.link
        rows.writerow(
            (sample.name, link.show, link.season, link.person, sample.kind, subject, f"sample;{sample.scene}")
        )
    return text.getvalue()
