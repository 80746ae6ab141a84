"""Pixels of the sample photos: scenes with the statistics of photographs.

Photographs have an amplitude spectrum near 1/f, shapes of every size that occlude each other with edges between them
(the "dead leaves" model), smooth light, and grain. Every scene combines these parts. Files, formats and faults are in
`encodings` and `archive`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

# Scenes are composed at this size at most and enlarged. That is about as soft as a lens on a 24 Mpx sensor, and the
# whole set takes a few seconds.
COMPOSED_PIXELS = 1_500_000
TILE = 1024

Plane = NDArray[np.float32]
Colour = tuple[int, int, int]
Chosen = TypeVar("Chosen")

SKIES: Sequence[tuple[Colour, Colour]] = (
    ((66, 112, 176), (206, 220, 230)),
    ((70, 78, 122), (236, 178, 140)),
    ((120, 136, 152), (210, 212, 208)),
)
FOLIAGE: Sequence[Colour] = ((38, 62, 28), (72, 98, 40), (112, 132, 58), (58, 74, 50), (140, 120, 60), (30, 44, 26))
AUTUMN: Sequence[Colour] = ((150, 82, 34), (186, 120, 48), (112, 58, 32), (92, 84, 46), (62, 44, 34), (204, 156, 84))
STONE: Sequence[Colour] = ((128, 120, 112), (96, 90, 88), (168, 158, 144), (70, 68, 70), (148, 132, 116), (52, 50, 54))
SKIN: Sequence[Colour] = ((232, 190, 164), (198, 146, 114), (150, 102, 76), (102, 68, 52))
CLOTH: Sequence[Colour] = ((44, 52, 74), (120, 40, 48), (222, 214, 200), (52, 70, 62), (30, 30, 34))
PALETTES = (FOLIAGE, AUTUMN, STONE)
LAMPS: Sequence[Colour] = ((255, 196, 120), (120, 160, 255), (255, 110, 150), (240, 240, 230))


def photograph(scene: str, width: int, height: int, seed: int) -> Image.Image:
    """A picture of width × height pixels, mode RGB; the same arguments give the same pixels.

    `scene` is a key of `SCENES`.
    """
    rng = np.random.default_rng(seed)
    shrink = min(1.0, math.sqrt(COMPOSED_PIXELS / (width * height)))
    composed = SCENES[scene](rng, max(8, round(height * shrink)), max(8, round(width * shrink)))
    small = Image.fromarray(np.clip(composed, 0, 255).astype(np.uint8))
    return _with_grain(small, (width, height), rng)


def field(rng: np.random.Generator, height: int, width: int, slope: float = 1.4) -> Plane:
    """Random field (height, width), mean 0, deviation 1, whose amplitude falls as 1 / frequency^slope."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None, :] * width)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((height, width), dtype=np.float32))
    spectrum /= frequency**slope
    spectrum[0, 0] = 0.0
    plane = np.fft.irfft2(spectrum, s=(height, width)).astype(np.float32)
    return plane / max(float(plane.std()), 1e-6)


