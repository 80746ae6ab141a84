"""Decoding every way that files store pictures. The files are generated here, one per rule."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.decode import decode, inspect
from trr_pipelines.imaging.orientation import oriented_image
from trr_pipelines_tests import pictures

SCENE = pictures.photo(96, 64)
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}

CLOSE = 3
"""Maximal difference of a sample after rounding only."""

LOSSY = 14
"""Maximal difference of the mean of an 8 × 8 block after a lossy encoder."""


def shown(data: bytes) -> Image.Image:
    picture = decode(data)
    image = oriented_image(picture.image, picture.orientation)
    assert (picture.info.width, picture.info.height) == image.size
    assert inspect(data) == picture.info
    return image


def samples(image: Image.Image) -> Any:
    return np.asarray(image).astype(int)


def blocks(image: Image.Image) -> Any:
    return samples(image.convert("RGB").reduce(8))


def refusal(data: bytes) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        decode(data)
    return caught.value


# --- Orientation


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIF"])
def test_every_orientation_is_applied_exactly_once(image_format: str, orientation: int) -> None:
    stored = oriented_image(SCENE, INVERSE[orientation])
    if image_format == "HEIF":
        heif = pillow_heif.from_pillow(stored)
        data = pictures.saved_by(heif.save, exif=exif(orientation), quality=95)
    else:
        data = pictures.saved(stored, image_format, exif=exif(orientation), quality=95)

    image = shown(data)

    assert image.size == SCENE.size
    assert np.abs(blocks(image) - blocks(SCENE)).max() <= LOSSY


def test_an_orientation_after_the_pixels_of_a_png_is_applied() -> None:
    chunk = pictures.png_chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0"))
    image = shown(pictures.png(samples(SCENE), colour_type=2, after_pixels=chunk))
    assert image.tobytes() == SCENE.transpose(Image.Transpose.ROTATE_270).tobytes()


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_invalid_orientation_means_upright(orientation: int) -> None:
    data = pictures.saved(SCENE, "PNG", exif=exif(orientation))
    assert shown(data).tobytes() == SCENE.tobytes()


# --- Colour profiles


def through_profile(colour: tuple[int, int, int], to_xyz: Any, gamma: float) -> Any:
    """`colour` converted to sRGB by the formulas alone (both whites D65)."""
    to_srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    linear = np.clip(to_srgb @ to_xyz @ (np.array(colour) / 255) ** gamma, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def to_xyz(primaries: dict[str, tuple[float, float]]) -> Any:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries.values()]).T
    return columns * np.linalg.solve(columns, [0.9505, 1, 1.0890])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("primaries", [pictures.DISPLAY_P3, pictures.ADOBE_RGB], ids=["Display P3", "AdobeRGB"])
def test_wide_gamut_colours_are_converted_to_srgb(primaries: dict[str, tuple[float, float]], image_format: str) -> None:
    profile = pictures.icc_profile(primaries, 2.2)
    for colour in [(150, 90, 60), (90, 140, 110), (40, 40, 120), (200, 200, 200)]:
        flat = Image.new("RGB", (32, 32), colour)
        options = {"quality": 100} | ({"subsampling": "4:4:4"} if image_format in ("JPEG", "AVIF") else {})
        image = shown(pictures.saved(flat, image_format, icc_profile=profile, **options))
        expected = through_profile(colour, to_xyz(primaries), 2.2)
        assert samples(image)[16, 16] == pytest.approx(expected, abs=CLOSE)


def test_prophoto_keeps_greys_and_saturates_colours() -> None:
    profile = pictures.icc_profile(pictures.PROPHOTO, 1.8, white="D50")
    grey = samples(shown(pictures.saved(Image.new("RGB", (8, 8), (128, 128, 128)), "PNG", icc_profile=profile)))[4, 4]
    skin = samples(shown(pictures.saved(Image.new("RGB", (8, 8), (140, 100, 70)), "PNG", icc_profile=profile)))[4, 4]

    expected = 255 * (1.055 * ((128 / 255) ** 1.8) ** (1 / 2.4) - 0.055)
    assert grey == pytest.approx([expected] * 3, abs=CLOSE)
    assert skin[0] > 160
    assert skin[0] - skin[2] > 140 - 70 + 20


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_applied_and_the_picture_stays_grey(mode: str) -> None:
    image = Image.new(mode, (8, 8), 64 if mode == "L" else (64, 100))
    seen = shown(pictures.saved(image, "PNG", icc_profile=pictures.grey_icc_profile(1.0)))

    expected = 255 * (1.055 * (64 / 255) ** (1 / 2.4) - 0.055)
    assert samples(seen.convert("RGBA"))[4, 4] == pytest.approx([expected] * 3 + [255 if mode == "L" else 100], abs=1)


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_through_its_profile_with_white_and_black_kept(image_format: str) -> None:
    profile = pictures.cmyk_icc_profile()
    transform = ImageCms.buildTransform(
        pictures.opened_profile(profile),
        ImageCms.createProfile("sRGB"),
        "CMYK",
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    for ink in [(0, 0, 0, 0), (255, 0, 0, 0), (30, 140, 200, 20), (0, 0, 0, 255)]:
        flat = Image.new("CMYK", (32, 32), ink)
        options = {"quality": 100, "subsampling": 0} if image_format == "JPEG" else {}
        seen = samples(shown(pictures.saved(flat, image_format, icc_profile=profile, **options)))[16, 16]
        assert seen == pytest.approx(transform.apply(flat).getpixel((16, 16)), abs=CLOSE)
    assert samples(shown(pictures.saved(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=profile))).min() == 255


def test_cmyk_without_profile_is_converted_by_formula() -> None:
    seen = samples(shown(pictures.saved(Image.new("CMYK", (32, 32), (0, 128, 255, 51)), "JPEG", quality=100)))[16, 16]
    assert seen == pytest.approx([255 * 0.8, 127 * 0.8, 0], abs=CLOSE)


def test_cmyk_is_inverted_with_and_without_adobes_marker_as_browsers_do() -> None:
    with_mark = pictures.saved(Image.new("CMYK", (32, 32), (0, 128, 255, 51)), "JPEG", quality=100)
    assert b"Adobe" in with_mark
    without_mark = pictures.without_jpeg_segments(with_mark, 0xEE)
    assert b"Adobe" not in without_mark

    assert samples(shown(with_mark))[16, 16] == pytest.approx(samples(shown(without_mark))[16, 16], abs=CLOSE)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"not a profile"),
        ("RGB", pictures.icc_profile(pictures.ADOBE_RGB, 2.2)[:200]),
        ("RGB", pictures.grey_icc_profile(1.0)),
        ("RGB", pictures.cmyk_icc_profile()),
        ("L", pictures.icc_profile(pictures.ADOBE_RGB, 2.2)),
        ("CMYK", pictures.icc_profile(pictures.ADOBE_RGB, 2.2)),
    ],
    ids=["nonsense", "cut", "grey for colour", "ink for colour", "colour for grey", "colour for ink"],
)
@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_a_broken_or_mismatched_profile_is_ignored_with_a_warning(mode: str, profile: bytes, image_format: str) -> None:
    scene = SCENE.convert(mode)
    plain = decode(pictures.saved(scene, image_format))
    marked = decode(pictures.saved(scene, image_format, icc_profile=profile))

    assert marked.image.tobytes() == plain.image.tobytes()
    assert plain.warnings == ()
    assert len(marked.warnings) == 1
    assert marked.warnings[0].startswith("colour profile ignored: ")


def test_an_srgb_profile_changes_no_sample() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert shown(pictures.saved(SCENE, "PNG", icc_profile=profile)).tobytes() == SCENE.tobytes()


def test_lab_is_converted_to_srgb() -> None:
    lab = np.zeros((4, 4, 3), np.uint8) + np.array([137, 40, 236], np.uint8)  # L* 53.7, a* 40, b* -20
    red, green, blue = samples(shown(pictures.tiff(lab, photometric=8)))[2, 2]
    assert (red, green, blue) == pytest.approx((176, 103, 163), abs=6)


# --- Depth


RAMP = np.linspace(0, 65_535, 64).round().astype(np.uint16)


@pytest.mark.parametrize("kind", ["png grey", "png rgb", "tiff grey", "tiff rgb"])
def test_16_bits_are_scaled_not_clipped(kind: str) -> None:
    channels = 3 if kind.endswith("rgb") else 1
    ramp = np.repeat(np.tile(RAMP, (4, 1))[..., None], channels, axis=2)
    if kind.startswith("png"):
        data = pictures.png(ramp, colour_type=2 if channels == 3 else 0, depth=16)
    else:
        data = pictures.tiff(ramp, photometric=2 if channels == 3 else 1)
    seen = samples(shown(data).convert("L"))[2]
    assert np.abs(seen - RAMP / 257).max() <= 1


@pytest.mark.parametrize("kind", ["png grey", "png rgb", "tiff rgb"])
def test_16_bits_with_alpha_keep_both(kind: str) -> None:
    channels = 1 if kind.endswith("grey") else 3
    ramp = np.repeat(np.tile(RAMP, (4, 1))[..., None], channels + 1, axis=2)
    ramp[..., :-1] = 40_000
    if kind.startswith("png"):
        data = pictures.png(ramp, colour_type=4 if channels == 1 else 6, depth=16)
    else:
        data = pictures.tiff(ramp, photometric=2, extra=(2,))
    image = shown(data)
    assert image.mode == "RGBA"
    assert np.abs(samples(image.getchannel("A"))[2] - RAMP / 257).max() <= 1
    assert np.abs(samples(image)[2, 32:, :3] - 40_000 / 257).max() <= 1


def test_a_white_is_zero_tiff_is_inverted() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (4, 1))[..., None]
    assert (samples(shown(pictures.tiff(ramp, photometric=0)))[2] == 255 - np.arange(64) * 4).all()


@pytest.mark.parametrize(("white", "top"), [(1.0, 1.0), (255.0, 200.0), (65_535.0, 40_000.0)])
def test_floats_use_the_first_usual_white_that_no_sample_exceeds(white: float, top: float) -> None:
    image = Image.fromarray(np.tile(np.linspace(0, top, 64, dtype=np.float32), (4, 1)))
    seen = samples(shown(pictures.saved(image, "TIFF")))[2]
    assert np.abs(seen - np.linspace(0, top, 64) * 255 / white).max() <= 1


def test_nan_samples_are_black() -> None:
    values = np.full((4, 4), np.nan, np.float32)
    values[0] = 1
    seen = samples(shown(pictures.saved(Image.fromarray(values), "TIFF")))
    assert (seen[0] == 255).all()
    assert (seen[1:] == 0).all()


def test_32_bits_are_scaled_by_the_range_of_their_samples() -> None:
    image = Image.fromarray(np.tile(np.linspace(0, 60_000, 64).astype(np.int32), (4, 1)))
    seen = samples(shown(pictures.saved(image, "TIFF")))[2]
    assert np.abs(seen - np.linspace(0, 60_000, 64) / 257).max() <= 1


def test_1_bit_is_black_and_white() -> None:
    image = SCENE.convert("1")
    for image_format in ("PNG", "TIFF", "BMP"):
        assert shown(pictures.saved(image, image_format)).tobytes() == image.convert("L").tobytes()


# --- Transparency


CHECKER = (np.indices((8, 8)).sum(axis=0) % 2)[..., None]


@pytest.mark.parametrize(("depth", "key"), [(1, 1), (2, 1), (4, 5), (8, 77), (16, 40_000)])
def test_the_transparent_grey_of_a_png_is_found_at_every_depth(depth: int, key: int) -> None:
    grey = np.where(CHECKER == 1, key, 0)
    chunk = pictures.png_chunk(b"tRNS", struct.pack(">H", key))
    image = shown(pictures.png(grey, colour_type=0, depth=depth, before_pixels=chunk))
    assert image.mode == "RGBA"
    assert (samples(image.getchannel("A")) == np.where(CHECKER[..., 0] == 1, 0, 255)).all()


@pytest.mark.parametrize(("depth", "factor"), [(8, 1), (16, 257)])
def test_the_transparent_colour_of_a_png_is_found_at_every_depth(depth: int, factor: int) -> None:
    colours = np.where(CHECKER == 1, [10, 20, 30], [10, 20, 31]) * factor
    chunk = pictures.png_chunk(b"tRNS", struct.pack(">HHH", 10 * factor, 20 * factor, 30 * factor))
    image = shown(pictures.png(colours, colour_type=2, depth=depth, before_pixels=chunk))
    assert (samples(image.getchannel("A")) == np.where(CHECKER[..., 0] == 1, 0, 255)).all()


def test_a_palette_with_half_transparent_entries_keeps_them() -> None:
    chunks = pictures.png_chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255])) + pictures.png_chunk(b"tRNS", bytes([128]))
    image = shown(pictures.png(CHECKER, colour_type=3, depth=1, before_pixels=chunks))
    assert image.getpixel((0, 0)) == (255, 0, 0, 128)
    assert image.getpixel((1, 0)) == (0, 0, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_an_opaque_alpha_channel_is_dropped(mode: str, image_format: str) -> None:
    image = SCENE.convert("L" if mode == "LA" else "RGB").convert(mode)
    assert shown(pictures.saved(image, image_format)).mode in ("RGB", "L")


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_an_alpha_channel_with_one_transparent_pixel_is_kept(image_format: str) -> None:
    image = SCENE.convert("RGBA")
    image.putpixel((5, 5), (0, 0, 0, 0))
    options = {"lossless": True} if image_format == "WEBP" else {"quality": 100} if image_format == "AVIF" else {}
    assert shown(pictures.saved(image, image_format, **options)).mode == "RGBA"


def test_premultiplied_alpha_of_tiff_is_divided_out() -> None:
    half = np.zeros((4, 4, 4), np.uint8) + np.array([100, 50, 0, 128], np.uint8)
    assert shown(pictures.tiff(half, photometric=2, extra=(1,))).getpixel((2, 2)) == pytest.approx(
        (199, 100, 0, 128), abs=1
    )


def test_a_transparent_gif_keeps_its_transparency() -> None:
    image = Image.fromarray((CHECKER[..., 0]).astype(np.uint8), "L").convert("P")
    seen = shown(pictures.saved(image, "GIF", transparency=image.getpixel((0, 0))))
    assert seen.mode == "RGBA"
    assert seen.getpixel((0, 0))[3] == 0
    assert seen.getpixel((1, 0))[3] == 255


def test_the_screen_of_a_gif_around_its_first_picture_is_transparent() -> None:
    screen = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + b"\xff\x00\x00\x00\xff\x00"
    one = b"\x2c" + struct.pack("<HHHHB", 1, 2, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    image = shown(screen + one + b"\x3b")
    assert image.size == (4, 4)
    assert [at for at in range(16) if image.getpixel((at % 4, at // 4))[3]] == [9]


# --- Frames and pages


def test_the_first_frame_is_decoded_and_all_are_counted() -> None:
    others = [Image.new("RGB", SCENE.size, (0, 0, 255)), Image.new("RGB", SCENE.size, (255, 0, 0))]
    options = {"save_all": True, "append_images": others}
    for image_format in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        data = pictures.saved(SCENE, image_format, **options, **({"quality": 95} if image_format != "GIF" else {}))
        assert inspect(data).frames == 3, image_format
        assert np.abs(blocks(shown(data)) - blocks(SCENE)).mean() <= LOSSY, image_format


def test_the_first_picture_of_a_stereo_pair_is_decoded_and_both_are_counted() -> None:
    data = pictures.saved(SCENE, "MPO", save_all=True, append_images=[Image.new("RGB", SCENE.size)], quality=95)
    assert inspect(data) == decode(data).info
    assert (inspect(data).format, inspect(data).frames) == ("jpeg", 2)
    assert np.abs(blocks(shown(data)) - blocks(SCENE)).max() <= LOSSY


def test_a_gain_map_is_not_a_second_picture() -> None:
    pair = pictures.saved(SCENE, "MPO", save_all=True, append_images=[Image.new("L", (8, 8))], quality=95)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description hdrgm:Version="1.0"/>'
    data = pictures.with_jpeg_segment(pair, 0xE1, xmp.replace(b"<rdf:Description", b"<rdf:Description xmlns"))
    assert inspect(data).frames == 1
    assert np.abs(blocks(shown(data)) - blocks(SCENE)).max() <= LOSSY


def test_several_pictures_in_a_heic_are_counted() -> None:
    heif = pillow_heif.from_pillow(SCENE)
    heif.add_from_pillow(Image.new("RGB", SCENE.size, (255, 0, 0)))
    data = pictures.saved_by(heif.save, quality=95)
    assert (inspect(data).format, inspect(data).frames) == ("heic", 2)
    assert np.abs(blocks(shown(data)) - blocks(SCENE)).max() <= LOSSY


def test_a_file_has_no_more_frames_than_bytes() -> None:
    claim = pictures.png_chunk(b"acTL", struct.pack(">II", 0x8000_0000, 0))
    data = pictures.png(samples(SCENE), colour_type=2, before_pixels=claim)
    assert inspect(data).frames <= len(data)


# --- Metadata


@pytest.mark.parametrize(
    "chunk",
    [
        pictures.png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000))),
        pictures.png_chunk(b"iTXt", b"nonsense"),
        pictures.png_chunk(b"iCCP", b"p\0\0nonsense"),
        pictures.png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(80_000_000))),
        pictures.png_chunk(b"gAMA", b"")[:-4] + b"oops",
        pictures.png_chunk(b"acTL", struct.pack(">II", 0x9000_0000, 0)),
    ],
    ids=["comment bomb", "broken text", "broken profile", "profile bomb", "checksum of gamma", "frames that are not"],
)
def test_damaged_metadata_of_a_png_does_not_affect_its_pixels(chunk: bytes) -> None:
    assert shown(pictures.png(samples(SCENE), colour_type=2, before_pixels=chunk)).tobytes() == SCENE.tobytes()


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        (0xE0, b"JFIF\0"),
        (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0\x01\0"),
        (0xE2, b"ICC_PROFILE\0\x01"),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff"),
        (0xEE, b"Adobe"),
        (0xFE, b"a comment"),
    ],
    ids=["JFIF", "EXIF", "index of pictures", "profile", "Photoshop", "Adobe", "comment"],
)
def test_damaged_segments_of_a_jpeg_do_not_affect_its_pixels(marker: int, content: bytes) -> None:
    plain = pictures.saved(SCENE, "JPEG", quality=95)
    assert shown(pictures.with_jpeg_segment(plain, marker, content)).tobytes() == shown(plain).tobytes()


def test_a_profile_in_many_unordered_parts_is_joined() -> None:
    profile = pictures.icc_profile(pictures.ADOBE_RGB, 2.2)
    plain = pictures.saved(Image.new("RGB", (32, 32), (90, 140, 110)), "JPEG", quality=100)
    half = len(profile) // 2
    first = b"ICC_PROFILE\0\x01\x02" + profile[:half]
    second = b"ICC_PROFILE\0\x02\x02" + profile[half:]
    data = pictures.with_jpeg_segment(pictures.with_jpeg_segment(plain, 0xE2, first), 0xE2, second)
    expected = through_profile((90, 140, 110), to_xyz(pictures.ADOBE_RGB), 2.2)
    assert samples(shown(data))[16, 16] == pytest.approx(expected, abs=CLOSE)


def test_a_polyglot_has_the_format_of_its_first_bytes() -> None:
    data = pictures.saved(SCENE, "PNG") + b"PK\x03\x04<script>alert(1)</script>"
    assert shown(data).tobytes() == SCENE.tobytes()


# --- Reduced decoding


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_jpeg_covers_the_same_picture(mode: str, reduction: int) -> None:
    scene = pictures.photo(203, 155).convert(mode)
    data = pictures.saved(scene, "JPEG", quality=95)
    whole, reduced = decode(data), decode(data, reduction)

    assert reduced.reduction == reduction
    assert reduced.image.size == (-(-203 // reduction), -(-155 // reduction))
    assert reduced.info == whole.info
    expected = whole.image.convert("RGB").resize((25, 19), Image.Resampling.BOX, box=(0, 0, 200, 152))
    box = (0, 0, 200 / reduction, 152 / reduction)
    seen = reduced.image.convert("RGB").resize((25, 19), Image.Resampling.BOX, box=box)
    assert np.abs(samples(seen) - samples(expected)).mean() <= 4


def test_other_formats_are_never_reduced() -> None:
    picture = decode(pictures.saved(SCENE, "PNG"), 8)
    assert (picture.reduction, picture.image.size) == (1, SCENE.size)


# --- Refusals


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP"])
def test_a_cut_file_is_truncated(image_format: str) -> None:
    data = pictures.saved(pictures.photo(200, 150), image_format)
    for part in (0.4, 0.7, 0.95):
        assert refusal(data[: int(len(data) * part)]).reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", Reason.EMPTY_FILE, "0 bytes"),
        (b"<html>", Reason.NOT_AN_IMAGE, "no image format starts with"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", Reason.UNSUPPORTED_FORMAT, "EPS"),
        (b"\xff\xd8\xff" + bytes(50_000_000), Reason.TOO_MANY_BYTES, "50,000,003 bytes, the limit is 50,000,000"),
        (pictures.png_of_zeros(30_001, 1), Reason.SIDE_TOO_LONG, "30001 × 1 pixels, the limit is 30,000"),
        (pictures.png_of_zeros(1, 89_000_000, colour_type=0), Reason.SIDE_TOO_LONG, "1 × 89000000 pixels"),
        (pictures.png_of_zeros(10_000, 7_501, bit_depth=1, colour_type=0), Reason.TOO_MANY_PIXELS, "75,010,000"),
        (pictures.png_of_zeros(0, 10), Reason.CORRUPT, "0 × 10 pixels"),
        (b"\x89PNG\n\x1a\n" + bytes(40), Reason.TRUNCATED, "png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_file_has_a_reason_with_limit_and_value(data: bytes, reason: Reason, detail: str) -> None:
    error = refusal(data)
    assert error.reason is reason
    assert detail in error.detail
    with pytest.raises(PermanentError) as caught:
        inspect(data)
    assert caught.value.detail == error.detail


def test_a_damaged_checksum_of_pixels_is_corrupt() -> None:
    data = bytearray(pictures.saved(SCENE, "PNG"))
    data[-16] ^= 1
    assert refusal(bytes(data)).reason is Reason.CORRUPT


def test_a_png_with_a_chunk_between_its_pixels_is_refused() -> None:
    data = pictures.png(samples(SCENE), colour_type=2)
    at = data.index(b"IDAT") - 4
    packed = data[at + 8 : at + 8 + int.from_bytes(data[at : at + 4], "big")]
    parts = [pictures.png_chunk(b"IDAT", packed[:500]), pictures.png_chunk(b"IDAT", packed[500:])]
    rest = data[at + 12 + len(packed) :]

    assert shown(data[:at] + parts[0] + parts[1] + rest).tobytes() == SCENE.tobytes()
    interrupted = parts[0] + pictures.png_chunk(b"tEXt", b"a\0b") + parts[1]
    assert refusal(data[:at] + interrupted + rest).reason in (Reason.TRUNCATED, Reason.CORRUPT)


def test_planes_that_would_be_misread_are_refused() -> None:
    planes = np.zeros((8, 8, 3), np.uint16)
    assert refusal(pictures.tiff(planes, photometric=2, planar=True)).reason is Reason.UNSUPPORTED_FORMAT
    assert shown(pictures.tiff(planes.astype(np.uint8), photometric=2, planar=True)).mode == "RGB"


def test_an_8_bit_palette_of_a_tiff_is_not_black() -> None:
    index = np.zeros((4, 4, 1), np.uint8) + 7
    colours = [200] * 256 + [100] * 256 + [50] * 256
    assert shown(pictures.tiff(index, photometric=3, colour_map=colours)).getpixel((2, 2)) == (200, 100, 50)


@pytest.mark.parametrize("image_format", ["WEBP", "AVIF"])
def test_a_decoded_picture_has_released_its_decoder(image_format: str) -> None:
    clear = pictures.photo(40, 30)
    clear.putalpha(Image.linear_gradient("L").resize((40, 30)))
    image = decode(pictures.saved(clear, image_format)).image
    assert image.mode == "RGBA"
    assert vars(image).get("_decoder") is None
