"""The page of operations: what is open stands on top, and a retry tells how it came out while people look."""

from __future__ import annotations

from playwright.sync_api import expect

from trr_pipelines_tests.e2e.admin.conftest import AdminStack, Opener


def test_a_retry_by_reason_is_followed_to_its_report(opened: Opener, admin_stack: AdminStack) -> None:
    page = opened("/admin/operations", width=390)
    again = page.get_by_role("button", name="Retry these: the file is no image")
    again.click()
    again = page.get_by_role("button", name="Retry these: the file is no image")
    expect(again).to_contain_text("Retry 1 photos")
    again.click()
    retries = page.locator("#retries li").first
    expect(retries).to_contain_text("the file is no image: 0 of 1 fixed, 1 open")
    admin_stack.render(admin_stack.photos["broken.jpg"])
    expect(retries).to_contain_text("the file is no image: 0 of 1 fixed, 1 still not_an_image")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_open_alerts_stand_on_top(opened: Opener, admin_stack: AdminStack) -> None:
    text = "the oldest live work waits for 1234 s (limit 900), 7 photos are open"
    admin_stack.rows("insert into core.alerts (kind, text) values ('lag', %s)", text)
    try:
        alerts = opened("/admin/operations").get_by_role("region", name="Alerts")
        expect(alerts).to_contain_text(f"Live work waits too long. {text}")
        expect(alerts).to_contain_text("Dagster has never looked for alerts.")
    finally:
        admin_stack.rows("delete from core.alerts")
