"""HDR pictures as SDR: PQ and HLG to display light, tone-mapped to sRGB.

Sources: ITU-R BT.2100 (curves of PQ and HLG), ITU-R BT.2408 (203 cd/m² as the reference white), SMPTE ST 2094-50
(reference white tone mapping), which Chromium applies as well.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final, Literal

import numpy as np
from PIL import Image, ImageFilter

from trr_pipelines.imaging.colour_signals import ColourSignal
from trr_pipelines.imaging.icc import from_chromaticities, srgb_curve, srgb_encoded

_REFERENCE_WHITE: Final = 203.0
_HLG_PEAK: Final = 1000.0
_HLG_SYSTEM_GAMMA: Final = 1.2

# Points of the table on each axis; between them, values are interpolated.
_POINTS: Final = 65

# The highlights above the reference white are a quadratic Bézier curve with its middle point at this share of the way.
_KAPPA: Final = 0.65
# With a peak of 1,000 cd/m² or more, the reference white is mapped to this share of the SDR white.
_LEAST_WHITE: Final = 0.5

_BT2020 = from_chromaticities(
    (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.329), (srgb_curve, srgb_curve, srgb_curve)
)
_BT709 = from_chromaticities((0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.329), (srgb_curve, srgb_curve, srgb_curve))
_BT2020_LUMINANCE: Final = np.array([0.2627, 0.6780, 0.0593])


def tone_mapped(image: Image.Image, signal: ColourSignal) -> Image.Image:
    """An RGB or RGBA picture in PQ or HLG as sRGB in the same mode."""
    assert signal.hdr is not None
    table = _table(signal.hdr, signal.profile.colourants.tobytes(), signal.peak)
    if image.mode == "RGBA":
        shown = image.convert("RGB").filter(table)
        shown.putalpha(image.getchannel("A"))
        return shown
    return image.filter(table)


@cache
def _table(hdr: Literal["pq", "hlg"], colourants: bytes, peak: float) -> ImageFilter.Color3DLUT:
    assert _BT2020 is not None
    assert _BT709 is not None
    to_xyz = np.frombuffer(colourants).reshape(3, 3)
    steps = np.linspace(0, 1, _POINTS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    encoded = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    light = _pq_light(encoded) if hdr == "pq" else _hlg_scene(encoded)
    light = light @ (np.linalg.inv(_BT2020.colourants) @ to_xyz).T
    if hdr == "hlg":
        luminance = np.maximum(light @ _BT2020_LUMINANCE, 0)[:, None]
        light = light * luminance ** (_HLG_SYSTEM_GAMMA - 1) * (_HLG_PEAK / _REFERENCE_WHITE)
    brightest = np.maximum(light.max(axis=1, keepdims=True), 1e-9)
    mapped = light * (_tone_curve(brightest, peak / _REFERENCE_WHITE) / brightest)
    linear = mapped @ (np.linalg.inv(_BT709.colourants) @ _BT2020.colourants).T
    return ImageFilter.Color3DLUT(_POINTS, srgb_encoded(linear).astype(np.float32).reshape(-1))


def _pq_light(encoded: Any) -> Any:
    """Display light relative to the reference white."""
    power = encoded ** (1 / 78.84375)
    ratio = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    return ratio ** (1 / 0.1593017578125) * (10_000 / _REFERENCE_WHITE)


def _hlg_scene(encoded: Any) -> Any:
    """Scene light from 0 to 1."""
    bright = (np.exp((encoded - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(encoded <= 0.5, encoded**2 / 3, bright)


def _tone_curve(light: Any, peak: float) -> Any:
    """Light relative to the reference white as light relative to the SDR white; `peak` is mapped to the SDR white.

    The reference white is mapped to 0.5 for a peak of 1,000 cd/m² or more. A peak up to the reference white needs no
    mapping: channels above it are clipped by the caller.
    """
    if peak <= 1:
        return light
    share = math.log2(peak) / math.log2(_HLG_PEAK / _REFERENCE_WHITE)
    white = 1 - (1 - _LEAST_WHITE) * min(share, 1)
    middle_x = (1 - _KAPPA) + _KAPPA / white
    middle_y = (1 - _KAPPA) * white + _KAPPA
    a, b, c = 1 - 2 * middle_x + peak, 2 * (middle_x - 1), np.clip(light, 1, peak) - 1
    at = 2 * c / (b + np.sqrt(np.maximum(b * b + 4 * a * c, 0)))
    curve = white * (1 - at) ** 2 + 2 * middle_y * at * (1 - at) + at**2
    return np.where(light <= 1, light * white, curve)
