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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from trr_pipelines.imaging.autocrop import crop_by_saliency, proposal_size, propose_crop
from trr_pipelines.imaging.geometry import Crop, Frame, Size, crop_frame

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
# Hair reaches about this far above a face box, in heights of the box.
HAIR = 0.25
# A box may exceed the frame by this share of its side, because annotations are not more exact.
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
    """The proposal for a picture, and its duration in seconds."""

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
        """The number of faces that the best frame at zoom 1 keeps."""
        middles = [100 * step / STEPS for step in range(STEPS + 1)]
        return max(self.kept(Crop("auto", middle, middle, 1), hair=hair) for middle in middles)


def main() -> None:
    parser = argparse.ArgumentParser(description="Share of faces that proposed crops keep.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--misses", action="store_true", help="name the pictures that lose a face they could keep")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of frames and faces")
    options = parser.parse_args()
    proposals = list(propose_all(options.folder))
    report(proposals)
    if options.misses:
        for proposal in proposals:
            if proposal.kept(proposal.crop) < proposal.most():
                print(f"  {proposal.name}: {proposal.kept(proposal.crop)} of {proposal.most()} ({proposal.reason})")
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
    picture, size = open_picture(path)
    start = time.process_time()
    crop, reason = propose_crop(size, picture)
    return Proposal(path.name, size, faces, crop, reason, time.process_time() - start)


def open_picture(path: Path) -> tuple[Image.Image, Size]:
    """The reduced picture used for proposals, and the size of the original."""
    picture = ImageOps.exif_transpose(Image.open(path))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    size = Size(*picture.size)
    small = proposal_size(size)
    return picture.resize((small.width, small.height), Image.Resampling.BOX, reducing_gap=1.0), size


def report(proposals: Sequence[Proposal]) -> None:
    with_faces = [proposal for proposal in proposals if proposal.faces]
    total = sum(len(proposal.faces) for proposal in with_faces)
    if total:
        print(f"{total} faces in {len(with_faces)} pictures: wholly inside the crop, and with their hair")
        crops: dict[str, Callable[[Proposal], Crop]] = {
            "proposed": lambda proposal: proposal.crop,
            "centred": lambda _: Crop("auto", 50, 50, 1),
            "upper third": lambda proposal: crop_by_saliency(proposal.size, np.zeros((9, 9)))[0],
        }
        for name, crop_of in crops.items():
            kept, whole = (
                sum(proposal.kept(crop_of(proposal), hair=hair) for proposal in with_faces) for hair in (False, True)
            )
            print(f"  {name:12} {kept / total:6.1%} {whole / total:6.1%}")
        most, most_whole = (sum(proposal.most(hair=hair) for proposal in with_faces) for hair in (False, True))
        print(f"  {'at most':12} {most / total:6.1%} {most_whole / total:6.1%}")
    without = [proposal for proposal in proposals if not proposal.faces]
    if without:
        false = [f"{proposal.name} ({proposal.reason})" for proposal in without if "face" in proposal.reason]
        print(f"{len(without)} pictures without a face, false faces in {len(false)}: {', '.join(false) or 'none'}")
    print(
        "reasons:",
        ", ".join(f"{reason} × {n}" for reason, n in Counter(proposal.reason for proposal in proposals).most_common()),
    )
    times = sorted(proposal.seconds for proposal in proposals)
    print(f"CPU ms per picture: median {statistics.median(times) * 1000:.0f}, most {times[-1] * 1000:.0f}")


def contact_sheet(folder: Path, proposals: Sequence[Proposal], columns: int = 9) -> Image.Image:
    """Each picture with its faces in green and the proposed frame in red."""
    rows = -(-len(proposals) // columns)
    sheet = Image.new("RGB", (columns * CELL, rows * CELL))
    for number, proposal in enumerate(proposals):
        picture, _ = open_picture(folder / proposal.name)
        picture = picture.convert("RGB")
        picture.thumbnail((CELL - 6, CELL - 6))
        scale = picture.width / proposal.size.width
        draw = ImageDraw.Draw(picture)
        for face in proposal.faces:
            draw.rectangle(scaled(face.left, face.top, face.width, face.height, scale), outline="lime")
        frame = crop_frame(proposal.size, proposal.crop)
        draw.rectangle(scaled(frame.left, frame.top, frame.width, frame.height, scale), outline="red", width=3)
        sheet.paste(picture, (number % columns * CELL, number // columns * CELL))
    return sheet


def scaled(left: float, top: float, width: float, height: float, scale: float) -> tuple[float, float, float, float]:
    return left * scale, top * scale, (left + width) * scale - 1, (top + height) * scale - 1


if __name__ == "__main__":
    main()
