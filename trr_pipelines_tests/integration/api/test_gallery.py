"""Gallery payloads over real HTTP, of photos after the pipeline."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from PIL import Image
from pydantic import SecretStr

from trr_pipelines.api.app import create_app
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.settings import Settings
from trr_pipelines.web.payloads import Gallery
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import EDITOR, import_files, import_path, query, run, value, write_files
from trr_pipelines_tests.support.backends import ADMIN_APP
from trr_pipelines_tests.support.databases import new_database

MANIFEST = """path,show,season,person,kind,caption,tags,position
wide.jpg,The Valley,,Person One,photo,A wide one,press;cast,2
tall.jpg,The Valley,1,Person One,photo,A tall one,press,1
logo.png,The Valley,,,brand,The Logo,,1
still.jpg,The Valley,2,,video_still,,,1
broken.jpg,The Valley,,,photo,Not a photo,,3
"""


def archived_in(archive: Archive, folder: Path, pool: RenderPool) -> Archive:
    """Four photos and a file that is not an image, through the whole pipeline."""
    write_files(
        folder,
        {
            "wide.jpg": pictures.jpeg(1600, 900, seed=1),
            "tall.jpg": pictures.jpeg(600, 900, seed=2),
            "logo.png": pictures.saved(pictures.photo(300, 200, seed=3), "PNG"),
            "still.jpg": pictures.jpeg(800, 450, seed=4),
            "broken.jpg": pictures.jpeg(800, 450, seed=5)[:2000],
            "manifest.csv": MANIFEST.encode(),
        },
    )
    (batch,) = import_path(archive, folder / "manifest.csv").batches
    run(archive, batch, pool=pool)
    return archive


@pytest.fixture(scope="module")
def read_only(
    postgres: EmbeddedPostgres, render_pool: RenderPool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Archive]:
    """An archive with these photos, which the tests of this module only read."""
    folder = tmp_path_factory.mktemp("read_only")
    with new_database(postgres, "template_trr") as url:
        settings = Settings(home=folder / "home", database_url=SecretStr(url), media_store=f"file:{folder / 'media'}")
        with open_archive(settings) as archive:
            yield archived_in(archive, folder / "in", render_pool)


@pytest.fixture(scope="module")
def gallery(read_only: Archive) -> Iterator[httpx.Client]:
    """A client of a backend over those photos, as the admin app."""
    assert read_only.settings.database_url is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRR_HOME", str(read_only.settings.home))
        patch.setenv("TRR_DATABASE_URL", read_only.settings.database_url.get_secret_value())
        patch.setenv("TRR_MEDIA_STORE", read_only.settings.media_store)
        for name, setting in backends.ENVIRONMENT.items():
            patch.setenv(name, setting)
        app = create_app()
    with backends.serving(app, ADMIN_APP) as client:
        yield client


def page(client: httpx.Client, of: str = "shows/the-valley", **params: Any) -> dict[str, Any]:
    response = client.get(f"/api/v1/admin/{of}/gallery", params=params)
    assert response.status_code == 200, response.text
    Gallery.model_validate_json(response.content, strict=True)
    body: dict[str, Any] = response.json()
    assert set(body) == set(Gallery.model_fields)
    return body


def captions(client: httpx.Client, of: str = "shows/the-valley", **params: Any) -> list[str]:
    return [item["caption"] for item in page(client, of, **params)["items"]]


def urls_of(item: dict[str, Any]) -> set[str]:
    """Every URL in an item."""
    named = {value for name, value in item.items() if name.endswith("_url") and value}
    listed = {file["url"] for file in item["srcset"]}
    attributes = {part.split()[0] for source in item["sources"] for part in source["srcset"].split(", ")}
    return named | listed | attributes


def test_a_show_includes_the_photos_of_its_seasons(gallery: httpx.Client) -> None:
    everything = page(gallery)
    assert (everything["total"], everything["total_capped"], everything["next_cursor"]) == (5, False, None)
    assert {item["caption"]: item["season"] for item in everything["items"]} == {
        "A wide one": None, "A tall one": 1, "The Logo": None, "": 2, "Not a photo": None,
    }  # fmt: skip
    assert [item["position"] for item in everything["items"]] == [1, 1, 1, 2, 3]


def test_a_season_and_a_person_have_their_own_photos_only(gallery: httpx.Client) -> None:
    assert captions(gallery, "shows/the-valley/seasons/1") == ["A tall one"]
    assert captions(gallery, "people/person-one") == ["A tall one", "A wide one"]


def test_an_id_returns_the_same_page_as_its_slug(gallery: httpx.Client, read_only: Archive) -> None:
    show = value(read_only.database, "select id from core.shows")
    person = value(read_only.database, "select id from core.people")
    assert page(gallery, f"shows/{show}") == page(gallery)
    assert page(gallery, f"shows/{show}/seasons/2") == page(gallery, "shows/the-valley/seasons/2")
    assert page(gallery, f"people/{person}") == page(gallery, "people/person-one")


@pytest.mark.parametrize(
    "of",
    ["shows/nowhere", f"shows/{UUID(int=1)}", "shows/person-one", "shows/the-valley/seasons/9", "people/the-valley"],
)
def test_an_unknown_gallery_is_404(gallery: httpx.Client, of: str) -> None:
    response = gallery.get(f"/api/v1/admin/{of}/gallery")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


def test_every_url_serves_the_declared_width_bytes_and_type(gallery: httpx.Client) -> None:
    looked_at = 0
    for item in page(gallery)["items"]:
        declared = {file["url"]: (file["width"], file["height"], file["bytes"]) for file in item["srcset"]}
        if item["original_url"]:
            declared[item["original_url"]] = (item["width"], item["height"], item["bytes"])
        types = {url: source["type"] for source in item["sources"] for url in source["srcset"].split() if "/" in url}
        for url in urls_of(item):
            response = gallery.get(url.removeprefix("http://127.0.0.1:8000"))
            assert response.status_code == 200, url
            if url in declared and item["generation"]["base"] == "complete":
                with Image.open(io.BytesIO(response.content)) as image:
                    assert (*image.size, len(response.content)) == declared[url]
            if url in types:
                assert response.headers["content-type"] == types[url]
            looked_at += 1
    assert looked_at > 30


def test_formats_come_smallest_first_and_widths_in_order(gallery: httpx.Client) -> None:
    (wide,) = (item for item in page(gallery)["items"] if item["caption"] == "A wide one")
    assert [source["type"] for source in wide["sources"]] == ["image/webp", "image/jpeg"]
    assert [(file["format"], file["width"]) for file in wide["srcset"]] == [
        (image_format, width) for image_format in ("webp", "jpeg") for width in (320, 720, 1440)
    ]
    by_url = {file["url"]: file for file in wide["srcset"]}
    assert (by_url[wide["display_url"]]["width"], by_url[wide["detail_url"]]["width"]) == (720, 1440)
    assert by_url[wide["display_url"]]["format"] == "webp"


def test_a_failed_photo_has_its_reason_and_falls_back_to_its_original(gallery: httpx.Client) -> None:
    (broken,) = (item for item in page(gallery)["items"] if item["caption"] == "Not a photo")
    assert broken["generation"] == {"base": "failed", "crop": "failed", "reason": "truncated"}
    assert broken["original_url"] == broken["display_url"] == broken["detail_url"] == broken["hosted_url"] is not None
    assert (broken["crop_display_url"], broken["srcset"], broken["sources"]) == (None, [], [])


def test_a_photo_that_is_not_mirrored_yet_has_no_urls(archive: Archive, client: httpx.Client, tmp_path: Path) -> None:
    client.headers.update(ADMIN_APP)
    import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg()}, show="The Valley")
    (item,) = page(client)["items"]
    assert item["generation"] == {"base": "pending", "crop": "pending", "reason": None}
    assert urls_of(item) == set()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kind": "brand"}, {"The Logo"}),
        ({"kind": "news"}, set()),
        ({"tag": "press"}, {"A wide one", "A tall one"}),
        ({"tag": ["press", "cast"]}, {"A wide one"}),
        ({"source": "deadline"}, {"A wide one", "A tall one", "The Logo", "", "Not a photo"}),
        ({"source": "bravo"}, set()),
        ({"state": "failed"}, {"Not a photo"}),
        ({"state": "complete", "kind": "photo"}, {"A wide one", "A tall one"}),
        ({"state": "mirrored", "kind": "brand"}, {"The Logo"}),
        ({"state": "pending"}, set()),
        ({"reason": "truncated"}, {"Not a photo"}),
        ({"reason": "corrupt"}, set()),
        ({"seed": "true"}, set()),
        ({"seed": "false", "kind": "brand"}, {"The Logo"}),
        ({"crop": "none"}, {"Not a photo"}),
        ({"crop": "auto", "kind": "photo"}, {"A wide one", "A tall one"}),
        ({"crop": "manual"}, set()),
        ({"q": "LOGO"}, {"The Logo"}),
        ({"q": "cast"}, {"A wide one"}),
        ({"q": "%"}, set()),
    ],
)
def test_filters_select_matching_photos(gallery: httpx.Client, filters: dict[str, Any], expected: set[str]) -> None:
    result = page(gallery, **filters)
    assert {item["caption"] for item in result["items"]} == expected
    assert result["total"] == len(result["items"])


@pytest.mark.parametrize("sort", ["position", "newest"])
def test_pages_list_every_link_once_in_order(archive: Archive, client: httpx.Client, tmp_path: Path, sort: str) -> None:
    client.headers.update(ADMIN_APP)
    rows = "".join(f"{n}.jpg,The Valley,{n % 3 or ''},{n % 4}\n" for n in range(23))
    files = {f"{n}.jpg": pictures.jpeg(8, 8, seed=n) for n in range(23)}
    folder = write_files(tmp_path / "in", {**files, "manifest.csv": f"path,show,season,position\n{rows}".encode()})
    import_path(archive, folder / "manifest.csv")
    query(archive.database, "update core.media_links set created_at = created_at + position * interval '1 s'")
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        result = page(client, sort=sort, limit=5, **cursor)
        assert len(result["items"]) <= 5
        assert result["total"] == 23
        seen += result["items"]
        if result["next_cursor"] is None:
            break
        cursor = {"cursor": result["next_cursor"]}
    assert len({item["link_id"] for item in seen}) == len(seen) == 23
    places = [item["position"] for item in seen]
    assert places == sorted(places, reverse=sort == "newest")


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "poster"}, {"state": "done"}, {"reason": "because"}, {"seed": "1"}, {"crop": "x"}, {"sort": "id"},
        {"limit": "0"}, {"limit": "201"}, {"cursor": "x"}, {"cursor": "é"}, {"q": "x" * 201}, {"q": "\0"},
        {"tag": "\0"}, {"tag": ""}, {"source": "\0"},
    ],
)  # fmt: skip
def test_an_invalid_parameter_is_422(gallery: httpx.Client, params: dict[str, str]) -> None:
    response = gallery.get("/api/v1/admin/shows/the-valley/gallery", params=params)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json"), response.text


def test_a_cursor_for_another_sort_is_refused(gallery: httpx.Client) -> None:
    cursor = page(gallery, limit=1)["next_cursor"]
    assert cursor is not None
    response = gallery.get("/api/v1/admin/shows/the-valley/gallery", params={"cursor": cursor, "sort": "newest"})
    assert response.status_code == 422


def test_no_served_file_is_larger_than_a_servable_original(
    archive: Archive, client: httpx.Client, tmp_path: Path, render_pool: RenderPool
) -> None:
    client.headers.update(ADMIN_APP)
    blurred = pictures.photo(1500, 1500, seed=7).quantize(4, dither=Image.Dither.NONE).convert("RGB")
    plain = pictures.saved(blurred, "WEBP", quality=1, method=6)
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    with_exif = pictures.saved(blurred, "WEBP", quality=1, method=6, exif=exif)
    batch = import_files(archive, tmp_path / "in", {"plain.webp": plain, "exif.webp": with_exif}, show="The Valley")
    run(archive, batch, pool=render_pool)
    items = {item["original_url"]: item for item in page(client)["items"]}
    for data, is_fit in ((plain, True), (with_exif, False)):
        (item,) = (item for item in items.values() if item["bytes"] == len(data))
        sizes = {url: len(client.get(url.removeprefix("http://127.0.0.1:8000")).content) for url in urls_of(item)}
        assert (max(sizes.values()) <= len(data)) is is_fit
        assert (item["detail_url"] == item["original_url"]) is is_fit


def test_an_edited_crop_is_served_once_rendered_and_the_previous_one_until_then(
    client: httpx.Client, archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    client.headers.update(ADMIN_APP)
    archived = archived_in(archive, tmp_path / "in", render_pool)

    def wide() -> dict[str, Any]:
        result: dict[str, Any] = page(client, q="wide")["items"][0]
        return result

    before = wide()
    edit = set_crop(archived.database, UUID(before["media_asset_id"]), Crop("manual", 10, 20, 2), author=EDITOR)
    waiting = wide()
    assert waiting["crop"] == {"mode": "manual", "x": 10, "y": 20, "zoom": 2, "signature": edit.signature}
    assert waiting["generation"]["crop"] == "pending"
    assert waiting["crop_display_url"] == before["crop_display_url"]
    run(archived, value(archived.database, "select key from core.import_batches"), "run-2", pool=render_pool)
    after = wide()
    assert edit.signature in after["crop_display_url"]
    assert edit.signature in after["crop_detail_url"]
    assert after["generation"]["crop"] == "complete"


def test_a_page_takes_the_same_number_of_statements_whatever_its_size(
    gallery: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def counted(cursor: Any, sql: Any, *arguments: Any, **options: Any) -> Any:
        statements.append(str(sql))
        return execute(cursor, sql, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    counts = []
    for limit in (1, 2, 200):
        statements.clear()
        page(gallery, limit=limit)
        counts.append(len(statements))
    assert counts == [7, 7, 7]  # including the pool's check of the connection
