"""The axe accessibility checker; `python -m trr_pipelines_tests.support.axe` vendors it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from trr_pipelines.admin.vendor import vendor

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
FOLDER = Path(__file__).parents[1] / "data" / "axe"
FILES = {"package/axe.min.js": FOLDER / "axe.min.js", "package/LICENSE": FOLDER / "LICENSE"}
COLOUR_RULES = ("color-contrast", "link-in-text-block")  # the colour rules among axe's default rules
SERIOUS = ("serious", "critical")


def serious_findings(page: Page, *, colours_only: bool = False) -> list[str]:
    """Serious and critical findings of axe on the page, one line per rule with its first element."""
    # Through the debugger, not as a script of the page: the page's content security policy would block it.
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"() => {{ {(FOLDER / 'axe.min.js').read_text(encoding='utf-8')}}}")
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(COLOUR_RULES)} if colours_only else {})
    violations: list[dict[str, Any]] = page.evaluate(
        "options => axe.run(options).then(results => results.violations)", options
    )
    return [
        f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:160]} ({len(violation['nodes'])})"
        for violation in violations
        if violation["impact"] in SERIOUS
    ]


if __name__ == "__main__":
    vendor("axe-core", VERSION, SHA512, FILES)
