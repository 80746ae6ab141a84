"""The operations page: open alerts come first, and the report of a retry is refreshed while the page is open."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from trr_pipelines_tests.e2e.admin.conftest import AdminStack, Opener
from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.archives import import_files, run


def test_a_retry_by_reason_is_followed_until_its_report_is_complete(
    opened: Opener, admin_stack: AdminStack, tmp_path: Path
) -> None:
    batch = import_files(admin_stack.archive, tmp_path, {"cut.jpg": jpeg(seed=78)[:4000]}, source="agency")
    run(admin_stack.archive, batch, pool=admin_stack.pool)
    (cut,) = admin_stack.rows("select id from core.media_assets where source = 'agency'")
    page = opened("/admin/operations", width=390)
    again = page.get_by_role("button", name="Retry these: the file is truncated")
    again.click()
    again = page.get_by_role("button", name="Retry these: the file is truncated")
    expect(again).to_contain_text("Retry 1 photos")
    again.click()
    retries = page.locator("#retries li").first
    expect(retries).to_contain_text("the file is truncated: 0 of 1 fixed, 1 open")
    admin_stack.render(cut["id"])
    expect(retries).to_contain_text("the file is truncated: 0 of 1 fixed, 1 still truncated")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_open_alerts_are_shown_first(opened: Opener, admin_stack: AdminStack) -> None:
    text = "the oldest live work waits for 1234 s (limit 900), 7 photos are open"
    admin_stack.rows("insert into core.alerts (kind, text) values ('lag', %s)", text)
    try:
        alerts = opened("/admin/operations").get_by_role("region", name="Alerts")
        expect(alerts).to_contain_text(f"Live work is overdue. {text}")
        expect(alerts).to_contain_text("Dagster has never checked for alerts.")
    finally:
        admin_stack.rows("delete from core.alerts")
