"""Colour that a file describes without an ICC profile: by code points, or by a gamma and chromaticities.

Sources: ITU-T H.273 for the code points of PNG (cICP), AVIF and HEIC (nclx); PNG, third edition, 11.3.2 for gAMA and
cHRM. Where these leave a choice, the result is that of Chromium.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from trr_pipelines.imaging.headers import base_media, jpeg, png
from trr_pipelines.imaging.icc import Curve, MatrixProfile, from_chromaticities, srgb_curve

DEFAULT_PEAK: Final = 1000.0

_SRGB_POINT, _UNSPECIFIED, _PQ, _HLG = 13, 2, 16, 18
_BT709, _D65 = 1, (0.3127, 0.329)

# x and y of red, green, blue and white, by code point.
_PRIMARIES: Final = {
    1: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65),
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *_D65),
    22: (0.63, 0.34, 0.295, 0.605, 0.155, 0.077, *_D65),
}


def _power(gamma: float) -> Curve:
    return lambda encoded: encoded**gamma


def _smpte_240(encoded: Any) -> Any:
    return np.where(encoded < 0.0913, encoded / 4, ((encoded + 0.1115) / 1.1115) ** (1 / 0.45))


def _smpte_428(encoded: Any) -> Any:
    return np.minimum(encoded**2.6 * 52.37 / 48, 1)


_CURVES: Final[dict[int, Curve]] = {
    4: _power(2.2),
    5: _power(2.8),
    7: _smpte_240,
    8: _power(1),
    11: _power(2.4),
    _SRGB_POINT: srgb_curve,
    17: _smpte_428,
}
# The curves of video cameras. Chromium shows them with the gamma of a studio display in PNG, as sRGB in AVIF.
_VIDEO_CURVES: Final = (1, 6, 14, 15)
_STUDIO_DISPLAY: Final = _power(2.4)

# A gamma without chromaticities that is this close to 1/2.2 means sRGB. Source: libpng's PNG_GAMMA_THRESHOLD.
_SAME_GAMMA: Final = 0.05


@dataclass(frozen=True)
class ColourSignal:
    """The colour of the samples: primaries and curves, or an HDR curve with the primaries' chromaticities.

    `peak`: the luminance of an HDR picture's brightest content, in cd/m².
    """

    profile: MatrixProfile
    hdr: Literal["pq", "hlg"] | None = None
    peak: float = DEFAULT_PEAK


@dataclass(frozen=True)
class SignalledColour:
    """What a file describes without an ICC profile. `overrides_profile`: its ICC profile is ignored."""

    signal: ColourSignal | None = None
    overrides_profile: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceColour:
    """The colour of a file's samples: an ICC profile, a signal, or neither for sRGB."""

    profile: bytes | None
    signal: ColourSignal | None
    warnings: tuple[str, ...]


def source_colour(image_format: str, data: bytes, profile: bytes | None) -> SourceColour:
    """The colour of a file: a profile takes precedence over every other description but cICP."""
    reader: Callable[[bytes], SignalledColour] | None = _READERS.get(image_format)
    described = SignalledColour() if reader is None else reader(data)
    if profile and not described.overrides_profile:
        return SourceColour(profile, None, ())
    return SourceColour(None, described.signal, described.warnings)


def _of_jpeg(data: bytes) -> SignalledColour:
    if jpeg.is_adobe_rgb(data):
        return SignalledColour(warnings=("EXIF says Adobe RGB, without a profile: shown as sRGB, as browsers do",))
    return SignalledColour()


def _of_png(data: bytes) -> SignalledColour:
    chunks = png.colour_chunks(data)
    if chunks.code_points is not None:
        primaries, transfer, matrix, is_full_range = chunks.code_points
        if _UNSPECIFIED in (primaries, transfer):
            return SignalledColour()
        found = _of_code_points(primaries, transfer, _STUDIO_DISPLAY, chunks.peak)
        ignored = () if matrix == 0 and is_full_range == 1 else ("colour description: matrix and range are ignored",)
        is_understood = not found.warnings
        return SignalledColour(found.signal, is_understood, found.warnings + ignored)
    if chunks.is_srgb or not chunks.gamma:
        return SignalledColour()
    if chunks.chromaticities is None and abs(chunks.gamma * 2.2 - 1) < _SAME_GAMMA:
        return SignalledColour()
    curve = _power(1 / chunks.gamma)
    profile = from_chromaticities(chunks.chromaticities or _PRIMARIES[_BT709], (curve, curve, curve))
    if profile is None:
        return SignalledColour(warnings=("gamma and chromaticities ignored: they describe no colours",))
    return SignalledColour(ColourSignal(profile))


def _of_base_media(data: bytes) -> SignalledColour:
    points = base_media.code_points(data)
    if points is None:
        return SignalledColour()
    return _of_code_points(*points, srgb_curve, base_media.peak_luminance(data))


def _of_code_points(primaries: int, transfer: int, video_curve: Curve, peak: float) -> SignalledColour:
    primaries = _BT709 if primaries == _UNSPECIFIED else primaries
    transfer = _SRGB_POINT if transfer == _UNSPECIFIED else transfer
    xy = _PRIMARIES.get(primaries)
    curve = video_curve if transfer in _VIDEO_CURVES else _CURVES.get(transfer)
    hdr: Literal["pq", "hlg"] | None = "pq" if transfer == _PQ else "hlg" if transfer == _HLG else None
    if xy is None or (curve is None and hdr is None):
        unknown = f"colour description ignored: primaries {primaries}, transfer characteristics {transfer}"
        return SignalledColour(warnings=(unknown,))
    if primaries == _BT709 and curve is srgb_curve:
        return SignalledColour()
    curve = curve or srgb_curve
    profile = from_chromaticities(xy, (curve, curve, curve))
    assert profile is not None
    # The display light of HLG is defined for a peak of 1,000 cd/m².
    return SignalledColour(ColourSignal(profile, hdr, peak if hdr == "pq" and peak else DEFAULT_PEAK))


_READERS: Final = {"jpeg": _of_jpeg, "png": _of_png, "avif": _of_base_media, "heic": _of_base_media}
