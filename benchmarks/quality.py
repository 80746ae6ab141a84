"""Similarity of a derivative to its photo: SSIM and MS-SSIM of luma, PSNR of chroma, against a Lanczos reference.

The reference is the photo decoded at full size by the product's decoder and scaled by Pillow's Lanczos in one step,
without any encoder. numpy only; the product does not use this.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trr_pipelines.imaging.decode import decode
from trr_pipelines.imaging.geometry import Crop, Frame, Size, crop_frame
from trr_pipelines.imaging.orientation import oriented_image

Plane = NDArray[np.float32]

# Wang, Bovik, Sheikh, Simoncelli 2004: a Gaussian window of 11 pixels and deviation 1.5, constants for 8 bits.
_TAPS = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2)).astype(np.float32)
_TAPS /= _TAPS.sum()
_C1, _C2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)

# Wang, Simoncelli, Bovik 2003: weights of the five scales.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class Likeness:
    """1 is equal for both structural measures; PSNR in dB."""

    ssim: float
    ms_ssim: float
    chroma_psnr: float

    @staticmethod
    def mean(values: Iterable[Likeness]) -> Likeness:
        rows = np.array([(one.ssim, one.ms_ssim, one.chroma_psnr) for one in values])
        return Likeness(*(float(value) for value in rows.mean(axis=0)))


class Reference:
    """One photo at full size, or the frame of a crop of it, with the reference for each requested size."""

    def __init__(self, photo: Path, crop: Crop | None = None) -> None:
        picture = decode(photo.read_bytes())
        self._image = on_white(oriented_image(picture.image, picture.orientation))
        whole = Size(*self._image.size)
        frame = Frame(0, 0, *self._image.size) if crop is None else crop_frame(whole, crop)
        self._box = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
        self._scaled: dict[tuple[int, int], _Measured] = {}

    def scaled(self, width: int) -> Image.Image:
        """The photo at `width` pixels, or unscaled if it is narrower."""
        width = min(width, self._image.width)
        size = (width, max(1, round(self._image.height * width / self._image.width)))
        return self.at(size)

    def at(self, size: tuple[int, int]) -> Image.Image:
        """The photo, or its frame, at `size`."""
        return self._image.resize(size, Image.Resampling.LANCZOS, box=self._box)

    def likeness(self, derivative: bytes) -> Likeness:
        """Compares at the derivative's own size."""
        return self.compare(on_white(Image.open(io.BytesIO(derivative))))

    def compare(self, got: Image.Image) -> Likeness:
        """Compares a picture of mode RGB at its size."""
        if got.size not in self._scaled:
            self._scaled[got.size] = _Measured(self.at(got.size))
        return self._scaled[got.size].compare(got)


class _Measured:
    """A reference picture with the parts of the measures that depend on it alone."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def compare(self, got: Image.Image) -> Likeness:
        planes = _planes(got)
        scales = [_ssim(mine, theirs) for mine, theirs in zip(self._pyramid, _pyramid(planes[0]), strict=True)]
        structures = [structure for _, structure in scales[:-1]] + [scales[-1][0]]
        weights = _SCALE_WEIGHTS[: len(structures)]
        ms_ssim = np.prod([max(value, 1e-6) ** weight for value, weight in zip(structures, weights, strict=True)])
        error = np.mean([np.mean((a - b) ** 2) for a, b in zip(self._colours, planes[1:], strict=True)])
        return Likeness(scales[0][0], float(ms_ssim), float(10 * np.log10(255**2 / max(error, 1e-3))))

    @cached_property
    def _pyramid(self) -> list[_Side]:
        return _pyramid(_planes(self._image)[0])

    @cached_property
    def _colours(self) -> list[Plane]:
        return _planes(self._image)[1:]


class _Side:
    """Luma with its local mean and energy."""

    def __init__(self, luma: Plane) -> None:
        self.luma = luma
        self.mean = _blurred(luma)
        self.energy = _blurred(luma * luma)


def _pyramid(luma: Plane) -> list[_Side]:
    """Up to five scales, each half as large, as long as the window fits."""
    sides = [_Side(luma)]
    while len(sides) < len(_SCALE_WEIGHTS) and min(luma.shape) >= 48:
        height, width = (side // 2 * 2 for side in luma.shape)
        even = luma[:height, :width]
        luma = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / np.float32(4)
        sides.append(_Side(luma))
    return sides


def _ssim(a: _Side, b: _Side) -> tuple[float, float]:
    """Mean SSIM, and the mean of its contrast and structure term alone."""
    both = a.mean * b.mean
    squares = a.mean * a.mean + b.mean * b.mean
    covariance = _blurred(a.luma * b.luma) - both
    structure = (2 * covariance + _C2) / (a.energy + b.energy - squares + _C2)
    ssim = structure * (2 * both + _C1) / (squares + _C1)
    return float(ssim.mean()), float(structure.mean())


def _blurred(plane: Plane) -> Plane:
    """Windowed mean where the whole window fits; a plane that is too small is its own window."""
    if min(plane.shape) < _TAPS.size:
        return np.full((1, 1), plane.mean(), np.float32)
    for axis in (0, 1):
        length = plane.shape[axis] - _TAPS.size + 1
        view = np.moveaxis(plane, axis, 0)
        total = view[:length] * _TAPS[0]
        for at in range(1, _TAPS.size):
            total += view[at : at + length] * _TAPS[at]
        plane = np.moveaxis(total, 0, axis)
    return plane


def _planes(image: Image.Image) -> list[Plane]:
    return [np.asarray(band, np.float32) for band in image.convert("YCbCr").split()]


def on_white(image: Image.Image) -> Image.Image:
    """The picture on a white page, of mode RGB."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
