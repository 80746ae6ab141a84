"""Photos per second, bytes and similarity of our rendering, pyvips' and sharp's, with the same photos and outputs.

    python benchmarks/compare.py [--photos FOLDER] [--rounds 5] [--effort 2] [--json FILE]

Every side is a separate process (`sides/`) that reads the photos from disk, makes the six base outputs of each (two
formats at three sizes, an opaque alpha channel dropped) in memory, repeatedly on request, in turns with the others.
Results are medians. Competitors use shrink-on-load, decode once, and process as many photos at a time as is fastest on
two cores. Without FOLDER, the sample archive is generated and used.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from competitors import BENCH, HERE, install_pyvips, install_sharp
from quality import Likeness, Reference

from trr_pipelines.errors import PermanentError
from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.recipes import BASE
from trr_pipelines.samples import write_samples

SIDES = HERE / "sides"
LOSSY = (".webp", ".jpeg")
OURS = {target.key: target.quality for target in BASE.targets}


@dataclass
class Side:
    """One renderer: its running process and what its rounds measured."""

    name: str
    process: subprocess.Popen[str]
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    bytes: int = 0

    def round(self, folder: Path | None = None) -> None:
        """Renders everything once; into `folder` when given, else outputs are dropped."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{folder or ''}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} stopped with exit code {self.process.wait()}")
        measured = json.loads(answer)
        self.bytes = measured["bytes"]
        if folder is None:
            self.seconds.append(measured["seconds"])
            self.cpu_seconds.append(measured["cpu_seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Our rendering beside pyvips and sharp.")
    parser.add_argument("--photos", type=Path, help="folder of photos; without it, the sample archive")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each side (default 5)")
    parser.add_argument("--effort", type=int, default=BASE.encoder.webp_method, help="competitors' WebP effort")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()

    photos = usable(arguments.photos or write_samples(BENCH / "samples").parent)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trr-bench-")))
        listing = scratch / "photos.txt"
        listing.write_text("".join(f"{photo}\n" for photo in photos))
        sides = [Side(name, stack.enter_context(popen)) for name, popen in started(listing, arguments.effort)]
        try:
            kept = {side.name: scratch / side.name for side in sides}
            for side in sides:
                kept[side.name].mkdir()
                side.round(kept[side.name])
            for number in range(arguments.rounds):
                for side in sides[number % len(sides) :] + sides[: number % len(sides)]:
                    side.round()
                print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        finally:
            for side in sides:
                side.process.kill()
        likeness = measured_likeness(photos, kept)
        steps = json.loads(
            subprocess.run(
                [sys.executable, str(SIDES / "ours.py"), str(listing), "--profile"], check=True, stdout=subprocess.PIPE
            ).stdout
        )
    figures = report(photos, sides, likeness, steps)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def usable(folder: Path) -> list[Path]:
    """The valid photos of `folder`: the sample archive contains faulty files on purpose."""
    if not folder.is_dir():
        sys.exit(f"{folder} is not a folder")
    photos = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            inspect(path.read_bytes())
        except PermanentError:
            continue
        photos.append(path.resolve())
    if not photos:
        sys.exit(f"no photo in {folder}")
    return photos


def started(
    listing: Path, effort: int, qualities: Mapping[str, int] = OURS
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Starts every side; the competitors with these qualities and this WebP effort."""
    by_width = sorted(BASE.targets, key=lambda target: -target.width)
    targets = json.dumps([(target.key, target.width, qualities[target.key]) for target in by_width])

    def start(*command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        )

    yield "ours", start(sys.executable, str(SIDES / "ours.py"), str(listing))
    yield "pyvips", start(str(install_pyvips()), str(SIDES / "vips.py"), str(listing), targets, str(effort))
    node = install_sharp()
    if node is None:
        print("sharp is left out: Node.js (npm) is not installed", file=sys.stderr)
        return
    yield "sharp", start("node", str(SIDES / "sharp.mjs"), str(listing), targets, str(effort), str(node))


def measured_likeness(photos: list[Path], kept: dict[str, Path]) -> dict[str, Likeness]:
    """The mean over all lossy outputs of every side."""
    with ProcessPoolExecutor() as processes:
        rows = list(processes.map(_likeness_of_photo, photos, [kept] * len(photos)))
    return {name: Likeness.mean(one for row in rows for one in row[name]) for name in kept}


def _likeness_of_photo(photo: Path, kept: dict[str, Path]) -> dict[str, list[Likeness]]:
    reference = Reference(photo)
    return {
        name: [
            reference.likeness(output.read_bytes())
            for output in sorted(folder.glob(f"{photo.name}.*"))
            if output.suffix in LOSSY
        ]
        for name, folder in kept.items()
    }


def report(
    photos: list[Path], sides: list[Side], likeness: dict[str, Likeness], steps: dict[str, float]
) -> dict[str, object]:
    rates = {side.name: len(photos) / statistics.median(side.seconds) for side in sides}
    ours, others = sides[0], sides[1:]
    fastest = max(others, key=lambda side: rates[side.name])
    # Round by round, so that other load on the machine affects both.
    ratios = [theirs / mine for mine, theirs in zip(ours.seconds, fastest.seconds, strict=True)]
    cpu = statistics.median(ours.cpu_seconds)
    codecs = steps["decode"] + steps["encode"]
    share = min(1.0, codecs / cpu)

    print(f"{len(photos)} photos, {len(ours.seconds)} rounds in turns, {os.cpu_count()} cores, medians\n")
    print(f"{'':8}{'photos/s':>10}{'CPU s':>8}{'MB':>9}{'SSIM':>9}{'MS-SSIM':>9}{'chroma dB':>11}")
    for side in sides:
        like = likeness[side.name]
        print(
            f"{side.name:8}{rates[side.name]:10.2f}{statistics.median(side.cpu_seconds):8.2f}{side.bytes / 1e6:9.2f}"
            f"{like.ssim:9.4f}{like.ms_ssim:9.4f}{like.chroma_psnr:11.2f}"
        )
    print(f"\nratio to the faster ({fastest.name}): {statistics.median(ratios):.2f}×")
    cheapest = min(others, key=lambda side: statistics.median(side.cpu_seconds))
    cpu_ratio = statistics.median(cheapest.cpu_seconds) / cpu
    print(
        f"photos per second of CPU, to the cheaper ({cheapest.name}): {cpu_ratio:.2f}×, whatever else the machine does"
    )
    print(
        "CPU of rendering: "
        + ", ".join(f"{name} {steps[name] / steps['total']:.0%}" for name in ("decode", "resize", "encode"))
        + f"; codec floor {rates['ours'] / share:.2f} photos/s, share reached {share:.0%}"
    )
    return {
        "photos": len(photos),
        "photos_per_second": rates,
        "cpu_seconds": {side.name: statistics.median(side.cpu_seconds) for side in sides},
        "bytes": {side.name: side.bytes for side in sides},
        "ssim": {name: like.ssim for name, like in likeness.items()},
        "ms_ssim": {name: like.ms_ssim for name, like in likeness.items()},
        "ratio_to_fastest": statistics.median(ratios),
        "cpu_ratio_to_cheapest": cpu_ratio,
        "codec_floor_share": share,
        "cpu_by_step": steps,
    }


if __name__ == "__main__":
    main()
