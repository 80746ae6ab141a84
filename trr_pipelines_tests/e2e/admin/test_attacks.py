"""Attacks in a real browser: scripts in every text, and cross-site requests from another page."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from trr_pipelines_tests.e2e.admin.conftest import GALLERY, PERSON_GALLERY, AdminStack, Opener, wait_for_script
from trr_pipelines_tests.support.axe import serious_findings

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "</title></textarea><script>alert(1)</script>",
    '" autofocus onfocus=alert(1) x="',
    "<a href=javascript:alert(1)>x</a>",
]


@pytest.fixture
def poisoned(admin_stack: AdminStack) -> dict[str, UUID]:
    """A show, a person and photos with a payload in every text."""
    ids: dict[str, UUID] = {}
    everything = " ".join(PAYLOADS)
    for table, column, kind in (("shows", "title", "show"), ("people", "full_name", "person")):
        (row,) = admin_stack.rows(
            f"insert into core.{table} ({column}) values (%s) returning id",  # noqa: S608  our own names
            f"{everything} {kind}",
        )
        ids[kind] = row["id"]
        admin_stack.rows(
            "insert into core.slugs (entity_kind, slug, entity_id) values (%s, %s, %s) on conflict do nothing",
            kind,
            f"poisoned-{row['id']}",
            row["id"],
        )
    for number, payload in enumerate(PAYLOADS):
        (photo,) = admin_stack.rows(
            "insert into core.media_assets (source, source_url, batch_key, state, reason) values"
            " (%s, %s, (select min(key) from core.import_batches), 'failed', 'not_an_image') returning id",
            payload,
            f"{payload}/{ids['show']}.jpg",
        )
        ids[f"photo{number}"] = photo["id"]
        admin_stack.rows(
            "insert into core.variant_generations (media_asset_id, kind, state, reason, detail, run_id) values"
            " (%s, 'original', 'failed', 'not_an_image', %s, %s)",
            photo["id"],
            payload,
            payload,
        )
        for kind in ("show", "person"):
            admin_stack.rows(
                f"insert into core.media_links (media_asset_id, {kind}_id, kind, position, caption, tags,"  # noqa: S608
                " facebank_seed_changed_by, facebank_seed_changed_at)"
                " values (%s, %s, 'photo', 1, %s, %s, %s, now())",
                photo["id"],
                ids[kind],
                payload,
                [payload],
                payload,
            )
    return ids


def test_no_text_is_executed_as_a_script(opened: Opener, poisoned: dict[str, UUID]) -> None:
    dialogs: list[str] = []
    page = opened("/admin/nothing")
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in (
        "/admin/trr-shows",
        "/admin/trr-people",
        f"/admin/trr-shows/{poisoned['show']}",
        f"/admin/trr-shows/{poisoned['show']}/media-gallery",
        f"/admin/trr-people/{poisoned['person']}/media-gallery?mode=full",
        *(f"/admin/photos/{poisoned[f'photo{number}']}" for number in range(len(PAYLOADS))),
        "/admin/operations",
        f"{GALLERY}?q={PAYLOADS[1]}&tag={PAYLOADS[1]}&source={PAYLOADS[1]}&cursor={PAYLOADS[1]}",
        f"/admin/trr-shows/{PAYLOADS[2].replace('/', '')}",
        f"/admin/sign-in?next={PAYLOADS[1]}",
    ):
        page.goto(path)
        expect(page.get_by_role("main")).to_be_visible()
        assert page.locator("main script, main [onerror], main [onload], main [onfocus]").count() == 0, path
        assert page.locator('a[href^="javascript"]').count() == 0, path
        assert "49" not in page.title()
    page.goto(f"/admin/trr-people/{poisoned['person']}/media-gallery")
    page.locator(".photo").first.click()
    for _ in PAYLOADS:
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    page.locator(".star").first.click()
    expect(page.locator(".star").first).to_have_attribute("aria-pressed", "true")
    assert dialogs == []


@pytest.fixture
def other_site(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder served by another origin, and its port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path, server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_site_changes_nothing(
    opened: Opener, admin_stack: AdminStack, other_site: tuple[Path, int], host: str
) -> None:
    """From another port of the same host, which is same-site, so that browsers send cookies; and from another host."""
    folder, port = other_site
    (link,) = admin_stack.rows(
        "select id, person_id, media_asset_id from core.media_links where person_id is not null and caption = 'Photo 8'"
    )
    seed = f"{admin_stack.url}/admin/api/person/{link['person_id']}/gallery/{link['id']}/facebank-seed"
    again = f"{admin_stack.url}/admin/api/media-assets/{link['media_asset_id']}/reprocess"
    (folder / "attack.html").write_text(
        f"""<!doctype html><title>waiting</title>
        <form method="post" action="{again}"><input name="a" value="1"></form>
        <form method="post" action="{seed}"><input name="facebank_seed" value="true"></form>
        <form method="post" action="{again}" enctype="text/plain"><input name="a" value="1"></form>
        <form method="post" action="{admin_stack.url}/admin/sign-out"></form>
        <iframe name="a"></iframe><iframe name="b"></iframe><iframe name="c"></iframe><iframe name="d"></iframe>
        <img src="{again}"><script>
        const body = JSON.stringify({{facebank_seed: true}}), credentials = "include";
        const tries = [
            fetch("{seed}", {{method: "PATCH", body, credentials, headers: {{"Content-Type": "application/json"}}}}),
            fetch("{again}", {{method: "POST", body, credentials, mode: "no-cors"}}),
            fetch("{again}", {{method: "POST", credentials, mode: "no-cors"}}),
            fetch("{again}", {{method: "POST", body: new Blob([body], {{type: "text/plain"}}), credentials,
                mode: "no-cors"}}),
        ];
        [...document.forms].forEach((form, number) => {{
            const frame = document.querySelectorAll("iframe")[number];
            tries.push(new Promise(done => frame.addEventListener("load", done)));
            form.target = frame.name;
            form.submit();
        }});
        navigator.sendBeacon("{again}", body);
        Promise.allSettled(tries).then(() => setTimeout(() => document.title = "done", 300));
        </script>"""
    )
    before = len(admin_stack.rows("select id from core.audit_log"))
    requests_before = len(admin_stack.between.requests)
    page = opened("/admin/nothing")
    page.goto(f"http://{host}:{port}/attack.html")
    wait_for_script(page, "document.title === 'done'")
    sent = admin_stack.between.requests[requests_before:]
    assert not [request for request in sent if request.target.endswith(("facebank-seed", "reprocess"))]
    assert len(admin_stack.rows("select id from core.audit_log")) == before
    page.goto(f"{admin_stack.url}{PERSON_GALLERY}")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


PAGES = {
    "shows": "/admin/trr-shows",
    "show": "/admin/trr-shows/the-valley-persian-style",
    "gallery": GALLERY,
    "whole photos": f"{GALLERY}?mode=full&tag=cast",
    "people": "/admin/trr-people",
    "person": "/admin/trr-people/person-one",
    "person's gallery": PERSON_GALLERY,
    "operations": "/admin/operations",
    "not found": "/admin/nothing",
}


DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


def serious_everywhere(page: Page) -> list[str]:
    """Findings of axe in light and dark, on desktop and phone; light and dark differ in colours only."""
    findings = []
    for size, scheme, other in ((DESKTOP, "light", "dark"), (PHONE, "dark", "light")):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        findings += serious_findings(page)
        page.emulate_media(color_scheme=other)  # type: ignore[arg-type]
        findings += serious_findings(page, colours_only=True)
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    return findings


def test_axe_reports_nothing_serious_on_any_page(opened: Opener, admin_stack: AdminStack) -> None:
    pages = {**PAGES, "photo": f"/admin/photos/{admin_stack.photos['3.jpg']}"}
    page = opened("/admin/trr-shows")
    findings: dict[str, list[str]] = {}
    for name, path in pages.items():
        page.goto(path)
        findings[name] = serious_everywhere(page)
    page.goto(GALLERY)
    page.get_by_role("checkbox").first.check()
    findings["selection"] = serious_everywhere(page)
    page.locator(".photo").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    findings["lightbox"] = serious_everywhere(page)
    page.context.clear_cookies()
    page.goto("/admin/sign-in")
    findings["sign in"] = serious_everywhere(page)
    assert {name: some for name, some in findings.items() if some} == {}
