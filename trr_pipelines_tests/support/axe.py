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
COLOUR_RULES = ("color-contrast", "link-in-text-block")  # of those that run by default
SERIOUS = ("serious", "critical")


def serious_findings(page: Page, *, colours_only: bool = False) -> list[str]:
    """What axe calls serious or critical on the page as it is, one line for each rule with the first element."""
    # Through the debugger, not as a script of the page: the page's own policy would not let it run.
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"() => {{ {(FOLDER / 'axe.min.js').read_text(encoding='utf-8')}}}")
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(COLOUR_RULES)} if colours_only else {})
    found: list[dict[str, Any]] = page.evaluate("options => axe.run(options).then(found => found.violations)", options)
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:160]} ({len(one['nodes'])})"
        for one in found
        if one["impact"] in SERIOUS
    ]


if __name__ == "__main__":
    vendor("axe-core", VERSION, SHA512, FILES)
