"""Published crops of real photos beside what Chromium draws by the arithmetic of the application's crop editor.

    .venv/bin/python -m benchmarks.crop_frames --photos FOLDER [--links 200] [--seed 1] [--csv FILE]

An application database gets photos (as they are, turned by EXIF, very wide, very tall, tiny, transparent) and links
with crop intents as its programs store them; sync, rendering and publishing follow, and each gallery's `crop_detail`
file is compared with Chromium's picture of the same size. The exit code is 1 if a frame differs.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psycopg
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.bridge import render_all
from benchmarks.homes import thrown_away
from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.publishing import publish_due
from trr_pipelines.bridge.sync import sync
from trr_pipelines.catalogue.embedded import embedded_postgres
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import Settings
from trr_pipelines_tests.pictures import with_jpeg_segment
from trr_pipelines_tests.support import chromium
from trr_pipelines_tests.support.applications import SCHEMA, Reader, Rows, set_name
from trr_pipelines_tests.support.crop_frames import (
    MOST_DIFFERENCE,
    Comparison,
    Layout,
    compare,
    on_white,
    shown_by_browser,
    wanted_frame,
)

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
BASE_URL = "http://127.0.0.1:8000/media"
# Sides of tiny photos, in pixels; made of real ones.
TINY = [(320, 240), (240, 320), (160, 200), (100, 67), (64, 64), (48, 90)]
Intent = dict[str, Any]


@dataclass
class Link:
    """A gallery with one photo and one intent, and what its file is beside Chromium's picture."""

    kind: str
    key: str
    size: tuple[int, int]
    intent: Intent
    entity_id: UUID
    url: str = ""
    file: Image.Image | None = None
    exact: Comparison | None = None
    editor: Comparison | None = None

    @property
    def name(self) -> str:
        return f"{self.kind} {self.key} {set_name(self.intent)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--links", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="also write a row for each link here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trr-frames-") as folder:
        home = Path(folder)
        with thrown_away(home):
            links = published(arguments, home)
            measure(links, home / "media")
    faults = [*wrong_frames(links), *equal_frames(links)]
    report(links)
    if arguments.csv:
        write_csv(links, arguments.csv)
    for fault in faults:
        print(f"FAULT {fault}")
    print("FAULTS" if faults else "every gallery shows its own frame")
    return 1 if faults else 0


def published(arguments: argparse.Namespace, home: Path) -> list[Link]:
    """Photos and links of an application, taken, rendered and published; each link with the URL that readers find."""
    server = embedded_postgres(home)
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute("create database application")
    url = server.url("application")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(SCHEMA.read_text(encoding="utf-8"))  # type: ignore[arg-type]  our own file
    links = filled(Rows(url), home / "media", arguments)
    settings = Settings(
        home=home,
        media_store=f"file:{home / 'media'}",
        media_base_url=BASE_URL,
        application_db_url=url,  # type: ignore[arg-type]
    )
    application = Application(url).open()
    with open_archive(settings) as archive:
        print("sync", sync(archive, application, lane="live").report(), flush=True)
        print("rendered", dict(render_all(archive)), flush=True)
        print("published", dict(publish_due(archive.database, application)), flush=True)
    application.close()
    reader = Reader(url)
    for link in links:
        (photo,) = reader.gallery(link.entity_id)
        if photo["signature"] != set_name(link.intent):
            sys.exit(f"{link.name}: its gallery shows {photo['signature']}")
        link.url = photo["crop_detail"]
    return links


def filled(rows: Rows, folder: Path, arguments: argparse.Namespace) -> list[Link]:
    """Write originals at foreign keys and their rows; the further links of a photo want other frames."""
    chance = random.Random(arguments.seed)
    photos = []
    for number, (kind, name, data) in enumerate(originals(sorted(arguments.photos.iterdir()), chance)):
        key = f"images/{kind}/{Path(name).stem} ({number}){Path(name).suffix}"
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
        photos.append((kind, key, turned_size(data), rows.asset(key)))
    several = [photo for photo in photos if photo[0] != "as it is"] + photos
    wanted = [*photos, *(several * 10)[: max(0, arguments.links - len(photos))]][: arguments.links]
    links = []
    for number, ((kind, key, size, asset), intent) in enumerate(zip(wanted, intents(chance), strict=False)):
        entity = rows.person(f"{key} {number}")
        rows.link(asset, "person", entity, context={"thumbnail_crop": intent})
        links.append(Link(kind, key, size, intent, entity))
    return links


