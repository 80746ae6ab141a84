"""How many faces do proposed crops keep, compared with crops without face detection?

    .venv/bin/python benchmarks/faces.py FOLDER [--misses] [--sheet OUT.png]

FOLDER holds pictures and `faces.csv` with the columns file, left, top, width, height: one row for each face, in pixels
of the picture as shown. Pictures without a row have no face, and detections in them are counted as false; without a
`faces.csv`, this applies to all pictures.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from trr_pipelines.imaging.autocrop import proposal_size, propose_crop
from trr_pipelines.imaging.geometry import Crop, Frame, Size, crop_frame

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
# Hair reaches about this far above a face box, in heights of the box.
HAIR = 0.25
# A box may pass the frame by this part of its side: annotations are not more exact.
TOLERANCE = 0.02
STEPS = 200
CELL = 220


@dataclass(frozen=True)
class Box:
    """A face or a head, in pixels of the picture."""

    left: float
    top: float
    width: float
    height: float

    def with_hair(self) -> Box:
        hair = min(self.top, self.height * HAIR)
        return Box(self.left, self.top - hair, self.width, self.height + hair)

    def is_in(self, frame: Frame) -> bool:
        across, down = self.width * TOLERANCE, self.height * TOLERANCE
        return (
            self.left >= frame.left - across
            and self.top >= frame.top - down
            and self.left + self.width <= frame.left + frame.width + across
            and self.top + self.height <= frame.top + frame.height + down
        )


@dataclass(frozen=True)
class Proposal:
    """What was proposed for one picture, and how long it took."""

    name: str
    size: Size
    faces: list[Box]
    crop: Crop
    reason: str
    seconds: float

    def kept(self, crop: Crop, *, hair: bool = False) -> int:
        frame = crop_frame(self.size, crop)
        return sum((face.with_hair() if hair else face).is_in(frame) for face in self.faces)

    def most(self, *, hair: bool = False) -> int:
        """As many as the best of all frames at zoom 1 could keep."""
        ways = [100 * step / STEPS for step in range(STEPS + 1)]
        return max(self.kept(Crop("auto", way, way, 1), hair=hair) for way in ways)


def main() -> None:
    parser = argparse.ArgumentParser(description="Share of faces that proposed crops keep.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--misses", action="store_true", help="name the pictures that lose a face they could keep")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of frames and faces")
    options = parser.parse_args()
    proposals = list(propose_all(options.folder))
    report(proposals)
    if options.misses:
        for one in proposals:
            if one.kept(one.crop) < one.most():
                print(f"  {one.name}: {one.kept(one.crop)} of {one.most()} ({one.reason})")
    if options.sheet:
        contact_sheet(options.folder, proposals).save(options.sheet)


def propose_all(folder: Path) -> list[Proposal]:
    faces: dict[str, list[Box]] = {}
    annotations = folder / "faces.csv"
    if annotations.exists():
        with annotations.open(newline="") as lines:
            for row in csv.DictReader(lines):
                box = Box(*(float(row[column]) for column in ("left", "top", "width", "height")))
                faces.setdefault(row["file"], []).append(box)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    return [proposal(path, faces.get(path.name, [])) for path in files]


def proposal(path: Path, faces: list[Box]) -> Proposal:
    picture, size = look(path)
    start = time.process_time()
    crop, reason = propose_crop(size, picture)
    return Proposal(path.name, size, faces, crop, reason, time.process_time() - start)


def look(path: Path) -> tuple[Image.Image, Size]:
    """The picture as a proposal sees it, and the size of the whole."""
    picture = ImageOps.exif_transpose(Image.open(path))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    size = Size(*picture.size)
    small = proposal_size(size)
    return picture.resize((small.width, small.height), Image.Resampling.BOX, reducing_gap=1.0), size


def report(proposals: Sequence[Proposal]) -> None:
    with_faces = [one for one in proposals if one.faces]
    total = sum(len(one.faces) for one in with_faces)
    if total:
        print(f"{total} faces in {len(with_faces)} pictures: wholly inside the crop, and with their hair")
        for name, crop in (
            ("proposed", None),
            ("centred", Crop("auto", 50, 50, 1)),
            ("upper third", Crop("auto", 50, 33.3333, 1)),
        ):
            kept, whole = (sum(one.kept(crop or one.crop, hair=hair) for one in with_faces) for hair in (False, True))
            print(f"  {name:12} {kept / total:6.1%} {whole / total:6.1%}")
        most, most_whole = (sum(one.most(hair=hair) for one in with_faces) for hair in (False, True))
        print(f"  {'at most':12} {most / total:6.1%} {most_whole / total:6.1%}")
    without = [one for one in proposals if not one.faces]
    if without:
        false = [f"{one.name} ({one.reason})" for one in without if "face" in one.reason]
        print(f"{len(without)} pictures without a face, false faces in {len(false)}: {', '.join(false) or 'none'}")
    print(
        "reasons:", ", ".join(f"{reason} × {n}" for reason, n in Counter(one.reason for one in proposals).most_common())
    )
    times = sorted(one.seconds for one in proposals)
    print(f"CPU ms per picture: median {statistics.median(times) * 1000:.0f}, most {times[-1] * 1000:.0f}")


def contact_sheet(folder: Path, proposals: Sequence[Proposal], columns: int = 9) -> Image.Image:
    """Each picture with its faces in green and the proposed frame in red."""
    rows = -(-len(proposals) // columns)
    sheet = Image.new("RGB", (columns * CELL, rows * CELL))
    for number, one in enumerate(proposals):
        picture, _ = look(folder / one.name)
        picture = picture.convert("RGB")
        picture.thumbnail((CELL - 6, CELL - 6))
        scale = picture.width / one.size.width
        draw = ImageDraw.Draw(picture)
        for face in one.faces:
            draw.rectangle(scaled(face.left, face.top, face.width, face.height, scale), outline="lime")
        frame = crop_frame(one.size, one.crop)
        draw.rectangle(scaled(frame.left, frame.top, frame.width, frame.height, scale), outline="red", width=3)
        sheet.paste(picture, (number % columns * CELL, number // columns * CELL))
    return sheet


def scaled(left: float, top: float, width: float, height: float, scale: float) -> tuple[float, float, float, float]:
    return left * scale, top * scale, (left + width) * scale - 1, (top + height) * scale - 1


if __name__ == "__main__":
    main()
