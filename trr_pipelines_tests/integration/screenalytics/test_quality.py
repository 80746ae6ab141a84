"""The quality gate on photos over real HTTP: reasons are recorded, and no photo is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from uuid import UUID

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.quality import QualityResult, check_new_photos
from trr_pipelines.screenalytics.reports import person_report
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.face_banks import bank_query
from trr_pipelines_tests.support.scripted_server import ScriptedServer, answer

PERSON = UUID(int=1)
Put = Callable[..., None]


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer({})


@pytest.fixture
def put(bank: FaceBank, server: ScriptedServer) -> Put:
    """Adds a photo to the face bank and to `server`."""
    bank_query(bank, "insert into person (id) values (%s)", PERSON)

    def put_photo(name: str, data: bytes, width: int = 640, height: int = 480) -> None:
        server.scripts[f"/{name}"] = answer(200, data)
        bank_query(
            bank,
            "insert into face_bank_images (person_id, media_asset_id, link_id, served_url, sha256, width, height,"
            " source, caption, is_seed) values (%s, gen_random_uuid(), gen_random_uuid(), %s, %s, %s, %s, 's',"
            " %s, true)",
            PERSON,
            f"{server.url}/{name}",
            hashlib.sha256(data).hexdigest(),
            width,
            height,
            name,
        )

    return put_photo


def reasons(bank: FaceBank) -> dict[str, str | None]:
    return {
        row["caption"]: row["quality_reason"]
        for row in bank_query(bank, "select caption, quality_reason from face_bank_images")
    }


def test_quality_problems_are_recorded_and_the_photo_is_kept(
    bank: FaceBank, server: ScriptedServer, put: Put, render_pool: RenderPool
) -> None:
    with server:
        put("plain", pictures.jpeg(640, 480))
        put("small", pictures.jpeg(150, 300, seed=1), 150, 300)
        put("broken", pictures.jpeg(640, 480, seed=2)[:2_000])
        assert check_new_photos(bank, PERSON, pool=render_pool) == QualityResult(3, 0)
    assert reasons(bank) == {"plain": "no_face", "small": "too_small", "broken": "unreadable"}
    report = person_report(bank, PERSON)
    assert (report.numbers["images"], report.numbers["not_looked_at"]) == (3, 0)
    assert report.sheet.startswith("data:image/webp;base64,")


def test_a_photo_is_checked_once_until_its_bytes_change(
    bank: FaceBank, server: ScriptedServer, put: Put, render_pool: RenderPool
) -> None:
    with server:
        put("plain", pictures.jpeg(640, 480))
        assert check_new_photos(bank, PERSON, pool=render_pool) == QualityResult(1, 0)
        assert check_new_photos(bank, PERSON, pool=render_pool) == QualityResult(0, 0)
        data = pictures.jpeg(640, 480, seed=3)
        server.scripts["/plain"] = answer(200, data)
        bank_query(bank, "update face_bank_images set sha256 = %s", hashlib.sha256(data).hexdigest())
        assert check_new_photos(bank, PERSON, pool=render_pool) == QualityResult(1, 0)


@pytest.mark.parametrize("status", [404, 500, 302])
def test_a_photo_that_cannot_be_fetched_is_checked_next_time(
    bank: FaceBank, server: ScriptedServer, put: Put, render_pool: RenderPool, status: int
) -> None:
    with server:
        put("plain", pictures.jpeg(640, 480))
        server.scripts["/plain"] = answer(status)
        assert check_new_photos(bank, PERSON, pool=render_pool) == QualityResult(0, 1)
    assert reasons(bank) == {"plain": None}


def test_bytes_with_another_hash_than_listed_are_not_checked(
    bank: FaceBank, server: ScriptedServer, put: Put, render_pool: RenderPool
) -> None:
    with server:
        put("plain", pictures.jpeg(640, 480))
        server.scripts["/plain"] = answer(200, pictures.jpeg(640, 480, seed=9))
        assert check_new_photos(bank, PERSON, pool=render_pool) == QualityResult(0, 1)


def test_the_number_of_photos_checked_per_call_is_limited(
    bank: FaceBank, server: ScriptedServer, put: Put, render_pool: RenderPool
) -> None:
    with server:
        for number in range(3):
            put(f"{number}", pictures.jpeg(200, 200, seed=number), 200, 200)
        assert check_new_photos(bank, PERSON, limit=2, pool=render_pool) == QualityResult(2, 0)
        assert check_new_photos(bank, PERSON, limit=2, pool=render_pool) == QualityResult(1, 0)
