"""Every operation against its OpenAPI document: schemathesis with all checks, on the production server.

`FUZZ_EXAMPLES=50` sends about ten times as many cases as a run without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from trr_pipelines.api.routes import variants
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import value
from trr_pipelines_tests.support.backends import SCREENALYTICS, admin
from trr_pipelines_tests.support.fuzzing import fuzz

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
ADMIN_PATHS = "^/(api/v1/admin|healthz|readyz)"
# A takedown would remove the photo that the other operations need.
OF_ONE_PHOTO = "^/api/v1/admin/media-assets/{id}/"


@pytest.mark.parametrize("who", ["an admin", "an admin, of an existing photo", "screenalytics"])
def test_no_response_is_a_server_error_or_undocumented(
    client: httpx.Client,
    archive: Archive,
    tmp_path: Path,
    person: UUID,
    link: Callable[..., UUID],
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    monkeypatch.setattr(variants, "WAIT_SECONDS", 0.05)
    asset = value(archive.database, "select media_asset_id from core.media_links where id = %s", link(person))
    headers, paths, ids = {
        "an admin": (admin(), ADMIN_PATHS, {}),
        "an admin, of an existing photo": (admin(), OF_ONE_PHOTO, {"id": asset}),
        "screenalytics": (SCREENALYTICS, "^/api/v1/screenalytics", {"person_id": person}),
    }[who]
    fuzzed = fuzz(str(client.base_url).rstrip("/"), headers, tmp_path, examples=EXAMPLES, paths=paths, ids=ids)
    print(f"{who}: {fuzzed.cases} cases, {dict(sorted(fuzzed.statuses.items()))}")  # noqa: T201  for the record of test runs
    assert fuzzed.code == 0, fuzzed.output[-20_000:]
    assert fuzzed.cases > 20
    assert not any(status >= 500 for status in fuzzed.statuses)
