"""Request bodies over real HTTP: unambiguous JSON with one content type."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import httpx
import pytest

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import value
from trr_pipelines_tests.support.backends import ADMIN_APP

TOGGLE = b'{"facebank_seed": true}'
JSON = {**ADMIN_APP, "Content-Type": "application/json"}


@pytest.fixture
def path(person: UUID, link: Callable[..., UUID]) -> str:
    """The toggle of a photo that is not a seed."""
    return f"/api/v1/admin/person/{person}/gallery/{link(person)}/facebank-seed"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"facebank_seed": true, "facebank_seed": false}', "duplicate field"),
        (b'{"facebank_seed": NaN}', "NaN is not a JSON number"),
        (b'{"facebank_seed": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"facebank_seed": ' + b"9" * 5_000 + b"}", "Exceeds the limit (4300 digits) for integer string conversion"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"facebank_seed": tru', "not JSON: Expecting value at character 18"),
        (b"\xef\xbb\xbf" + TOGGLE, "not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at character 0"),
        (TOGGLE.decode().encode("utf-16"), "not UTF-8"),
        (b'{"caption": "\xff"}', "not UTF-8"),
    ],
    ids=range(10),
)
def test_ambiguous_or_invalid_json_is_422(
    client: httpx.Client, archive: Archive, path: str, body: bytes, message: str
) -> None:
    response = client.patch(path, content=body, headers=JSON)
    (error,) = response.json()["errors"]
    assert (response.status_code, error["field"]) == (422, "body")
    assert error["message"].startswith(message)
    assert value(archive.database, "select count(*) from core.media_links where facebank_seed") == 0


def test_a_body_of_two_types_is_415(client: httpx.Client, path: str) -> None:
    twice = [*ADMIN_APP.items(), ("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert client.patch(path, content=TOGGLE, headers=twice).status_code == 415
    assert client.patch(path, content=TOGGLE, headers=JSON).status_code == 200


def test_a_route_without_a_body_refuses_invalid_json(client: httpx.Client, archive: Archive, path: str) -> None:
    photo = value(archive.database, "select media_asset_id from core.media_links")
    response = client.post(f"/api/v1/admin/media-assets/{photo}/reprocess", content=b"{junk", headers=JSON)
    assert response.status_code == 422
