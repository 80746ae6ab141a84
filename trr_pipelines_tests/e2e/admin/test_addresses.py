"""Addresses in a real browser: slugs, ids, older forms, and unknown ones."""

from __future__ import annotations

from trr_pipelines_tests.e2e.admin.conftest import GALLERY, AdminStack, Opener

SHOW_PAGE = "/admin/trr-shows/the-valley-persian-style"


FORMS = [
    ("/admin/trr-shows/{show}", SHOW_PAGE),
    ("/admin/trr-shows/{show}/media-gallery?tag=cast&q=a%26b", f"{SHOW_PAGE}/media-gallery?tag=cast&q=a%26b"),
    ("/admin/trr-shows/{show}/season-1/media-gallery?sort=newest", f"{GALLERY}?sort=newest"),
    ("/admin/trr-shows/The-Valley-Persian-Style/season-1?mode=full", f"{SHOW_PAGE}/season-1?mode=full"),
    ("/admin/trr-shows/the-valley-persian-style-", SHOW_PAGE),
    ("/admin/trr-shows/{SHOW}", SHOW_PAGE),
    ("/admin/shows/{show}?tab=media&season=1&q=x", f"{GALLERY}?q=x"),
    ("/admin/shows/{show}?tab=news", f"{SHOW_PAGE}/news"),
    ("/admin/shows/{show}", SHOW_PAGE),
    ("/admin/people/{person}?tab=media", "/admin/trr-people/person-one/media-gallery"),
    ("/admin/trr-people/{person}/media-gallery?seed=true", "/admin/trr-people/person-one/media-gallery?seed=true"),
    ("/admin/trr-people/{person}?next=//attacker.example", "/admin/trr-people/person-one?next=//attacker.example"),
]


def test_every_form_redirects_to_the_canonical_address(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened("/admin/nothing")
    show, person = (
        admin_stack.id_of(*entity) for entity in (("show", "the-valley-persian-style"), ("person", "person-one"))
    )
    redirects = {}
    for form, _ in FORMS:
        path = form.format(show=show, person=person, SHOW=str(show).upper())
        page.goto(path, wait_until="commit")
        redirected = page.request.get(path, max_redirects=0)
        assert redirected.headers["location"] == page.url.removeprefix(admin_stack.url)
        redirects[form] = (redirected.status, redirected.headers["location"])
    assert redirects == {form: (308, target) for form, target in FORMS}


def test_an_old_slug_redirects_permanently_to_the_new_one(opened: Opener, admin_stack: AdminStack) -> None:
    (show,) = admin_stack.rows("insert into core.shows (title) values ('New Name') returning id")
    admin_stack.rows(
        "insert into core.slugs (entity_kind, slug, entity_id, is_current) values"
        " ('show', 'old-name', %(id)s, false), ('show', 'new-name', %(id)s, true)",
        show,
    )
    page = opened("/admin/trr-shows/old-name/news?q=x")
    assert page.url == f"{admin_stack.url}/admin/trr-shows/new-name/news?q=x"


NOWHERE = [
    "/admin/trr-shows/nothing",
    "/admin/trr-shows/00000000-0000-4000-8000-000000000000",
    f"{SHOW_PAGE}/season-9",
    f"{SHOW_PAGE}/season-1/none",
    f"{SHOW_PAGE}/social",
    f"{SHOW_PAGE}/media-gallery/more/and-more",
    "/admin/trr-people/no-such-person/media-gallery",
    "/admin/trr-people/person-one/news",
    "/admin/photos/00000000-0000-4000-8000-000000000000",
    "/admin/photos/x",
    "/admin/shows/not-an-id?tab=media",
    "/admin/nothing",
    "/admin/trr-shows/%F0%9F%92%A9",
]


def test_an_unknown_address_is_a_404_page_with_links_back(opened: Opener) -> None:
    page = opened("/admin/trr-shows")
    for path in NOWHERE:
        response = page.goto(path, wait_until="domcontentloaded")
        assert response is not None
        assert response.status == 404, path
        assert page.get_by_role("heading", level=1).inner_text() == "Page not found", path
        assert page.get_by_role("link", name="Back to shows").get_attribute("href") == "/admin/trr-shows", path
    page.get_by_role("link", name="Back to shows").click()
    page.wait_for_url("**/admin/trr-shows")
