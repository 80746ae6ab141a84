"""Gallery pages of the admin app in front of a scripted backend."""

from __future__ import annotations

import httpx

from trr_pipelines_tests.integration.admin.conftest import RecordingBackend

SHOW = {"canonical": True, "id": "7", "slug": "the-valley", "title": "The Valley", "counts": {}, "seasons": []}


def test_a_page_of_another_shape_is_502_and_names_the_field(client: httpx.Client, backend: RecordingBackend) -> None:
    backend.respond(200, {**SHOW, "items": [{}], "next_cursor": None, "total": 1, "total_capped": False})
    response = client.get("/admin/trr-shows/the-valley/media-gallery")
    assert response.status_code == 502
    assert "items.0.link_id: Field required" in response.text
