"""Derivatives of a photo: keys, sizes, content, and no metadata."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from trr_pipelines.imaging.geometry import Crop, Size, crop_frame
from trr_pipelines.imaging.orientation import oriented_image
from trr_pipelines.imaging.recipes import BASE, CROP, Recipe, Target
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest, render
from trr_pipelines_tests import pictures
from trr_pipelines_tests.drawn_faces import crowd

EVERYTHING = RenderRequest(BASE, CROP)
TINY_CROP = Recipe("crop", (Target("crop_card", 72, 90, 90),))
METADATA_SIGNS = (b"Exif", b"EXIF", b"ICC_PROFILE", b"ICCP", b"iCCP", b"XMP ", b"xmpmeta", b"made for a test", b"tEXt")
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def opened(variant: RenderedVariant) -> Image.Image:
    image = Image.open(BytesIO(variant.data))
    image.load()
    assert image.size == (variant.width, variant.height)
    assert (image.format or "").lower() == variant.format
    return image


def by_key(rendered: Rendered) -> dict[tuple[str, str], RenderedVariant]:
    return {(variant.variant_key, variant.format): variant for variant in rendered.variants}


def sizes(rendered: Rendered) -> dict[str, tuple[int, int]]:
    return {variant.variant_key: (variant.width, variant.height) for variant in rendered.variants}


def with_exif(image: Image.Image, orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "canary description"
    tags.get_ifd(0x8825)[1] = "N"
    tags.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    return tags


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((4000, 3000), {"thumb": (320, 240), "card": (720, 540), "detail": (1440, 1080)}),
        ((1000, 600), {"thumb": (320, 192), "card": (720, 432), "detail": (1000, 600)}),
        ((300, 500), {"thumb": (300, 500), "card": (300, 500), "detail": (300, 500)}),
        ((1, 1), {"thumb": (1, 1), "card": (1, 1), "detail": (1, 1)}),
        ((3000, 1), {"thumb": (320, 1), "card": (720, 1), "detail": (1440, 1)}),
    ],
)
def test_every_base_key_exists_with_its_real_size(
    source: tuple[int, int], expected: dict[str, tuple[int, int]]
) -> None:
    rendered = render(pictures.saved(Image.new("RGB", source, (9, 99, 199)), "PNG"), RenderRequest(BASE, None))
    assert sizes(rendered) == expected
    assert set(by_key(rendered)) == {(key, kind) for key in expected for kind in ("webp", "jpeg")}
    for variant in rendered.variants:
        assert opened(variant).convert("RGB").getpixel((0, 0)) == pytest.approx((9, 99, 199), abs=4)


@pytest.mark.parametrize(
    ("source", "crop", "expected"),
    [
        ((4000, 3000), Crop("manual", 50, 50, 1), {"crop_card": (720, 900), "crop_detail": (1440, 1800)}),
        ((4000, 3000), Crop("manual", 50, 50, 4), {"crop_card": (600, 750), "crop_detail": (600, 750)}),
        ((1000, 1000), Crop("auto", 0, 0, 1), {"crop_card": (720, 900), "crop_detail": (800, 1000)}),
        ((2, 3), Crop("manual", 100, 0, 4), {"crop_card": (1, 1), "crop_detail": (1, 1)}),
        ((1, 1), Crop("auto", 50, 50, 4), {"crop_card": (1, 1), "crop_detail": (1, 1)}),
    ],
)
def test_every_crop_key_exists_with_its_real_size(
    source: tuple[int, int], crop: Crop, expected: dict[str, tuple[int, int]]
) -> None:
    rendered = render(pictures.saved(Image.new("RGB", source), "PNG"), RenderRequest(None, CROP, (crop,)))
    assert sizes(rendered) == expected
    assert (rendered.proposal, rendered.proposal_reason) == (None, "")
    assert {variant.crop for variant in rendered.variants} == {crop}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("recipe", [CROP, TINY_CROP], ids=["whole", "reduced decoding"])
def test_a_crop_shows_its_frame_for_every_orientation(recipe: Recipe, orientation: int) -> None:
    source = (901, 703)  # not a multiple of 4, the decoder's reduction for the tiny crop
    scene = pictures.photo(*source)
    crop = Crop("manual", 80, 30, 1.25)
    stored = oriented_image(scene, INVERSE[orientation])
    data = pictures.saved(stored, "JPEG", quality=95, exif=with_exif(stored, orientation))

    rendered = render(data, RenderRequest(None, recipe, (crop,)))

    frame = crop_frame(Size(*source), crop)
    box = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
    for variant in rendered.variants:
        expected = scene.resize((36, 45), Image.Resampling.BOX, box=box)
        seen = opened(variant).convert("RGB").resize((36, 45), Image.Resampling.BOX)
        assert np.abs(np.asarray(seen).astype(int) - np.asarray(expected).astype(int)).mean() < 4


def test_a_photo_without_a_crop_gets_one_proposed_and_rendered() -> None:
    rendered = render(pictures.jpeg(400, 900), EVERYTHING)
    assert rendered.proposal == Crop("auto", 50, 42.593, 1)
    assert rendered.proposal_reason == "upper third"
    assert sizes(rendered)["crop_card"] == (400, 500)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_proposal_is_made_for_the_photo_as_shown(orientation: int) -> None:
    stored = oriented_image(crowd(1600, 900, [(1000, 200, 500)]), INVERSE[orientation])
    rendered = render(pictures.saved(stored, "JPEG", exif=with_exif(stored, orientation)), RenderRequest(None, CROP))
    assert rendered.proposal is not None
    assert (rendered.proposal.x, rendered.proposal_reason) == (pytest.approx(77.5, abs=6), "1 face")


def test_a_proposal_does_not_depend_on_the_other_set() -> None:
    """A wide photo is decoded at a quarter for the base set, and at half for its crop."""
    photo = pictures.saved(crowd(9000, 3000, [(1000, 500, 1500), (2900, 900, 400)]), "JPEG")
    beside, alone = render(photo, EVERYTHING), render(photo, RenderRequest(None, CROP))
    assert (beside.proposal, beside.proposal_reason) == (alone.proposal, alone.proposal_reason)
    assert beside.proposal_reason == "2 faces"


def test_without_a_crop_recipe_no_crop_is_made() -> None:
    rendered = render(pictures.jpeg(), RenderRequest(BASE, None, (Crop("manual", 50, 50, 1),)))
    assert (rendered.proposal, rendered.proposal_reason) == (None, "")


def test_the_bytes_of_a_set_do_not_depend_on_the_other_set() -> None:
    photo = pictures.jpeg(3600, 1200)  # decoded at half for the base set, whole for the crop
    crop = Crop("manual", 30, 40, 1)
    both = by_key(render(photo, RenderRequest(BASE, CROP, (crop,))))
    alone = by_key(render(photo, RenderRequest(BASE, None))) | by_key(render(photo, RenderRequest(None, CROP, (crop,))))
    assert both == alone


@pytest.mark.parametrize("kind", ["visible", "opaque"])
def test_real_transparency_gives_webp_and_png_and_opaque_alpha_webp_and_jpeg(kind: str) -> None:
    image = pictures.photo(900, 600).convert("RGBA")
    if kind == "visible":
        image.putpixel((450, 300), (0, 0, 0, 0))
    rendered = render(pictures.saved(image, "PNG"), EVERYTHING)
    assert {variant.format for variant in rendered.variants} == {"webp", "png" if kind == "visible" else "jpeg"}
    assert len(rendered.variants) == 10


def test_transparent_edges_have_no_halo() -> None:
    """A red disc on invisible green: no green may become visible at the edge."""
    side = 1600
    down, across = np.indices((side, side)) - side / 2
    inside = down**2 + across**2 < (side * 0.4) ** 2
    pixels = np.where(inside[..., None], [200, 30, 30, 255], [0, 255, 0, 0]).astype(np.uint8)
    rendered = by_key(render(pictures.saved(Image.fromarray(pixels), "PNG"), RenderRequest(BASE, None)))

    for key in ("thumb", "card", "detail"):
        exact = np.asarray(opened(rendered[key, "png"])).astype(int)
        assert {255, 0} <= set(exact[..., 3].ravel())
        # Lanczos overshoots red along the edge, as along any edge; green must not increase.
        edge = exact[exact[..., 3] > 48]
        assert np.abs(edge[:, 0] - 200).max() <= 40, key
        assert np.abs(edge[:, 1:3] - 30).max() <= 8, key
        lossy = np.asarray(opened(rendered[key, "webp"])).astype(int)
        assert np.abs(lossy[lossy[..., 3] > 128][:, :3] - [200, 30, 30]).max() <= 48, key


def test_ringing_between_black_and_white_stays_in_range_and_leaves_flat_areas() -> None:
    pixels = np.zeros((1200, 1600), np.uint8)
    pixels[:, 800:] = 255
    rendered = by_key(render(pictures.saved(Image.fromarray(pixels), "PNG"), RenderRequest(BASE, None)))
    card = np.asarray(opened(rendered["card", "jpeg"]).convert("L")).astype(int)
    assert card[:, : 360 - 24].max() <= 3
    assert card[:, 360 + 24 :].min() >= 252


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("source_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_derivative_has_no_metadata(source_format: str, mode: str) -> None:
    image = pictures.photo(600, 500).convert(mode)
    if mode == "RGBA" and source_format != "JPEG":
        image.putpixel((0, 0), (1, 2, 3, 0))
    if source_format == "JPEG":
        image = image.convert("L" if mode == "L" else "RGB")
    profile = pictures.grey_icc_profile(1.8) if image.mode == "L" else pictures.icc_profile(pictures.DISPLAY_P3, 2.2)
    options = {"exif": with_exif(image), "icc_profile": profile, "xmp": b"<x:xmpmeta>canary</x:xmpmeta>"}
    if source_format in ("JPEG", "TIFF"):
        options |= {"dpi": (300, 300)} | ({"comment": b"canary comment"} if source_format == "JPEG" else {})
    data = pictures.saved(image, source_format, **options)
    assert b"canary" in data

    for variant in render(data, EVERYTHING).variants:
        assert b"canary" not in variant.data
        for sign in (
            b"Exif",
            b"EXIF",
            b"ICC_PROFILE",
            b"ICCP",
            b"iCCP",
            b"XMP ",
            b"xmpmeta",
            b"made for a test",
            b"tEXt",
        ):
            assert sign not in variant.data, (variant.variant_key, variant.format, sign)
        derivative = opened(variant)
        assert dict(derivative.getexif()) == {}
        assert not {"icc_profile", "comment", "xmp", "exif"} & set(derivative.info)


def test_very_long_pictures_are_scaled_to_the_limit_of_webp() -> None:
    rendered = render(pictures.png_of_zeros(40, 30_000, colour_type=0), RenderRequest(BASE, None))
    assert set(sizes(rendered).values()) == {(22, 16_383)}


def test_the_result_includes_source_placeholder_and_colour() -> None:
    rendered = render(pictures.saved(Image.new("RGB", (50, 40), (16, 32, 64)), "PNG"), EVERYTHING)
    assert (rendered.source.format, rendered.source.width, rendered.source.height) == ("png", 50, 40)
    assert rendered.dominant_color == "#102040"
    assert 20 <= len(rendered.placeholder) <= 34
    assert rendered.warnings == ()


def test_a_warning_of_the_decoder_is_in_the_result() -> None:
    data = pictures.saved(pictures.photo(50, 40), "PNG", icc_profile=b"nonsense")
    assert len(render(data, EVERYTHING).warnings) == 1


def test_the_same_bytes_recipe_and_crop_give_the_same_bytes_and_their_hash() -> None:
    photo = pictures.jpeg(1700, 1200)
    first, second = render(photo, EVERYTHING), render(photo, EVERYTHING)
    assert first == second
    assert [variant.sha256 for variant in first.variants] == [variant.sha256 for variant in second.variants]
    assert all(len(variant.sha256) == 64 for variant in first.variants)
