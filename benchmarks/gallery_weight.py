"""Bytes and load time of a gallery page: with originals, and with the files that the app serves.

    .venv/bin/trr up &
    .venv/bin/trr import photos/ --source bench --show "Bench"      # and wait until they are rendered
    .venv/bin/python -m benchmarks.gallery_weight /admin/trr-shows/bench/media-gallery [--runs 5] [--mbit 50] [--ms 40]

Both pages are the app's own; for "before", each picture is replaced by its original while the page is loaded. Weight:
bytes on the wire of all pictures of the page, scrolled to its end. Speed: largest contentful paint and total blocking
time (of long tasks, the part beyond 50 ms) until every picture in view has loaded, with an empty cache and a network
limited to `--mbit` Mbit/s and `--ms` round trip; medians of the runs.
"""

from __future__ import annotations

import argparse
import re
import statistics
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Route

from benchmarks.browsers import signed_in_browser
from trr_pipelines.settings import load_settings

QUIET_MS = 3_000  # without a response: the page is complete
PATIENCE_MS = 180_000
POLL_MS = 500
IN_VIEW_ARE_THERE = """() => {
    const pictures = [...document.querySelectorAll('#gallery picture img')];
    const inView = pictures.filter(one => one.getBoundingClientRect().top < innerHeight);
    return seen.lcp > 0 && inView.length > 0 && inView.every(one => one.complete && one.naturalWidth);
}"""
WATCH = """
    window.seen = {lcp: 0, tbt: 0, cls: 0};
    new PerformanceObserver(list => { for (const one of list.getEntries()) seen.lcp = one.startTime })
        .observe({type: 'largest-contentful-paint', buffered: true});
    new PerformanceObserver(list => { for (const one of list.getEntries()) seen.tbt += Math.max(0, one.duration - 50) })
        .observe({type: 'longtask', buffered: true});
    new PerformanceObserver(list => { for (const one of list.getEntries()) seen.cls += one.value })
        .observe({type: 'layout-shift', buffered: true});
"""


@dataclass(frozen=True)
class Loaded:
    """One measurement of the page: times in ms, bytes of each picture."""

    lcp: float
    tbt: float
    cls: float
    pictures: list[int]


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("gallery", help="address of a gallery, from /admin on")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mbit", type=float, default=50)
    parser.add_argument("--ms", type=int, default=40)
    arguments = parser.parse_args()
    settings = load_settings()
    url = f"http://127.0.0.1:{settings.admin_port}{arguments.gallery}"
    with signed_in_browser(settings) as (browser, state):
        after = _measure(browser, state, url, arguments, originals=False)
        before = _measure(browser, state, url, arguments, originals=True)
    _print("originals", before)
    _print("derivatives", after)
    weights = [sum(side.pictures) for side in (before, after)]
    medians = [statistics.median(side.pictures) for side in (before, after)]
    print(
        f"fewer bytes: total {1 - weights[1] / weights[0]:.1%}, median {1 - medians[1] / medians[0]:.1%};"
        f" LCP {before.lcp / after.lcp:.1f} times as fast"
    )


def _print(name: str, loaded: Loaded) -> None:
    print(
        f"  {name:12} {len(loaded.pictures)} pictures, {sum(loaded.pictures) / 1e6:.2f} MB,"
        f" median {statistics.median(loaded.pictures) / 1e3:.1f} KB;"
        f" LCP {loaded.lcp:.0f} ms, TBT {loaded.tbt:.0f} ms, layout shift {loaded.cls:.4f}"
    )


def _measure(
    browser: Browser, state: dict[str, Any], url: str, arguments: argparse.Namespace, *, originals: bool
) -> Loaded:
    """Medians of the runs on the slow network, and the weight of one page that was scrolled to its end without it."""
    runs = [_load(browser, state, url, originals, arguments.mbit, arguments.ms) for _ in range(arguments.runs)]
    print("after" if not originals else "before", [round(run.lcp) for run in runs], flush=True)
    whole = _load(browser, state, url, originals, 0, 0)
    times = {name: statistics.median(getattr(run, name) for run in runs) for name in ("lcp", "tbt", "cls")}
    return Loaded(**times, pictures=whole.pictures)


def _load(browser: Browser, state: dict[str, Any], url: str, originals: bool, mbit: float, ms: int) -> Loaded:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, storage_state=state)
    page = context.new_page()
    page.add_init_script(WATCH)
    if originals:
        page.route(re.compile(r"/admin/trr-[^?]*(\?mode=full)?$"), _with_originals)
    session = context.new_cdp_session(page)
    pictures = _watch_pictures(session)
    if mbit:
        rate = mbit * 1e6 / 8
        session.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": ms, "downloadThroughput": rate, "uploadThroughput": rate},
        )
    page.goto(url, wait_until="commit")
    for _ in range(PATIENCE_MS // POLL_MS):
        page.wait_for_timeout(POLL_MS)
        if page.evaluate(IN_VIEW_ARE_THERE):
            break
    if not mbit:
        count = page.locator("#gallery .tile").count()
        for number in range(0, count, 4):
            page.locator("#gallery .tile").nth(number).scroll_into_view_if_needed()
            page.wait_for_timeout(150)
            if page.locator("#gallery .tile").count() > count:
                break  # the next page has loaded, which is not measured
        _wait_until_quiet(page, pictures)
    seen = page.evaluate("seen")
    context.close()
    return Loaded(seen["lcp"], seen["tbt"], seen["cls"], [size for size in pictures.values() if size])


def _watch_pictures(session: CDPSession) -> dict[str, int]:
    """By request: the bytes of each picture that has arrived over the wire, 0 while it is under way."""
    pictures: dict[str, int] = {}
    session.send("Network.enable")

    def asked(event: dict[str, Any]) -> None:
        if (
            event["type"] == "Image"
            and event["request"]["url"].startswith("http")
            and "/media/" in event["request"]["url"]
        ):
            pictures[event["requestId"]] = 0

    def arrived(event: dict[str, Any]) -> None:
        if event["requestId"] in pictures:
            pictures[event["requestId"]] = int(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", asked)
    session.on("Network.loadingFinished", arrived)
    return pictures


def _wait_until_quiet(page: Page, pictures: dict[str, int]) -> None:
    waited = 0
    while waited < PATIENCE_MS:
        before = dict(pictures)
        page.wait_for_timeout(QUIET_MS)
        waited += QUIET_MS
        if before == pictures:
            return


def _with_originals(route: Route) -> None:
    """The page, with the original in place of each picture, as galleries had it."""
    answer = route.fetch()
    html = re.sub(r"<source [^>]*>|<img class=\"placeholder\"[^>]*>", "", answer.text())
    tiles = re.split(r"(?=<li class=\"tile)", html)
    exchanged = [_exchanged(tile) for tile in tiles]
    route.fulfill(response=answer, body="".join(exchanged))


def _exchanged(tile: str) -> str:
    original = re.search(r'data-original="([^"]+)"', tile)
    if original is None:
        return tile
    return re.sub(r'(<picture>\s*<img src=")[^"]+', lambda match: match[1] + original[1], tile)


if __name__ == "__main__":
    main()
