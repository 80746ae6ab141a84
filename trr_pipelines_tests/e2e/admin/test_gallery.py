"""A gallery in a real browser: the grid, the lightbox, the star, filters, failures, and a backend that fails."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from trr_pipelines_tests.e2e.admin.conftest import GALLERY, PERSON_GALLERY, PHOTOS, AdminStack, Opener, wait_for_script
from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.backends import ADMIN_EMAIL, token
from trr_pipelines_tests.support.faulty_proxy import Answer, no_fault

MAX_SHIFT = 0.02


def shift(page: Page) -> float:
    """The cumulative layout shift since the page was opened."""
    total: float = page.evaluate(
        """() => new Promise(done => {
            let sum = 0;
            new PerformanceObserver(list => { for (const one of list.getEntries()) sum += one.value })
                .observe({type: 'layout-shift', buffered: true});
            setTimeout(() => done(sum), 500);
        })"""
    )
    return total


def test_the_grid_reserves_the_space_of_derivatives_before_they_load(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(GALLERY)
    pictures = page.locator("#gallery picture img")
    expect(pictures).to_have_count(PHOTOS)
    wait_for_script(page, "[...document.querySelectorAll('#gallery picture img')].every(one => one.complete)")
    for picture in pictures.all():
        assert re.search(r"/media-variants/.+/crop_card\.webp$", picture.evaluate("image => image.currentSrc"))
        assert picture.evaluate("image => image.naturalWidth > 0")
        assert (picture.get_attribute("width"), picture.get_attribute("height")) == ("720", "900")
    assert page.locator("#gallery img.placeholder").first.evaluate("image => image.naturalWidth") > 1
    assert shift(page) < MAX_SHIFT
    page.get_by_role("link", name="Whole").click()
    page.wait_for_url("**mode=full")
    expect(pictures.first).to_be_visible()
    assert re.search(r"/media-variants/.+\.webp$", pictures.first.evaluate("image => image.currentSrc"))


# Inline links get their 44 pixels from a pseudo-element, which has no box to measure.
TOO_SMALL_FOR_A_FINGER = """() => [...document.querySelectorAll('button:not(.link), .button, input, select, nav a')]
    .filter(one => one.checkVisibility() && one.type !== 'hidden' && !one.closest('.crumbs'))
    .filter(one => Math.min(one.getBoundingClientRect().height, one.getBoundingClientRect().width) < 44)
    .map(one => one.outerHTML.slice(0, 120))"""


def test_a_phone_shows_two_columns_without_overflow(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened("/admin/trr-shows", width=390, height=844, has_touch=True, is_mobile=True)
    for path in (
        PERSON_GALLERY,
        "/admin/trr-shows",
        "/admin/operations",
        f"/admin/photos/{admin_stack.photos['3.jpg']}",
        GALLERY,
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.evaluate(TOO_SMALL_FOR_A_FINGER) == [], path
    page.get_by_role("checkbox").first.check()
    bar = page.locator(".selection")
    assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth")
    columns = page.locator("#gallery .grid").evaluate(
        "grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
    )
    assert columns == 2


def test_links_and_filters_work_without_scripts(opened: Opener) -> None:
    page = opened(f"{GALLERY}?q=photo", java_script_enabled=False)
    expect(page.locator(".tile")).to_have_count(PHOTOS)
    page.get_by_placeholder("Caption or tag").fill("photo 3")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".tile")).to_have_count(1)
    page.locator(".photo").click()
    expect(page.get_by_role("heading", name="Photo 3")).to_be_visible()


def test_the_star_works_as_a_form_without_scripts(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(f"{PERSON_GALLERY}?q=photo&sort=newest", java_script_enabled=False)
    star = page.get_by_role("button", name="Face-bank seed: Photo 6")
    admin_stack.between.plan = lambda request: Answer(500) if request.method == "PATCH" else None
    star.click()
    expect(page.get_by_role("heading", name="Backend error")).to_be_visible()
    admin_stack.between.plan = no_fault
    page.get_by_role("link", name="Back to the gallery").click()
    for pressed in ("true", "false"):
        star.click()
        expect(star).to_have_attribute("aria-pressed", pressed)
        assert page.url.partition("#")[0].endswith(f"{PERSON_GALLERY}?q=photo&sort=newest")


def test_the_lightbox_works_by_keyboard(opened: Opener) -> None:
    page = opened(GALLERY)
    page.get_by_role("link", name="Photo 0", exact=True).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="Photo 0")).to_be_visible()
    page.keyboard.press("ArrowRight")
    large = dialog.get_by_role("img", name="Photo 1", exact=True)
    expect(large).to_be_visible()
    wait_for_script(page, "document.querySelector('#lightbox img').naturalWidth > 0")
    assert large.evaluate("image => image.currentSrc").endswith("crop_detail.webp")
    expect(dialog.get_by_text(re.compile(r"\d+ KB instead of \d+ KB, \d+ % less"))).to_be_visible()
    assert "/media/media/" in (dialog.get_by_role("link", name="View original").get_attribute("href") or "")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # nothing before the first photo
    expect(dialog.get_by_role("img", name="Photo 0")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Photo 0", exact=True)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("link", name="Photo 1", exact=True)).to_be_focused()


def test_a_star_changes_at_once_and_shows_who_changed_it(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(PERSON_GALLERY)
    star = page.get_by_role("button", name="Face-bank seed: Photo 4")
    expect(star).to_have_attribute("aria-pressed", "false")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".tile", has=star)).to_contain_text(f"Seed by {ADMIN_EMAIL}")
    (row,) = admin_stack.rows(
        "select facebank_seed, facebank_seed_changed_by from core.media_links where person_id is not null"
        " and caption = 'Photo 4'"
    )
    assert row == {"facebank_seed": True, "facebank_seed_changed_by": ADMIN_EMAIL}
    page.get_by_role("combobox", name="Face-bank seeds").select_option("true")
    page.wait_for_url("**seed=true")
    expect(page.locator(".tile")).to_have_count(1)
    star.click()
    expect(star).to_have_attribute("aria-pressed", "false")


def test_a_refused_star_is_reset_with_the_reason(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(PERSON_GALLERY)
    star = page.get_by_role("button", name="Face-bank seed: Photo 5")
    admin_stack.between.plan = lambda request: Answer(503) if request.method == "PATCH" else None
    star.click()
    expect(page.get_by_role("alert")).to_contain_text("503")
    expect(star).to_have_attribute("aria-pressed", "false")
    admin_stack.between.plan = lambda _: None
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.locator(".tile", has=star)).to_contain_text(f"Seed by {ADMIN_EMAIL}")
    expect(star).to_have_attribute("aria-pressed", "true")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "false")


def test_filters_are_kept_in_the_address(opened: Opener) -> None:
    page = opened(GALLERY)
    page.get_by_placeholder("Caption or tag").fill("stills")
    page.wait_for_url("**q=stills")
    expect(page.locator(".tile")).to_have_count(PHOTOS // 2)
    assert "state=" not in page.url
    page.locator(".tags").first.get_by_role("link", name="cast").click()
    page.wait_for_url("**tag=cast**")
    expect(page.get_by_role("link", name="Remove tag cast")).to_be_visible()
    page.reload()
    expect(page.get_by_placeholder("Caption or tag")).to_have_value("stills")
    page.get_by_role("combobox", name="State", exact=True).select_option("failed")
    expect(page.get_by_text("No photo matches.")).to_be_visible()
    page.get_by_role("link", name="clear filters").click()
    expect(page.locator(".tile")).to_have_count(PHOTOS + 1)


def test_a_failed_photo_shows_its_reason_and_can_be_retried(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(f"{GALLERY}?state=failed")
    expect(page.locator(".tile")).to_contain_text("not an image")
    (admin_stack.folder / "broken.jpg").write_bytes(jpeg(640, 800, seed=77))
    page.get_by_role("button", name="Retry Broken").click()
    expect(page.get_by_text("The photo is queued for reprocessing.")).to_be_visible()
    expect(page.locator(".tile .badge")).to_have_text("Pending")
    admin_stack.render(admin_stack.photos["broken.jpg"])
    page.goto(f"{GALLERY}?q=broken")
    expect(page.get_by_role("img", name="Broken")).to_be_visible()
    expect(page.locator(".badge")).to_have_count(0)


def test_selected_photos_are_reprocessed(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(GALLERY)
    boxes = page.get_by_role("checkbox")
    boxes.nth(6).check()
    boxes.nth(8).click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected")).to_be_visible()
    page.get_by_role("button", name="Reprocess", exact=True).click()
    expect(page.get_by_text("3 photos are queued for reprocessing.")).to_be_visible()
    requested = admin_stack.rows(
        "select distinct media_asset_id from core.variant_generations where asked_at is not null"
    )
    photos = {admin_stack.photos[f"{number}.jpg"] for number in (6, 7, 8)}
    assert photos <= {row["media_asset_id"] for row in requested}
    admin_stack.render(*photos)


def test_a_failing_backend_keeps_the_page_and_can_be_retried(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened(GALLERY)
    before = page.locator(".tile").count()
    admin_stack.between.plan = lambda _: Answer(500)
    page.get_by_role("combobox", name="Order").select_option("newest")
    expect(page.get_by_role("alert")).to_contain_text("The backend failed with 500")
    expect(page.locator(".tile")).to_have_count(before)
    assert page.url.endswith("media-gallery")
    admin_stack.between.plan = lambda _: None
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    page.wait_for_url("**sort=newest")
    admin_stack.between.plan = lambda _: Answer(500)
    page.reload()
    expect(page.get_by_role("heading", name="Backend error")).to_be_visible()
    admin_stack.between.plan = lambda _: None
    page.get_by_role("link", name="Try again").click()
    expect(page.locator(".tile")).to_have_count(before)
    assert page.url.endswith("sort=newest")


def test_an_expired_sign_in_returns_to_the_same_page(opened: Opener) -> None:
    page = opened(f"{PERSON_GALLERY}?q=photo&sort=newest")
    page.context.clear_cookies()
    star = page.get_by_role("button", name="Face-bank seed: Photo 7")
    star.click()
    expect(page.get_by_role("alert")).to_contain_text("Your session has expired.")
    expect(star).to_have_attribute("aria-pressed", "false")
    page.get_by_role("alert").get_by_role("button", name="Sign in").click()
    page.get_by_label("Access token").fill(token())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**media-gallery?q=photo&sort=newest")
    expect(page.locator(".tile")).to_have_count(PHOTOS)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_view_and_its_load_times_reach_the_operations_page(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened("/admin/nothing")
    page.add_init_script("Math.random = () => 0")  # sample this view
    page.goto(f"{GALLERY}?mode=full")
    page.wait_for_event("requestfinished", lambda request: request.url.endswith("/admin/api/views"))
    season = admin_stack.rows("select id from core.seasons")[0]["id"]
    views = admin_stack.rows("select photos from core.gallery_views where entity_id = %s order by id desc", season)
    assert views[0]["photos"] == PHOTOS + 1
    page.goto("/admin/operations")
    times = page.get_by_role("row", name=re.compile(r"^(thumb|card) \d+ ms \d+ ms \d+$"))
    expect(times).to_be_visible()


def test_scrolling_loads_many_photos_and_keeps_few_in_the_page(opened: Opener, admin_stack: AdminStack) -> None:
    (person,) = admin_stack.rows("insert into core.people (full_name) values ('Many Photos') returning id")
    admin_stack.rows(
        "insert into core.slugs (entity_kind, slug, entity_id) values ('person', 'many-photos', %s)", person["id"]
    )
    admin_stack.rows(
        "with assets as (insert into core.media_assets (source, source_url, batch_key)"
        " select 'bulk', 'https://photos.example/' || n, (select min(key) from core.import_batches)"
        " from generate_series(1, 600) n returning id, source_url)"
        " insert into core.media_links (media_asset_id, person_id, kind, position, caption)"
        " select id, %s, 'photo', 1, 'Bulk ' || source_url from assets",
        person["id"],
    )
    requests_before = len(admin_stack.between.requests)
    page = opened("/admin/trr-people/many-photos/media-gallery")
    tiles = page.locator(".tile")
    first = tiles.first.inner_html()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("checkbox").first.blur()  # a focused tile is not emptied
    for loaded in range(120, 601, 60):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        expect(tiles).to_have_count(loaded)
    assert len(set(tiles.evaluate_all("tiles => tiles.map(one => one.dataset.photo)"))) == 600
    pages = [
        request
        for request in admin_stack.between.requests[requests_before:]
        if f"{person['id']}/gallery" in request.target
    ]
    assert len(pages) == 10
    expect(tiles.first).to_be_empty()
    assert page.locator(".tile .photo").count() < 300
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Select all shown").click()
    expect(page.get_by_text("600 selected")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(".photo").first).to_be_in_viewport()
    expect(page.get_by_role("checkbox").first).to_be_checked()
    assert tiles.first.inner_html() == first
    page.locator(".photo").first.click()
    page.keyboard.press("End")  # to a tile that is empty now
    expect(page.get_by_role("dialog")).to_contain_text("Bulk")
    expect(tiles.last).not_to_be_empty()