def originals(files: Sequence[Path], chance: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """Kind, name and bytes of every photo: all of the folder, and others made of some of them."""
    for file in files:
        yield "as it is", file.name, file.read_bytes()
    unturned = [file for file in files if file.suffix == ".jpg" and b"Exif" not in file.read_bytes()[:4_000]]
    for number, file in enumerate(chance.sample(unturned, min(16, len(unturned)))):
        yield "turned", file.name, turned(file.read_bytes(), number % 7 + 2)
    for file in chance.sample(files, 8):
        yield "very wide", f"{file.stem}.jpg", made(file, lambda image: strip(image, 1.0, 0.18), "JPEG", quality=92)
    for file in chance.sample(files, 8):
        yield "very tall", f"{file.stem}.jpg", made(file, lambda image: strip(image, 0.16, 1.0), "JPEG", quality=92)
    for number, file in enumerate(chance.sample(files, 12)):
        size = TINY[number % len(TINY)]
        kind = ("PNG", "JPEG")[number % 2]
        yield "tiny", f"{file.stem}.{kind.lower()}", made(file, lambda image, size=size: cover(image, size), kind)
    for number, file in enumerate(chance.sample(files, 8)):
        kind = ("PNG", "WEBP")[number % 2]
        yield "transparent", f"{file.stem}.{kind.lower()}", made(file, see_through, kind, **LOSSLESS[kind])


LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {"compress_level": 1}, "WEBP": {"lossless": True, "method": 0}}


