"""The crop signature: the identity of one crop of one original.

Two crops with the same signature show the same frame of the same bytes; what they are rendered to is the recipe's.
"""

from __future__ import annotations

import hashlib

from trr_pipelines.imaging.geometry import Crop


def canonical_crop(crop: Crop, source_version: str) -> str:
    """The text that is signed: `crop2|mode|x|y|zoom|source_version`, every number with exactly 3 decimals."""
    return f"crop2|{crop.mode}|{crop.x:.3f}|{crop.y:.3f}|{crop.zoom:.3f}|{source_version}"


def crop_signature(crop: Crop, source_version: str) -> str:
    """The signature (64 hex digits) of `crop` on the original whose sha256 in hex is `source_version`."""
    return hashlib.sha256(canonical_crop(crop, source_version).encode()).hexdigest()
