"""The recipes of derivatives: sizes, formats, qualities, encoder options, and a fingerprint over all of them.

Everything that changes the bytes of a derivative is defined here; a change makes a new fingerprint, and so new objects.
There are two recipes, each with its own fingerprint, so that a change of the crop sizes does not make base sets stale.
Encoder versions are not included: a patch upgrade must not make an archive stale. If a new encoder changes the visible
result, increase `codec_epoch` by hand.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Literal

from trr_pipelines.imaging.geometry import Size

RecipeKind = Literal["base", "crop"]


@dataclass(frozen=True)
class Target:
    """One rendition key: its width in pixels, its height if the shape is fixed (crops), its quality.

    `quality` (1 to 100) is that of libwebp; the JPEG tables are made to give the same fidelity at the same number.
    """

    key: str
    width: int
    height: int | None
    quality: int

    @property
    def size(self) -> Size:
        """The fixed size of a crop target. Raises ValueError if the height follows the photo."""
        if self.height is None:
            raise ValueError(f"{self.key} has no fixed height")
        return Size(self.width, self.height)


@dataclass(frozen=True)
class QuantCurve:
    """The quantisation steps of a JPEG channel at quality 50, by the length of a frequency in the 8 × 8 block.

    Steps rise from `finest`, at the mean of the block, to `coarsest`, at a length of 7 waves and beyond, with the power
    `bend` of that length.
    """

    finest: float
    coarsest: float
    bend: float


@dataclass(frozen=True)
class EncoderOptions:
    """Encoder options; see Pillow's documentation of each format.

    Chosen by measurement (docs/measurements/fidelity.md): fewest bytes at equal SSIM for their time.
    """

    webp_method: int = 2
    webp_alpha_quality: int = 90
    jpeg_subsampling: str = "4:2:0"
    jpeg_progressive: bool = False
    jpeg_luma: QuantCurve = QuantCurve(13.5, 54, 1.5)
    jpeg_chroma: QuantCurve = QuantCurve(20, 70, 1.0)
    png_compress_level: int = 3
    png_strategy: str = "rle"
    avif_speed: int = 6
    avif_quality_offset: int = -27
    # A picture of at most this number of colours, most of it in a few, is a graphic: its WebP is lossless, unless that
    # takes more than this share of the bytes of the lossy file; its JPEG keeps full chroma if a colour is saturated.
    graphic_colours: int = 1024
    graphic_lossless_share: float = 1.25
    graphic_jpeg_subsampling: str = "4:4:4"


@dataclass(frozen=True)
class Recipe:
    """One set of derivatives: `targets` in `formats`, or in `transparent_formats` for a transparent photo."""

    kind: RecipeKind
    targets: tuple[Target, ...]
    formats: tuple[str, ...] = ("webp", "jpeg")
    transparent_formats: tuple[str, ...] = ("webp", "png")
    encoder: EncoderOptions = field(default_factory=EncoderOptions)
    codec_epoch: int = 1

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits over all fields."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def formats_for(self, *, transparent: bool) -> tuple[str, ...]:
        return self.transparent_formats if transparent else self.formats


# Smaller pictures lose more by the same quantisation: at these qualities every size has the same mean SSIM, 0.971
# (docs/measurements/fidelity.md).
BASE = Recipe(
    kind="base",
    targets=(
        Target("thumb", 320, None, 78),
        Target("card", 720, None, 77),
        Target("detail", 1440, None, 76),
    ),
)

CROP = Recipe(
    kind="crop",
    targets=(
        Target("crop_card", 720, 900, 77),
        Target("crop_detail", 1440, 1800, 76),
    ),
)