def turned(data: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF orientation in front, and no other change."""
    exif = Image.Exif()
    exif[274] = orientation
    return with_jpeg_segment(data, 0xE1, exif.tobytes())


def turned_size(data: bytes) -> tuple[int, int]:
    image = Image.open(BytesIO(data))
    return image.size[::-1] if image.getexif().get(274, 1) >= 5 else image.size


def made(file: Path, change: Callable[[Image.Image], Image.Image], image_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    change(on_white(file.read_bytes())).save(buffer, image_format, **options)
    return buffer.getvalue()


def strip(image: Image.Image, across: float, down: float) -> Image.Image:
    """The middle of a picture: a share of its width and of its height."""
    width, height = (max(1, round(side * share)) for side, share in zip(image.size, (across, down), strict=True))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture at another size and shape."""
    scale = min(image.width / size[0], image.height / size[1])
    part = strip(image, size[0] * scale / image.width, size[1] * scale / image.height)
    return part.resize(size, Image.Resampling.LANCZOS)


def see_through(image: Image.Image) -> Image.Image:
    """At most 2,000 pixels wide; opaque in the middle, transparent towards the corners."""
    image.thumbnail((2_000, 2_000), Image.Resampling.LANCZOS)
    down, across = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    alpha = np.clip((1.2 - np.hypot(across, down)) * 400, 0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image


def intents(chance: random.Random) -> Iterator[Intent]:
    """Intents as the application stores them: two decimals, sometimes text, sometimes out of range."""
    number = 0
    while True:
        x, y = (round(chance.uniform(0, 100), 2) for _ in range(2))
        zoom = round(chance.choice([1, 4, 4 ** chance.random(), 4 ** chance.random()]), 2)
        if number % 4 == 1:  # a corner
            x, y = chance.choice([0, 100]), chance.choice([0, 100])
        elif number % 4 == 2:  # an edge
            x, y = chance.choice([(x, 0), (x, 100), (0, y), (100, y)])
        intent: Intent = {"x": x, "y": y, "zoom": zoom, "mode": "manual"}
        if number % 5 == 3:
            intent |= {name: str(intent[name]) for name in ("x", "y", "zoom")}
        elif number % 10 == 4:
            intent |= {name: chance.choice([-7.25, 131.5]) for name in chance.sample(("x", "y"), 1)}
            intent["zoom"] = chance.choice([0.25, zoom, 11])
        elif number % 10 == 9:
            intent |= {"mode": "auto", "strategy": "face", "generated_at": "2026-03-01T10:00:00Z"}
            del intent["zoom"]
        yield intent
        number += 1


def measure(links: list[Link], media: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.browser_path(), args=QUIET)
        page = browser.new_page()
        for number, link in enumerate(links):
            measure_link(page, link, media)
            if number % 20 == 19:
                print(f"{number + 1} of {len(links)} links", file=sys.stderr, flush=True)
        browser.close()


def measure_link(page: Page, link: Link, media: Path) -> None:
    data = (media / link.url.removeprefix(BASE_URL).lstrip("/")).read_bytes()
    link.file = on_white(data)

    def compared(layout: Layout) -> Comparison:
        assert link.file is not None
        return compare(data, shown_by_browser(page, media / link.key, link.intent, link.file.size, layout))

    link.exact, link.editor = compared("exact"), compared("editor")


def wrong_frames(links: list[Link]) -> Iterator[str]:
    for link in links:
        if link.exact is not None and not link.exact.is_same_frame:
            yield f"{link.name}: {link.exact}"


def equal_frames(links: list[Link]) -> Iterator[str]:
    """Links of one photo whose files are equal although their frames are not."""
    for one, other in combinations(links, 2):
        if one.key != other.key or set_name(one.intent) == set_name(other.intent):
            continue
        if one.url == other.url:
            yield f"{one.name} and {set_name(other.intent)} have the same file"
        assert one.file is not None
        assert other.file is not None
        frames = [wanted_frame(*link.size, link.intent) for link in (one, other)]
        if frames[0] != frames[1] and one.file.tobytes() == other.file.tobytes():
            yield f"{one.name} and {set_name(other.intent)} have the same pixels"


def report(links: list[Link]) -> None:
    """The tables of docs/measurements/frames.md."""
    shared = Counter(link.key for link in links)
    print(f"\n{len(links)} links of {len(shared)} photos, {sum(n > 1 for n in shared.values())} of them with several\n")
    print("| | median | 95 % | 99 % | most | above 2 |")
    print("|---|---|---|---|---|---|")
    exact, editor = ([one for one in ones if one] for ones in zip(*((k.exact, k.editor) for k in links), strict=True))
    row("4 × 4 pixels, beyond encoding", [one.file.blocks - one.encoding.blocks for one in exact])
    row("the same, editor's layout", [one.file.blocks - one.encoding.blocks for one in editor])
    row("4 × 4 pixels", [one.file.blocks for one in exact])
    row("Chromium's picture encoded, 4 × 4", [one.encoding.blocks for one in exact])
    row("single pixels, beyond encoding", [one.file.pixels - one.encoding.pixels for one in exact])
    row("single pixels", [one.file.pixels for one in exact])
    row("Chromium's picture encoded, single pixels", [one.encoding.pixels for one in exact])
    row("outermost pixels, beyond encoding", [one.file.rim - one.encoding.rim for one in exact])
    print("\n| displacement, pixels of the file | median | 95 % | 99 % | most | located |")
    print("|---|---|---|---|---|---|")
    moved_row("exact", exact)
    moved_row("editor's layout", editor)
    print("\n| photos | links | 4 × 4 beyond encoding, most | 4 × 4, most | single pixels, most | displacement, most |")
    print("|---|---|---|---|---|---|")
    for kind in dict.fromkeys(link.kind for link in links):
        ones = [link.exact for link in links if link.kind == kind and link.exact]
        print(
            f"| {kind} | {len(ones)} | {max(one.file.blocks - one.encoding.blocks for one in ones):.2f}"
            f" | {max(one.file.blocks for one in ones):.2f} | {max(one.file.pixels for one in ones):.2f}"
            f" | {max(one.displacement or 0 for one in ones):.2f} |"
        )


def row(name: str, values: Sequence[float]) -> None:
    print(f"| {name} | {quantiles(values)} | {sum(value > MOST_DIFFERENCE for value in values)} |")


def moved_row(name: str, ones: Sequence[Comparison]) -> None:
    moved = [one.displacement for one in ones if one.displacement is not None]
    print(f"| {name} | {quantiles(moved)} | {len(moved)} |")


def quantiles(values: Sequence[float]) -> str:
    return " | ".join(f"{np.percentile(values, share):.2f}" for share in (50, 95, 99, 100))


def write_csv(links: list[Link], path: Path) -> None:
    """A row for each link and layout: the columns of `Comparison`."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        parts = [f"{part}_{name}" for part in ("file", "encoding") for name in ("pixels", "blocks", "rim")]
        writer.writerow(["kind", "key", "signature", "width", "height", "layout", *parts, "displacement"])
        for link in links:
            assert link.file is not None
            for layout, one in (("exact", link.exact), ("editor", link.editor)):
                assert one is not None
                figures = [*astuple(one.file), *astuple(one.encoding), one.displacement]
                writer.writerow([link.kind, link.key, set_name(link.intent), *link.file.size, layout, *figures])


if __name__ == "__main__":
    sys.exit(main())
