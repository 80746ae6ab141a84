"""axe, which looks for what keeps people out of a page; `python -m trr_pipelines_tests.support.axe` vendors it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from trr_pipelines.admin.vendor import vendor

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
FOLDER = Path(__file__).parents[1] / "data" / "axe"
FILES = {"package/axe.min.js": FOLDER / "axe.min.js", "package/LICENSE": FOLDER / "LICENSE"}
SERIOUS = ("serious", "critical")


def serious_findings(page: Page) -> list[str]:
    """What axe calls serious or critical on the page as it is, one line for each rule with the first element."""
    # Through the debugger, not as a script of the page: the page's own policy would not let it run.
    page.evaluate(f"() => {{ {(FOLDER / 'axe.min.js').read_text(encoding='utf-8')}}}")
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run({resultTypes: ['violations']}).then(found => found.violations)"
    )
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:160]} ({len(one['nodes'])})"
        for one in found
        if one["impact"] in SERIOUS
    ]


if __name__ == "__main__":
    vendor("axe-core", VERSION, SHA512, FILES)
