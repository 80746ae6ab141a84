"""RGB profiles of three colourants and three curves: read from ICC profiles, and written as ICC profiles for littlecms.

Source: ICC.1:2022, sections 8.3.3 (three-component matrix profiles), 10.6 (curves) and 10.18 (parametric curves).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Curve = Callable[[Any], Any]
"""Encoded samples from 0 to 1 as linear light from 0 to 1, both float arrays."""

# Entries of a written curve: linear interpolation between them changes no 8-bit value.
_ENTRIES: Final = 4096
_HEADER_BYTES: Final = 128
_D50: Final = (0.9642, 1.0, 0.8249)
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_curve(encoded: Any) -> Any:
    """The curve of sRGB. Source: IEC 61966-2-1."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def srgb_encoded(linear: Any) -> Any:
    """The inverse of `srgb_curve`, clipped to 0 to 1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class MatrixProfile:
    """`colourants`: XYZ of red, green and blue as columns, relative to D50; `curves`: of red, green and blue."""

    colourants: Any
    curves: tuple[Curve, Curve, Curve]

    def with_srgb_curves(self) -> MatrixProfile:
        """The profile of samples that `curves` have decoded and the curve of sRGB has encoded again."""
        return MatrixProfile(self.colourants, (srgb_curve, srgb_curve, srgb_curve))

    def to_bytes(self) -> bytes:
        """An ICC profile of version 2."""
        tags = {b"wtpt": _xyz_tag(_D50), b"cprt": b"text" + bytes(5), b"desc": b"desc" + bytes(90)}
        for index, colour in enumerate((b"r", b"g", b"b")):
            tags[colour + b"XYZ"] = _xyz_tag(self.colourants[:, index])
            tags[colour + b"TRC"] = _curve_tag(self.curves[index])
        table, body, at = b"", b"", _HEADER_BYTES + 4 + 12 * len(tags)
        for name, content in tags.items():
            padded = content + bytes(-len(content) % 4)
            table += name + struct.pack(">II", at + len(body), len(content))
            body += padded
        size = at + len(body)
        header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
        header += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
        return header.ljust(_HEADER_BYTES, b"\0") + struct.pack(">I", len(tags)) + table + body


def matrix_profile(profile: bytes) -> MatrixProfile | None:
    """The colourants and curves of an ICC profile; None if it is of another kind, or damaged."""
    try:
        tags = _tags(profile)
        if b"A2B0" in tags or profile[16:20] != b"RGB " or profile[20:24] != b"XYZ ":
            return None
        colourants = np.stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        red, green, blue = (_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    except (KeyError, ValueError, IndexError, struct.error):
        return None
    return MatrixProfile(colourants, (red, green, blue))


def grey_curve(profile: bytes) -> Curve | None:
    """The curve of a grey ICC profile; None if it is of another kind, or damaged."""
    try:
        return _curve(_tags(profile)[b"kTRC"]) if profile[16:20] == b"GRAY" else None
    except (KeyError, ValueError, IndexError, struct.error):
        return None


def from_chromaticities(xy: Sequence[float], curves: tuple[Curve, Curve, Curve]) -> MatrixProfile | None:
    """The profile of primaries given by x and y of red, green, blue and white; None if they span no colours."""
    points = np.array(xy, dtype=np.float64).reshape(4, 2)
    if not (points[:, 1] > 0).all():
        return None
    xyz = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(axis=1)) / points[:, 1]])
    try:
        to_xyz = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    except np.linalg.LinAlgError:
        return None
    cones = _BRADFORD @ xyz[:, 3]
    if not (cones > 0).all():
        return None
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ np.array(_D50) / cones) @ _BRADFORD
    return MatrixProfile(adapted @ to_xyz, curves)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    tags = {}
    for at in range(_HEADER_BYTES + 4, _HEADER_BYTES + 4 + 12 * min(count, 200), 12):
        name, offset, size = struct.unpack_from(">4sII", profile, at)
        tags[name] = profile[offset : offset + size]
    return tags


def _xyz(tag: bytes) -> Any:
    if tag[:4] != b"XYZ ":
        raise ValueError(tag[:4])
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65_536


def _curve(tag: bytes) -> Curve:
    """Raises ValueError, IndexError or struct.error if it is no valid curve."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda encoded: encoded
        if count == 1:
            gamma = struct.unpack_from(">H", tag, 12)[0] / 256
            return lambda encoded: encoded**gamma
        table = np.frombuffer(tag, ">u2", count, 12) / 65_535
        return lambda encoded: np.interp(encoded, np.linspace(0, 1, count), table)
    if tag[:4] != b"para":
        raise ValueError(tag[:4])
    (kind,) = struct.unpack_from(">H", tag, 8)
    values = [value / 65_536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)]
    return _parametric(kind, values)


def _parametric(kind: int, values: Sequence[float]) -> Curve:
    """Section 10.18: Y = (aX + b)^g + e from X = d on, and cX + f below; kinds 0 to 4 define more and more of them."""
    gamma, a, b = (*values, 1.0, 0.0)[:3] if kind == 0 else values[:3]
    c = values[3] if kind >= 3 else 0.0
    d = values[4] if kind >= 3 else (-b / a if kind and a else 0.0)
    e = values[5] if kind == 4 else (values[3] if kind == 2 else 0.0)
    f = values[6] if kind == 4 else (values[3] if kind == 2 else 0.0)

    def curve(encoded: Any) -> Any:
        upper = np.maximum(a * encoded + b, 0) ** gamma + e
        return np.clip(np.where(encoded >= d, upper, c * encoded + f), 0, 1)

    return curve


def _xyz_tag(xyz: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, xyz))


def _curve_tag(curve: Curve) -> bytes:
    samples = np.clip(curve(np.linspace(0, 1, _ENTRIES)), 0, 1)
    return b"curv" + struct.pack(">II", 0, _ENTRIES) + np.round(samples * 65_535).astype(">u2").tobytes()  # type: ignore[no-any-return]


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(value) * 65_536))
