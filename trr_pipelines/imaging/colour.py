"""Converting decoded samples to display colour: sRGB with 8 bits per channel, in grey, RGB or RGBA.

Bit depth, palettes, transparency keys, colour models and colour profiles belong here; sizes do not.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from trr_pipelines.imaging.colour_signals import ColourSignal
from trr_pipelines.imaging.deep import encoded_as_srgb
from trr_pipelines.imaging.hdr import tone_mapped
from trr_pipelines.imaging.icc import Curve, MatrixProfile, grey_curve, matrix_profile, srgb_encoded

_PROFILE_SPACE_OF_MODE = {"L": "GRAY", "LA": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK", "LAB": "Lab"}

_SRGB = ImageCms.createProfile("sRGB")
_LAB = ImageCms.createProfile("LAB")

# A profile that changes no colour of a grid by more than this counts as sRGB: skipping it saves 60 ms for 15 Mpx, and
# the rounding.
_SAME_COLOUR = 1

# Rows converted at once if samples are wider than a byte: limits the memory of the intermediate floats.
_STRIP_ROWS = 256


class DisplayColour(NamedTuple):
    """A picture in sRGB, warnings, and whether the samples of its file are already sRGB."""

    image: Image.Image
    warnings: tuple[str, ...]
    is_as_stored: bool


Deep = Callable[[MatrixProfile], Image.Image | None]
"""The picture from its 16-bit RGB samples, as `deep.deep_picture`; None without such samples."""


def to_srgb(
    image: Image.Image, profile: bytes | None, signal: ColourSignal | None = None, deep: Deep = lambda _: None
) -> DisplayColour:
    """`image` as 8-bit sRGB in mode L, RGB or RGBA (straight alpha, and only if some pixel is not opaque).

    Args:
        image: a loaded picture in any mode of Pillow's decoders; its `info` may have a transparency key.
        profile: its ICC profile, if any.
        signal: its colour if the file describes it in another way; then `profile` is not used.
        deep: called if a profile or signal other than sRGB is applied to an RGB picture.

    A warning names, for example, a profile that was ignored.
    """
    if image.mode.startswith("I;16") and (curve := _grey_curve(profile, signal)):
        return DisplayColour(_without_opaque_alpha(_eight_bit(image, curve)), (), False)
    image = _without_key_or_palette(_eight_bit(image))
    stored = image
    warnings: tuple[str, ...] = ()
    if signal is not None:
        image = _apply_signal(image, signal, deep)
    else:
        image, warnings = _apply_profile(image, profile, deep)
    is_as_stored = image is stored and not warnings
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image, is_as_stored = image.convert("RGB"), False
    return DisplayColour(_without_opaque_alpha(image), warnings, is_as_stored)


def _grey_curve(profile: bytes | None, signal: ColourSignal | None) -> Curve | None:
    if signal is not None:
        return None if signal.hdr else signal.profile.curves[1]
    return grey_curve(profile) if profile else None


def _eight_bit(image: Image.Image, curve: Curve | None = None) -> Image.Image:
    """16-bit, 32-bit and floating grey in 8 bits; other modes unchanged. `curve`: of 16-bit samples, if not sRGB."""
    if not image.mode.startswith(("I", "F")):
        return image
    key = image.info.get("transparency") if image.mode.startswith("I;16") else None
    table = None if curve is None else encoded_as_srgb(curve)
    white = _white_of(image)
    grey = Image.new("L", image.size)
    alpha = Image.new("L", image.size) if isinstance(key, int) else None
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height)))
        samples = np.asarray(strip)
        if alpha is not None:
            alpha.paste(Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8)), (0, top))
        if table is not None:
            grey.paste(Image.fromarray(table[samples]), (0, top))
            continue
        scaled = np.clip(np.nan_to_num(samples.astype(np.float64)) * (255.0 / white) + 0.5, 0, 255)
        grey.paste(Image.fromarray(scaled.astype(np.uint8)), (0, top))
    if alpha is not None:
        return Image.merge("LA", (grey, alpha))
    return grey


def _white_of(image: Image.Image) -> float:
    """The sample value of white.

    32-bit and floating files do not define it: it is the first usual white that no sample exceeds.
    """
    if image.mode.startswith("I;16"):
        return 65_535.0
    largest = _largest(image)
    if image.mode == "F":
        return next((white for white in (1.0, 255.0, 65_535.0) if largest <= white), largest)
    return next(white for white in (32_767.0, 65_535.0, 2.0**31 - 1) if largest <= white)


def _largest(image: Image.Image) -> float:
    _, largest = image.getextrema()
    if isinstance(largest, tuple):
        raise TypeError(f"{image.mode} has more than one channel")
    return largest


def _without_key_or_palette(image: Image.Image) -> Image.Image:
    key = image.info.get("transparency")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" or key is not None else "RGB")
    if image.mode == "1":
        grey = image.convert("L")
        if isinstance(key, int):
            return Image.merge("LA", (grey, grey.point(lambda value: 0 if value == key else 255)))
        return grey
    if key is not None and image.mode in ("L", "RGB"):
        return image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode in ("La", "RGBa"):
        return image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("YCbCr", "HSV", "RGBX"):
        return image.convert("RGB")
    return image


def _apply_profile(image: Image.Image, profile: bytes | None, deep: Deep) -> tuple[Image.Image, tuple[str, ...]]:
    if not profile:
        return (_from_lab(image), ()) if image.mode == "LAB" else (image, ())
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != _PROFILE_SPACE_OF_MODE.get(image.mode):
            problem = f"it is for {space}, the image is {image.mode}"
        else:
            return _converted(source, image, matrix_profile(profile), deep), ()
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError) as error:
        problem = str(error) or type(error).__name__
    if image.mode == "LAB":
        image = _from_lab(image)
    return image, (f"colour profile ignored: {problem}",)


def _converted(
    profile: ImageCms.ImageCmsProfile, image: Image.Image, matrix: MatrixProfile | None, deep: Deep
) -> Image.Image:
    """`image` through its profile; from samples of 16 bits if it has them and `matrix` says how."""
    if image.mode not in ("RGB", "RGBA") or matrix is None or _is_srgb(profile):
        return _through(profile, image)
    picture = deep(matrix)
    if picture is None:
        return _through(profile, image)
    return _through(_opened(matrix.with_srgb_curves()), picture)


def _opened(profile: MatrixProfile) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile.to_bytes()))


def _apply_signal(image: Image.Image, signal: ColourSignal, deep: Deep) -> Image.Image:
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        return image
    if signal.hdr is not None:
        return tone_mapped(image.convert({"L": "RGB", "LA": "RGBA"}.get(image.mode, image.mode)), signal)
    if image.mode in ("L", "LA"):
        encoded = srgb_encoded(signal.profile.curves[1](np.arange(256) / 255))
        grey, *alpha = image.split()
        shown = grey.point([round(float(value)) for value in encoded * 255])
        return Image.merge("LA", (shown, *alpha)) if alpha else shown
    return _converted(_opened(signal.profile), image, signal.profile, deep)


def _through(profile: ImageCms.ImageCmsProfile, image: Image.Image) -> Image.Image:
    """Relative colorimetric with black-point compensation, which keeps white white and detail in shadows."""
    if image.mode in ("L", "LA"):
        transform = _transform(profile, "L", "RGB")
        # A grey picture stays grey: a grey profile is a curve over 256 values.
        curve = transform.apply(Image.frombytes("L", (256, 1), bytes(range(256)))).getchannel("G").tobytes()
        if image.mode == "L":
            return image.point(list(curve))
        grey, alpha = image.split()
        return Image.merge("LA", (grey.point(list(curve)), alpha))
    out = "RGBA" if image.mode == "RGBA" else "RGB"
    if image.mode in ("RGB", "RGBA") and _is_srgb(profile):
        return image
    converted: Image.Image = _transform(profile, image.mode, out).apply(image)
    return converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    shown = np.asarray(_transform(profile, "RGB", "RGB").apply(Image.fromarray(grid)))
    return bool(np.abs(shown.astype(int) - grid.astype(int)).max() <= _SAME_COLOUR)


def _transform(profile: ImageCms.ImageCmsProfile, from_mode: str, to_mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        profile,
        _SRGB,
        from_mode,
        to_mode,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _from_lab(image: Image.Image) -> Image.Image:
    converted: Image.Image = ImageCms.buildTransform(_LAB, _SRGB, "LAB", "RGB").apply(image)
    return converted


def _without_opaque_alpha(image: Image.Image) -> Image.Image:
    if image.mode == "LA":
        return image.getchannel("L") if _is_opaque(image) else image.convert("RGBA")
    if image.mode == "RGBA":
        return image.convert("RGB") if _is_opaque(image) else image
    return image


def _is_opaque(image: Image.Image) -> bool:
    lowest, _ = image.getchannel("A").getextrema()
    return lowest == 255