def _valley(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Sky, clouds and ridges that fade with distance, a textured slope in front."""
    top, low = (np.array(colour, np.float32) for colour in _pick(rng, SKIES))
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    picture = top + (low - top) * rows[:, :, None] * np.ones((1, width, 1), np.float32)
    clouds = np.clip(field(rng, height, width, 1.7) - 0.3, 0, 1.5)[:, :, None] / 1.5
    picture += (250 - picture) * clouds * 0.8
    texture = field(rng, height, width, 0.9)[:, :, None]
    palette = _pick(rng, PALETTES)
    ridges = 4
    for ridge in range(ridges):
        nearness = (ridge + 1) / ridges
        skyline = 0.42 + 0.13 * ridge + 0.05 * field(rng, 1, width, 1.3)
        mask = np.clip((rows - skyline) * height, 0, 1)[:, :, None]
        colour = np.array(_pick(rng, palette), np.float32)
        colour = low + (colour - low) * (0.25 + 0.75 * nearness)
        picture += (colour * (1 + 0.30 * nearness * texture) - picture) * mask
    return picture


def _leaves(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Overlapping leaves of every size, lit unevenly."""
    palette = _pick(rng, PALETTES)
    picture = _dead_leaves(rng, height, width, palette, count=900, smallest=0.012)
    light = 1 + 0.28 * field(rng, height, width, 1.6) + 0.10 * field(rng, height, width, 0.9)
    return picture * light[:, :, None]


def _portrait(rng: np.random.Generator, height: int, width: int) -> Plane:
    """A sitter without features, in front of an unfocused background, a third from the top."""
    palette = _pick(rng, PALETTES)
    blurred = _dead_leaves(rng, max(8, height // 24), max(8, width // 24), palette, count=160, smallest=0.05)
    picture = _enlarged(blurred, height, width)
    unit, middle = min(height, width), width * rng.uniform(0.35, 0.65)
    skin, cloth = _pick(rng, SKIN), _pick(rng, CLOTH)
    shapes: Sequence[tuple[Colour, float, float, float, float]] = (
        (cloth, 0.0, 1.06, 0.46, 0.42),
        (skin, 0.0, 0.62, 0.085, 0.16),
        ((44, 32, 28), 0.0, 0.36, 0.205, 0.235),
        (skin, 0.0, 0.42, 0.165, 0.22),
    )
    texture = field(rng, height, width, 1.1)[:, :, None]
    light = np.linspace(1.12, 0.72, width, dtype=np.float32)[None, :, None]
    for colour, dx, y, rx, ry in shapes:
        mask = _ellipse(height, width, middle + dx * unit, y * unit, rx * unit, ry * unit)[:, :, None]
        picture += (np.array(colour, np.float32) * light * (1 + 0.07 * texture) - picture) * mask
    return picture


def _stage(rng: np.random.Generator, height: int, width: int) -> Plane:
    """A dark hall with lamps, haze and the heads of an audience."""
    rows, columns = np.mgrid[0 : max(8, height // 4), 0 : max(8, width // 4)].astype(np.float32)
    unit = float(min(rows.shape))
    glow = np.full((*rows.shape, 3), 9.0, np.float32)
    for _ in range(9):
        x, y = rng.uniform(0, rows.shape[1]), rng.uniform(0, rows.shape[0] * 0.55)
        distance = np.hypot(columns - x, rows - y) / unit
        power = 170 * np.exp(-((distance / 0.035) ** 2)) + 60 * np.exp(-distance / 0.22)
        glow += power[:, :, None] * (np.array(_pick(rng, LAMPS), np.float32) / 255)
    picture = _enlarged(np.clip(glow, 0, 255), height, width)
    picture *= 1 + 0.16 * field(rng, height, width, 1.3)[:, :, None]
    for _ in range(26):
        size = rng.uniform(0.03, 0.07) * min(height, width)
        x, y = rng.uniform(0, width), height * rng.uniform(0.86, 1.02)
        picture *= 1 - 0.9 * _ellipse(height, width, x, y, size, size * 1.25)[:, :, None]
    return picture


def _shore(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Water, foam and sand seen from above."""
    level = np.linspace(0, 1, height, dtype=np.float32)[:, None] + 0.09 * field(rng, height, width, 1.8)
    stops = np.array([0.0, 0.3, 0.5, 0.52, 0.6, 1.0])
    colours = np.array(
        [(24, 78, 104), (62, 132, 146), (150, 190, 190), (176, 142, 112), (198, 160, 124), (224, 194, 158)], float
    )
    picture = np.stack([np.interp(level, stops, colours[:, channel]) for channel in range(3)], -1).astype(np.float32)
    foam = np.exp(-((np.abs(level - 0.5) / 0.03) ** 2)) * np.clip(field(rng, height, width, 0.9) + 0.6, 0, 1)
    picture += (246 - picture) * foam[:, :, None]
    return picture * (1 + 0.05 * field(rng, height, width, 0.7)[:, :, None])


SCENES: dict[str, Callable[[np.random.Generator, int, int], Plane]] = {
    "valley": _valley,
    "leaves": _leaves,
    "portrait": _portrait,
    "stage": _stage,
    "shore": _shore,
}


def _pick(rng: np.random.Generator, choices: Sequence[Chosen]) -> Chosen:
    return choices[int(rng.integers(len(choices)))]


def _dead_leaves(
    rng: np.random.Generator, height: int, width: int, palette: Sequence[Colour], *, count: int, smallest: float
) -> Plane:
    """Opaque shapes whose number falls with the cube of their size, each drawn over the previous ones."""
    unit = min(height, width)
    canvas = Image.new("RGB", (width, height), palette[0])
    draw = ImageDraw.Draw(canvas)
    corners = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    for _ in range(count):
        radius = unit * min(0.4, smallest / math.sqrt(rng.uniform(0.001, 1)))
        x, y, turn, slim = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, math.pi), rng.uniform(0.3, 0.8)
        along, across = radius * np.cos(corners), radius * slim * np.sin(corners)
        outline = zip(
            x + along * math.cos(turn) - across * math.sin(turn),
            y + along * math.sin(turn) + across * math.cos(turn),
            strict=True,
        )
        shade = rng.uniform(0.7, 1.25)
        red, green, blue = (min(255, round(part * shade)) for part in _pick(rng, palette))
        draw.polygon([(float(a), float(b)) for a, b in outline], fill=(red, green, blue))
    return np.asarray(canvas.filter(ImageFilter.GaussianBlur(0.8)), np.float32)


def _ellipse(height: int, width: int, x: float, y: float, rx: float, ry: float) -> Plane:
    """Coverage 0..1 of an ellipse, with an edge about two pixels soft."""
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).ellipse((x - rx, y - ry, x + rx, y + ry), fill=255)
    return np.asarray(mask.filter(ImageFilter.BoxBlur(1)), np.float32) / np.float32(255)


def _enlarged(picture: Plane, height: int, width: int) -> Plane:
    small = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def _with_grain(small: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """`small` enlarged to `size`, with fine structure where it has structure, and grain everywhere."""
    grey = small.convert("L")
    relief = ImageChops.difference(grey, grey.filter(ImageFilter.BoxBlur(4))).filter(ImageFilter.BoxBlur(6))
    mask = relief.point([min(255, level * 16) for level in range(256)]).resize(size, Image.Resampling.BILINEAR)
    large = small.resize(size, Image.Resampling.BICUBIC)
    side = (min(TILE, size[1]), min(TILE, size[0]))
    grain = 2.0 * rng.standard_normal((*side, 1), dtype=np.float32) + rng.standard_normal((*side, 3), dtype=np.float32)
    rough = grain + 7.0 * field(rng, *side, 0.8)[:, :, None]
    fine_picture = ImageChops.add(large, _tiled(grain, size), 1, -128)
    return Image.composite(ImageChops.add(large, _tiled(rough, size), 1, -128), fine_picture, mask)


def _tiled(pattern: Plane, size: tuple[int, int]) -> Image.Image:
    """`pattern` around middle grey, repeated over `size`."""
    tile = Image.fromarray(np.clip(pattern + 128.5, 0, 255).astype(np.uint8))
    picture = Image.new("RGB", size)
    for y in range(0, size[1], tile.height):
        for x in range(0, size[0], tile.width):
            picture.paste(tile, (x, y))
    return picture
