"""The photo page in a real browser: crops and their history, replacing the original, the reasons for served URLs."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page, expect

from trr_pipelines_tests.e2e.admin.conftest import AdminStack, Opener, wait_for_script
from trr_pipelines_tests.pictures import photo, saved

MAX_DIFFERENCE = 4.0
"""Mean difference of 255 levels: the preview is scaled from another size, and may be off by a fraction of a pixel."""


def open_photo(opened: Opener, stack: AdminStack, name: str) -> Page:
    page = opened(f"/admin/photos/{stack.photos[name]}")
    wait_for_script(page, "document.querySelector('.crop-preview img').naturalWidth > 0")
    return page


def set_number(page: Page, name: str, value: float) -> None:
    field = page.get_by_role("spinbutton", name=name, exact=True)
    field.fill(str(value))
    field.press("Tab")


def active_crop(stack: AdminStack, name: str) -> dict[str, Any]:
    (row,) = stack.rows(
        "select crop_mode, crop_x::float8 as x, crop_y::float8 as y, crop_zoom::float8 as zoom, author"
        " from core.media_asset_crops where media_asset_id = %s and is_active",
        stack.photos[name],
    )
    return row


def pixels(data: bytes) -> npt.NDArray[np.float64]:
    """Pixels without rounded corners, and averaged, because grain differs between sizes."""
    image = Image.open(BytesIO(data)).convert("RGB").resize((200, 250), Image.Resampling.BOX)
    return np.asarray(image.crop((10, 10, 190, 240)).resize((45, 58), Image.Resampling.BOX), dtype=np.float64)


def test_a_crop_is_dragged_saved_and_rendered_as_previewed(opened: Opener, admin_stack: AdminStack) -> None:
    page = open_photo(opened, admin_stack, "0.jpg")
    frame = page.get_by_role("application")
    set_number(page, "zoom", 2)
    set_number(page, "x", 30)
    frame.focus()
    page.keyboard.press("Shift+ArrowDown")
    box = page.locator(".crop-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 25, box["y"] + box["height"] / 2 + 5, steps=4)
    page.mouse.up()
    x = float(page.get_by_role("spinbutton", name="x", exact=True).input_value())
    assert x > 30
    page.get_by_role("button", name="Save crop").click()
    expect(page.get_by_text("Saved. It is served once it is rendered")).to_be_visible()
    crop = active_crop(admin_stack, "0.jpg")
    assert (crop["crop_mode"], crop["zoom"], crop["x"]) == ("manual", 2.0, x)
    assert crop["author"] == "admin@example.com"
    preview = page.locator(".crop-preview").screenshot()
    admin_stack.render(admin_stack.photos["0.jpg"])
    served = page.get_by_role("img", name="Served crop")
    files = admin_stack.rows(
        "select hosted_url from core.media_asset_variants where media_asset_id = %s and variant_key = 'crop_card'"
        " and format = 'webp' and superseded_at is null",
        admin_stack.photos["0.jpg"],
    )
    (file,) = files
    shown = httpx.get(file["hosted_url"]).content
    difference = np.abs(pixels(shown) - pixels(preview)).mean()
    assert difference < MAX_DIFFERENCE
    shifted = Image.open(BytesIO(preview)).transform((200, 250), Image.Transform.AFFINE, (1, 0, 3, 0, 1, 3))
    shifted_png = BytesIO()
    shifted.save(shifted_png, "PNG")
    assert np.abs(pixels(shown) - pixels(shifted_png.getvalue())).mean() > 1.5 * difference
    detail = file["hosted_url"].replace("crop_card", "crop_detail")
    expect(served).to_have_attribute("src", detail)  # the page refreshes itself


def test_an_earlier_crop_and_the_proposal_can_be_restored(opened: Opener, admin_stack: AdminStack) -> None:
    page = open_photo(opened, admin_stack, "1.jpg")
    proposed = active_crop(admin_stack, "1.jpg")
    assert proposed["crop_mode"] == "auto"
    set_number(page, "zoom", 3)
    page.get_by_role("button", name="Save crop").click()
    restore = page.get_by_role("button", name="Restore")
    expect(restore).to_have_count(1)
    admin_stack.render(admin_stack.photos["1.jpg"])
    restore.click()
    expect(page.get_by_text("Saved and served.")).to_be_visible()
    assert active_crop(admin_stack, "1.jpg")["crop_mode"] == "auto"
    expect(page.get_by_text("rolled back")).to_be_visible()
    set_number(page, "zoom", 4)
    page.get_by_role("button", name="Save crop").click()
    expect(restore).to_have_count(3)
    page.get_by_role("button", name="Use proposed crop").click()
    expect(restore).to_have_count(4)
    after = active_crop(admin_stack, "1.jpg")
    assert (after["x"], after["y"], after["zoom"]) == (proposed["x"], proposed["y"], proposed["zoom"])


def test_a_conflicting_edit_is_reported_and_can_be_forced(opened: Opener, admin_stack: AdminStack) -> None:
    one, other = (open_photo(opened, admin_stack, "2.jpg") for _ in range(2))
    set_number(one, "zoom", 2)
    one.get_by_role("button", name="Save crop").click()
    expect(one.get_by_role("button", name="Restore")).to_have_count(1)
    set_number(other, "zoom", 3.5)
    other.get_by_role("button", name="Save crop").click()
    expect(other.get_by_role("alert")).to_contain_text("changed by someone else")
    assert active_crop(admin_stack, "2.jpg")["zoom"] == 2
    other.get_by_role("button", name="Use mine").click()
    expect(other.get_by_role("button", name="Restore")).to_have_count(2)
    assert active_crop(admin_stack, "2.jpg")["zoom"] == 3.5


def test_the_crop_of_a_gallery_is_edited_from_its_tile_and_changes_no_other(
    opened: Opener, admin_stack: AdminStack
) -> None:
    photo = admin_stack.photos["6.jpg"]
    (before,) = admin_stack.rows("select count(*) from core.media_asset_crops where media_asset_id = %s", photo)
    (link,) = admin_stack.rows(
        "with show as (insert into core.shows (title) values ('Gallery of Another App') returning id), slug as ("
        " insert into core.slugs (entity_kind, slug, entity_id) select 'show', 'gallery-of-another-app', id from show)"
        " insert into core.media_links (media_asset_id, show_id, kind, is_external) select %s, id, 'photo', true"
        " from show returning id",
        photo,
    )
    try:
        page = opened("/admin/trr-shows/gallery-of-another-app/media-gallery")
        page.locator(f"#photo-{link['id']} a.photo").evaluate("tile => location.assign(tile.href)")
        page.wait_for_url(f"**/admin/photos/{photo}?link={link['id']}")
        wait_for_script(page, "document.querySelector('.crop-preview img').naturalWidth > 0")
        expect(page.get_by_role("heading", name="Crop in Gallery of Another App")).to_be_visible()
        expect(page.locator("[data-crop-state]")).to_have_text("No crop yet")
        set_number(page, "zoom", 2.5)
        set_number(page, "x", 40.125)
        page.get_by_role("button", name="Save crop").click()
        expect(page.get_by_text("Saved. It is served once it is rendered")).to_be_visible()
        own = "select crop_x::float8 as x, crop_zoom::float8 as zoom from core.media_links where id = %s"
        assert admin_stack.rows(own, link["id"]) == [{"x": 40.125, "zoom": 2.5}]
        admin_stack.render(photo)
        expect(page.get_by_role("img", name="Served crop")).to_be_visible()
        page.get_by_role("button", name="Remove this gallery's crop").click()
        expect(page.get_by_text("The crop is removed.")).to_be_visible()
        assert admin_stack.rows(own, link["id"]) == [{"x": None, "zoom": None}]
        after = admin_stack.rows("select count(*) from core.media_asset_crops where media_asset_id = %s", photo)
        assert after == [before]
        # Without a gallery it is not known whose crop an edit would change.
        admin_stack.rows("update core.media_links set is_external = true where media_asset_id = %s", photo)
        page.goto(f"/admin/photos/{photo}")
        expect(page.get_by_role("application")).to_have_count(0)
        page.get_by_role("region", name="Crop").get_by_role("link", name="Person One").click()
        expect(page.get_by_role("heading", name="Crop in Person One")).to_be_visible()
        expect(page.get_by_role("application")).to_have_count(1)
    finally:
        admin_stack.rows("update core.media_links set is_external = false where media_asset_id = %s", photo)
        admin_stack.rows("delete from core.shows where title = 'Gallery of Another App'")
        admin_stack.rows("delete from core.slugs where slug = 'gallery-of-another-app'")


def test_a_better_file_replaces_the_original(opened: Opener, admin_stack: AdminStack) -> None:
    page = open_photo(opened, admin_stack, "9.jpg")
    chooser = page.get_by_label("Image file")
    chooser.set_input_files({"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture"})
    page.get_by_role("button", name="Replace").click()
    expect(page.get_by_role("alert")).to_contain_text("not_an_image")
    page.get_by_role("alert").get_by_role("button", name="Dismiss").click()
    better = saved(photo(1100, 880, seed=99), "JPEG", quality=95)
    chooser.set_input_files({"name": "better.jpg", "mimeType": "image/jpeg", "buffer": better})
    page.get_by_role("button", name="Replace").click()
    expect(page.get_by_text("The new original is in place")).to_be_visible()
    admin_stack.render(admin_stack.photos["9.jpg"])
    expect(page.locator("#facts")).to_contain_text("1100 × 880")
    expect(page.locator("#original tbody tr")).to_have_count(2)


def test_the_page_explains_each_served_url_and_links_the_run(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(f"/admin/photos/{admin_stack.photos['3.jpg']}")
    why = page.locator("#why")
    expect(why.get_by_role("row", name="crop_detail_url")).to_contain_text("present recipe")
    expect(why.get_by_text("run-1").first).to_be_visible()
    expect(why.get_by_role("link", name="crop_card.webp", exact=True)).to_be_visible()
    expect(page.get_by_role("navigation", name="Breadcrumbs")).to_contain_text("The Valley: Persian Style, season 1")
    page.get_by_role("link", name="Person One").click()
    page.wait_for_url("**/admin/trr-people/person-one/media-gallery")
